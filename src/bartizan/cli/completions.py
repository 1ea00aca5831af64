"""`bartizan completions`: a completion script for a shell, made from the table of commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TypeAlias

from bartizan.cli.commands import COMMANDS, Command, Flag, Option, Positional, Rest


def completions(*, shell: str) -> int:
    """Print the script for `shell`."""
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[shell]())
    return 0


Tree: TypeAlias = "dict[str, Command | Tree]"
"""Commands by the words of their names, one word at a time."""


def bash() -> str:
    """A function for bash's `complete`."""
    tree = _tree()
    return (
        "_bartizan() {\n"
        '    local word="${COMP_WORDS[COMP_CWORD]}" words\n'
        '    if [ "$COMP_CWORD" -eq 1 ]; then\n'
        f"        COMPREPLY=($(compgen -W '{' '.join(tree)} --help --version' -- \"$word\"))\n"
        "        return\n"
        "    fi\n"
        '    case "${COMP_WORDS[1]}" in\n'
        f"{_bash_cases(tree, 1)}"
        "    esac\n"
        '    COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))\n'
        "}\n"
        "complete -o filenames -F _bartizan bartizan\n"
    )


def _bash_cases(tree: Tree, depth: int) -> str:
    return "".join(_bash_case(word, below, depth) for word, below in tree.items())


def _bash_case(word: str, below: Command | Tree, depth: int) -> str:
    indent = "    " * (2 * depth)
    if isinstance(below, Command):
        return f"{indent}{word}) {_bash_words(below)} ;;\n"
    return (
        f"{indent}{word})\n"
        f'{indent}    if [ "$COMP_CWORD" -eq {depth + 1} ]; then\n'
        f"{indent}        COMPREPLY=($(compgen -W '{' '.join(below)} --help' -- \"$word\"))\n"
        f"{indent}        return\n"
        f"{indent}    fi\n"
        f'{indent}    case "${{COMP_WORDS[{depth + 1}]}}" in\n'
        f"{_bash_cases(below, depth + 1)}"
        f"{indent}    esac ;;\n"
    )


def _bash_words(command: Command) -> str:
    return f"words='{' '.join([*_options(command), *_choices(command)])}'"


def zsh() -> str:
    """A function for zsh's completion system."""
    return (
        "#compdef bartizan\n"
        "_bartizan() {\n"
        "    local -a commands\n"
        f"{_zsh_choice(_tree(), 1)}"
        "}\n"
        # Found by its first line, the file is the function, and this is its first call; sourced, it is not.
        'if [ "$funcstack[1]" = _bartizan ]; then _bartizan "$@"; else compdef _bartizan bartizan; fi\n'
    )


def _zsh_choice(tree: Tree, depth: int) -> str:
    """Offers the next word, or goes on with what is below the one that is there."""
    indent = "    " * (2 * depth - 1)
    described = "".join(f"{indent}    '{word}:{_quoted(_summary(below))}'\n" for word, below in tree.items())
    cases = "".join(_zsh_case(word, below, depth) for word, below in tree.items())
    return (
        f"{indent}commands=(\n"
        f"{described}"
        f"{indent})\n"
        f"{indent}if (( CURRENT == 2 )); then\n"
        f"{indent}    _describe command commands\n"
        f"{indent}    return\n"
        f"{indent}fi\n"
        f"{indent}shift words\n"
        f"{indent}(( CURRENT-- ))\n"
        f'{indent}case "$words[1]" in\n'
        f"{cases}"
        f"{indent}esac\n"
    )


def _zsh_case(word: str, below: Command | Tree, depth: int) -> str:
    indent = "    " * (2 * depth)
    if isinstance(below, Command):
        return f"{indent}{word}) _arguments {' '.join(_zsh_arguments(below))} ;;\n"
    return f"{indent}{word})\n{_zsh_choice(below, depth + 1)}{indent};;\n"


def fish() -> str:
    """Lines for fish's `complete`."""
    return "".join(_fish_words(_tree(), ()))


def _fish_words(tree: Tree, above: tuple[str, ...]) -> Iterator[str]:
    """The lines of what is below the words `above`."""
    seen = "".join(f"__fish_seen_subcommand_from {word}; and " for word in above)
    offered = f"{seen}not __fish_seen_subcommand_from {' '.join(tree)}" if above else "__fish_use_subcommand"
    for word, below in tree.items():
        if isinstance(below, Command):
            yield from _fish_command(word, offered, below, of=seen)
            continue
        condition = offered if " " not in offered else f"'{offered}'"
        yield f"complete -c bartizan -n {condition} -f -a {word} -d '{_quoted(_summary(below))}'\n"
        yield from _fish_words(below, (*above, word))


def _fish_command(name: str, offered: str, command: Command, of: str = "") -> list[str]:
    condition = offered if " " not in offered else f"'{offered}'"
    lines = [f"complete -c bartizan -n {condition} -f -a {name} -d '{_quoted(command.summary)}'\n"]
    seen = f"-n '{of}__fish_seen_subcommand_from {name}'"
    for argument in command.arguments:
        match argument:
            case Flag():
                lines.append(f"complete -c bartizan {seen} -l {argument.name[2:]} -d '{_quoted(argument.help)}'\n")
            case Option():
                lines.append(f"complete -c bartizan {seen} -r -l {argument.name[2:]} -d '{_quoted(argument.help)}'\n")
            case Positional() if argument.choices:
                lines.append(f"complete -c bartizan {seen} -f -a '{' '.join(argument.choices)}'\n")
            case Positional() | Rest():
                pass
    return lines


def _tree() -> Tree:
    tree: Tree = {}
    for command in COMMANDS:
        *above, last = command.name.split()
        place = tree
        for word in above:
            below = place.setdefault(word, {})
            assert isinstance(below, dict)  # noqa: S101  no command's name is the beginning of another's
            place = below
        place[last] = command
    return tree


def _summary(below: Command | Tree) -> str:
    return below.summary if isinstance(below, Command) else f"commands: {', '.join(below)}"


def _zsh_arguments(command: Command) -> list[str]:
    specs = []
    for argument in command.arguments:
        text = _quoted(argument.help).replace("[", "(").replace("]", ")").replace(":", " ")
        match argument:
            case Flag():
                specs.append(f"'{argument.name}[{text}]'")
            case Option():
                specs.append(f"'{argument.name}[{text}]:{argument.metavar.lower()}:_files'")
            case Positional() if argument.choices:
                specs.append(f"':{argument.name}:({' '.join(argument.choices)})'")
            case Positional():
                specs.append(f"'::{argument.name}:_files'")
            case Rest():
                specs.append(f"'*::{argument.name}:_files'")
    return specs


def _options(command: Command) -> list[str]:
    return [argument.name for argument in command.arguments if not isinstance(argument, Positional | Rest)] + ["--help"]


def _choices(command: Command) -> list[str]:
    return [choice for argument in command.arguments if isinstance(argument, Positional) for choice in argument.choices]


def _quoted(text: str) -> str:
    """Text for a single-quoted word; none of our texts needs a quote of its own."""
    return text.replace("'", "")

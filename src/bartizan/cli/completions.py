"""`bartizan completions`: a completion script for a shell, made from the table of commands."""

from __future__ import annotations

import sys

from bartizan.cli.commands import COMMANDS, Command, Flag, Option, Positional


def completions(*, shell: str) -> int:
    """Print the script for `shell`."""
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[shell]())
    return 0


def bash() -> str:
    """A function for bash's `complete`."""
    cases = "".join(
        f"        {command.name}) words='{' '.join([*_options(command), *_choices(command)])}' ;;\n"
        for command in COMMANDS
    )
    names = " ".join(command.name for command in COMMANDS)
    return (
        "_bartizan() {\n"
        '    local word="${COMP_WORDS[COMP_CWORD]}" words\n'
        '    if [ "$COMP_CWORD" -eq 1 ]; then\n'
        f"        COMPREPLY=($(compgen -W '{names} --help --version' -- \"$word\"))\n"
        "        return\n"
        "    fi\n"
        '    case "${COMP_WORDS[1]}" in\n'
        f"{cases}"
        "    esac\n"
        '    COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))\n'
        "}\n"
        "complete -o filenames -F _bartizan bartizan\n"
    )


def zsh() -> str:
    """A function for zsh's completion system."""
    described = "".join(f"        '{command.name}:{_quoted(command.summary)}'\n" for command in COMMANDS)
    cases = "".join(
        f"        {command.name}) _arguments {' '.join(_zsh_arguments(command))} ;;\n" for command in COMMANDS
    )
    return (
        "#compdef bartizan\n"
        "_bartizan() {\n"
        "    local -a commands=(\n"
        f"{described}"
        "    )\n"
        "    if (( CURRENT == 2 )); then\n"
        "        _describe command commands\n"
        "        return\n"
        "    fi\n"
        "    shift words\n"
        "    (( CURRENT-- ))\n"
        '    case "$words[1]" in\n'
        f"{cases}"
        "    esac\n"
        "}\n"
        # Found by its first line, the file is the function, and this is its first call; sourced, it is not.
        'if [ "$funcstack[1]" = _bartizan ]; then _bartizan "$@"; else compdef _bartizan bartizan; fi\n'
    )


def fish() -> str:
    """Lines for fish's `complete`."""
    lines = [
        f"complete -c bartizan -n __fish_use_subcommand -f -a {command.name} -d '{_quoted(command.summary)}'\n"
        for command in COMMANDS
    ]
    for command in COMMANDS:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        for argument in command.arguments:
            match argument:
                case Flag():
                    lines.append(f"complete -c bartizan {seen} -l {argument.name[2:]} -d '{_quoted(argument.help)}'\n")
                case Option():
                    lines.append(
                        f"complete -c bartizan {seen} -r -l {argument.name[2:]} -d '{_quoted(argument.help)}'\n"
                    )
                case Positional() if argument.choices:
                    lines.append(f"complete -c bartizan {seen} -f -a '{' '.join(argument.choices)}'\n")
                case Positional():
                    pass
    return "".join(lines)


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
    return specs


def _options(command: Command) -> list[str]:
    return [argument.name for argument in command.arguments if not isinstance(argument, Positional)] + ["--help"]


def _choices(command: Command) -> list[str]:
    return [choice for argument in command.arguments if isinstance(argument, Positional) for choice in argument.choices]


def _quoted(text: str) -> str:
    """Text for a single-quoted word; none of our texts needs a quote of its own."""
    return text.replace("'", "")

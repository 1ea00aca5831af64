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
        _bash_shared(name, commands) if _rest(commands[0]) else f"        {name}) {_bash_words(commands[0])} ;;\n"
        for name, commands in _by_first_word().items()
    )
    names = " ".join(_by_first_word())
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


def _bash_shared(name: str, commands: list[Command]) -> str:
    cases = "".join(f"            {_rest(command)}) {_bash_words(command)} ;;\n" for command in commands)
    return (
        f"        {name})\n"
        '            if [ "$COMP_CWORD" -eq 2 ]; then\n'
        f"                COMPREPLY=($(compgen -W '{' '.join(map(_rest, commands))} --help' -- \"$word\"))\n"
        "                return\n"
        "            fi\n"
        '            case "${COMP_WORDS[2]}" in\n'
        f"{cases}"
        "            esac ;;\n"
    )


def _bash_words(command: Command) -> str:
    return f"words='{' '.join([*_options(command), *_choices(command)])}'"


def zsh() -> str:
    """A function for zsh's completion system."""
    described = "".join(
        f"        '{name}:{_quoted(commands[0].summary if not _rest(commands[0]) else _shared_summary(commands))}'\n"
        for name, commands in _by_first_word().items()
    )
    cases = "".join(
        f"        {name}) _arguments {' '.join(_zsh_arguments(commands[0]))} ;;\n"
        if not _rest(commands[0])
        else _zsh_shared(name, commands)
        for name, commands in _by_first_word().items()
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


def _zsh_shared(name: str, commands: list[Command]) -> str:
    described = "".join(f"            '{_rest(command)}:{_quoted(command.summary)}'\n" for command in commands)
    cases = "".join(
        f"            {_rest(command)}) _arguments {' '.join(_zsh_arguments(command))} ;;\n" for command in commands
    )
    return (
        f"        {name})\n"
        "            commands=(\n"
        f"{described}"
        "            )\n"
        "            if (( CURRENT == 2 )); then\n"
        "                _describe command commands\n"
        "                return\n"
        "            fi\n"
        "            shift words\n"
        "            (( CURRENT-- ))\n"
        '            case "$words[1]" in\n'
        f"{cases}"
        "            esac ;;\n"
    )


def fish() -> str:
    """Lines for fish's `complete`."""
    lines: list[str] = []
    for name, commands in _by_first_word().items():
        if not _rest(commands[0]):
            lines += _fish_command(name, "__fish_use_subcommand", commands[0])
            continue
        summary = _quoted(_shared_summary(commands))
        lines.append(f"complete -c bartizan -n __fish_use_subcommand -f -a {name} -d '{summary}'\n")
        rests = " ".join(map(_rest, commands))
        within = f"__fish_seen_subcommand_from {name}; and not __fish_seen_subcommand_from {rests}"
        for command in commands:
            lines += _fish_command(_rest(command), within, command, of=f"__fish_seen_subcommand_from {name}; and ")
    return "".join(lines)


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
            case Positional():
                pass
    return lines


def _by_first_word() -> dict[str, list[Command]]:
    """The commands by the first word of their names; those of two words share theirs."""
    grouped: dict[str, list[Command]] = {}
    for command in COMMANDS:
        grouped.setdefault(command.name.partition(" ")[0], []).append(command)
    return grouped


def _rest(command: Command) -> str:
    """The second word of its name, if it has one."""
    return command.name.partition(" ")[2]


def _shared_summary(commands: list[Command]) -> str:
    return f"commands: {', '.join(map(_rest, commands))}"


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

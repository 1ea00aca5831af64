"""The reference of the command line, written from the table of commands: `python -m bartizan.cli.reference`.

A test fails when docs/reference/cli.md is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from bartizan.cli.commands import COMMANDS, Argument, Command, Flag, Option, Positional, Rest

_INTRODUCTION: Final = """\
# The command line

Made from `src/bartizan/cli/commands.py` by `python -m bartizan.cli.reference`; do not edit it.

Exit codes: 0 done, 1 something was found wrong (the message says what and the way out), 2 called wrongly, 130
interrupted. `bartizan COMMAND --help` shows the same. `bartizan --version` names the version.
"""


def markdown() -> str:
    """The page."""
    return "\n".join([_INTRODUCTION, *map(_section, COMMANDS)])


def write(file: Path) -> None:
    """Write the page to `file`."""
    file.write_text(markdown(), encoding="utf-8")


def _section(command: Command) -> str:
    rows = "".join(f"| {_usage(argument)} | {argument.help} |\n" for argument in command.arguments)
    examples = "\n".join(command.examples)
    return (
        f"## bartizan {command.name}\n\n{command.summary[0].upper()}{command.summary[1:]}. {command.detail}\n\n"
        f"| argument | |\n| --- | --- |\n{rows}\n```sh\n{examples}\n```\n"
    )


def _usage(argument: Argument) -> str:
    match argument:
        case Flag():
            return f"`{argument.name}`"
        case Option():
            many = ", repeatable" if argument.many else ""
            return f"`{argument.name} {argument.metavar}`{many}".replace("|", "\\|")
        case Rest():
            return f"`{argument.name.upper()}`, repeatable"
        case Positional():
            return f"`{argument.name.upper()}`{'' if argument.required else ' (optional)'}"


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference/cli.md"))

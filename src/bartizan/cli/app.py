"""The entry point: from the words on the command line to one function call.

Built on argparse because of what the alternatives cost before the first line of ours runs (docs/rationale.md). Only the
parser of the command in hand is built, and only that command's module is imported.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from bartizan.cli.commands import COMMANDS, MOST_WORDS, Command, Flag, Option, Positional, Rest, find, keyword
from bartizan.failure import Failure

DONE: Final = 0
FOUND_WRONG: Final = 1
CALLED_WRONGLY: Final = 2
_INTERRUPTED: Final = 128 + signal.SIGINT


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run the command that `words` ask for and return its exit code."""
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return DONE
    if words[0] in ("-V", "--version"):
        from bartizan import __version__

        sys.stdout.write(f"bartizan {__version__}\n")
        return DONE
    command, rest = _command(words)
    if command is None:
        return _without_command(words)
    arguments = parser(command).parse_args(rest)
    try:
        code = _function(command)(**vars(arguments))
        # Here, not when the interpreter ends: its complaint would be a traceback.
        sys.stdout.flush()
    except Failure as failure:
        sys.stderr.write(f"bartizan {command.name}: {failure}\n")
        return FOUND_WRONG
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) has left, and has all that it wanted.
        _write_no_more()
        return DONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _write_no_more()
        where = error.filename or "where the output goes, or the state directory is"
        sys.stderr.write(f"bartizan {command.name}: {error.strerror}; make room {where}\n")
        return FOUND_WRONG
    return code


def _command(words: Sequence[str]) -> tuple[Command | None, Sequence[str]]:
    """The command that the words begin with, and the words that are left for it."""
    for length in range(MOST_WORDS, 0, -1):
        command = find(" ".join(words[:length]))
        if command is not None:
            return command, words[length:]
    return None, words


def _without_command(words: Sequence[str]) -> int:
    length = 0
    while length < len(words) and _below(words[: length + 1]):
        length += 1
    if length and (length == len(words) or words[length] in ("-h", "--help", "help")):
        shared = " ".join(words[:length])
        sys.stdout.write(
            f"usage: bartizan {shared} COMMAND [ARGUMENTS]\n\ncommands:\n{_listing(_below(words[:length]))}"
        )
        return DONE
    name = " ".join(words[: length + 1])
    return _complain(f"there is no command {name!r}{_suggestion(name)}; `bartizan --help` lists them all")


def _below(words: Sequence[str]) -> list[Command]:
    """The commands whose names begin with these words and have more."""
    beginning = " ".join(words) + " "
    return [command for command in COMMANDS if command.name.startswith(beginning)]


def overview() -> str:
    """What `bartizan --help` prints."""
    return (
        "Bartizan: a self-hosted application-security and privacy edge.\n\n"
        "usage: bartizan COMMAND [ARGUMENTS]\n\n"
        f"commands:\n{_listing(COMMANDS)}\n"
        "first steps:\n"
        "  bartizan init http://127.0.0.1:8001   write bartizan.toml for your application\n"
        "  bartizan up                           run in front of it\n\n"
        "`bartizan COMMAND --help` explains one command, with examples; `bartizan --version` names this version.\n"
    )


def _listing(commands: Sequence[Command]) -> str:
    width = max(len(command.name) for command in commands)
    return "".join(f"  {command.name:<{width}}  {command.summary}\n" for command in commands)


def parser(command: Command) -> argparse.ArgumentParser:
    """The parser of one command, built from its row in the table."""
    examples = "".join(f"  {example}\n" for example in command.examples)
    built = argparse.ArgumentParser(
        prog=f"bartizan {command.name}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}. {command.detail}",
        epilog=f"examples:\n{examples}",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    for argument in command.arguments:
        match argument:
            case Flag():
                built.add_argument(argument.name, dest=keyword(argument), action="store_true", help=argument.help)
            case Option():
                built.add_argument(
                    argument.name,
                    dest=keyword(argument),
                    help=argument.help,
                    metavar=argument.metavar,
                    type=argument.parse,
                    default=[] if argument.many else argument.default,
                    choices=argument.choices or None,
                    action="append" if argument.many else "store",
                )
            case Rest():
                built.add_argument(
                    argument.name, help=argument.help, metavar=argument.name.upper(), type=argument.parse, nargs="+"
                )
            case Positional():
                built.add_argument(
                    argument.name,
                    help=argument.help,
                    metavar=argument.name.upper(),
                    type=argument.parse,
                    default=argument.default,
                    choices=argument.choices or None,
                    nargs=None if argument.required else "?",
                )
    return built


class _Help(argparse.HelpFormatter):
    """Wraps the description, and leaves the examples as they were written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def _function(command: Command) -> Callable[..., int]:
    module, _, name = command.function.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(f"bartizan.cli.{module}"), name)
    return function


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word, [command.name for command in COMMANDS], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _write_no_more() -> None:
    """Points stdout elsewhere, or the interpreter complains at its end about what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> int:
    sys.stderr.write(f"bartizan: {message}\n")
    return CALLED_WRONGLY

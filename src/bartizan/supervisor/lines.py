"""The merged log of all processes: one line for people or the journal, or one JSON object for programs."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TextIO

from bartizan.log import Keys

Level = Literal["debug", "info", "warning", "error", "critical"]

_PRIORITY: Final = re.compile(r"^<([0-7])>")
_LEVELS: Final[dict[str, Level]] = {
    "0": "critical",
    "1": "critical",
    "2": "critical",
    "3": "error",
    "4": "warning",
    "5": "info",
    "6": "info",
    "7": "debug",
}
_PRIORITIES: Final[dict[Level, int]] = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_LEVEL_COLOURS: Final[dict[Level, str]] = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_NAME_COLOURS: Final = {
    "edge": "\x1b[36m",
    "events": "\x1b[35m",
    "supervisor": "\x1b[34m",
    "certificates": "\x1b[32m",
    "transparency": "\x1b[33m",
}
_PLAIN: Final = "\x1b[0m"
_NAME_WIDTH: Final = 12
_NONE: Final[Keys] = {}


class Lines(Protocol):
    """Where the lines of all processes go. Safe to use from several threads."""

    def write(self, process: str, level: Level, text: str, keys: Keys = _NONE) -> None:
        """Adds a line. Never raises: a full disk or a closed pipe behind the log must not end supervision."""


class Text:
    """Lines for people: time, process, text; coloured where `colour` says that a terminal shows them."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()

    def write(self, process: str, level: Level, text: str, keys: Keys = _NONE) -> None:
        """Adds a line; a warning or worse is named. A traceback stands on lines behind it."""
        time = datetime.now().astimezone().strftime("%H:%M:%S")
        name = f"{process:<{_NAME_WIDTH}}"
        if self._colour:
            name = f"{_NAME_COLOURS.get(process, '')}{name}{_PLAIN}"
        with self._lock, _unwritten():
            for line in _for_people(text, keys):
                said = line if level in ("info", "debug") else f"{level}: {line}"
                if self._colour and level in _LEVEL_COLOURS:
                    said = f"{_LEVEL_COLOURS[level]}{said}{_PLAIN}"
                self._stream.write(f"{time} {name} {said}\n")
            self._stream.flush()


class Json:
    """Lines for programs: an object with time (RFC 3339, UTC), process, level, message, and the keys of the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, process: str, level: Level, text: str, keys: Keys = _NONE) -> None:
        """Adds an object on a line of its own."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({**keys, "time": time, "process": process, "level": level, "message": text}, default=str)
        with self._lock, _unwritten():
            self._stream.write(f"{line}\n")
            self._stream.flush()


class Journal:
    """Lines for the journal, which adds the time itself: the priority as in sd-daemon(3), process, text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, process: str, level: Level, text: str, keys: Keys = _NONE) -> None:
        """Adds a line; a line feed within it would begin one without priority. A traceback is lines behind it."""
        with self._lock, _unwritten():
            for line in _for_people(" ".join(text.splitlines()), keys):
                self._stream.write(f"<{_PRIORITIES[level]}>{process}: {line}\n")
            self._stream.flush()


def _for_people(text: str, keys: Keys) -> Iterator[str]:
    yield text
    yield from str(keys.get("exception", "")).splitlines()


def _unwritten() -> contextlib.suppress:
    """Lets a line go that cannot be written: no room, no reader, or no such character in this locale."""
    return contextlib.suppress(OSError, ValueError)


def parse(line: str) -> tuple[Level, str, Keys]:
    """Level, text and keys of a line from a process.

    The level stands before it as sd-daemon(3) says, and behind it an object as `bartizan.log` writes it, or plain text.
    What is not written by our logger has no level and is info: a line of the access log, the last words of a library.
    """
    found = _PRIORITY.match(line)
    if found is None:
        return "info", line, _NONE
    level, text = _LEVELS[found[1]], line[found.end() :]
    if not text.startswith('{"message": '):
        return level, text, _NONE
    try:
        keys = json.loads(text)
        return level, str(keys.pop("message")), keys
    except ValueError:
        # Cut off where its process was killed.
        return level, text, _NONE

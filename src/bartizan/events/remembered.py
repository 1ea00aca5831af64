"""What the event store remembers of its last inserts, made true: rows that it remembers must be there.

Each table keeps a log of them, by which an insert that comes twice is taken once. The engine writes to it first and
then puts the rows in place, by one rename. Killed between the two it remembers rows that it does not have, and refuses
them when they are sent again; where the rename fails it goes on as if nothing were wrong. So before the engine opens,
the log is made to forget what is not there, and after each insert somebody looks (`Remembered.unkept`).

A log is `deduplication_logs/*.txt` beside the parts; a line is a part that an insert made, or one that is forgotten:

    1 <tab> 20261122_7_7_0 <tab> identifier of the insert, made of its token
    2 <tab> 20261122_7_7_0 <tab> the same
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

from bartizan import durable

_ADDED: Final = "1"
_FORGOTTEN: Final = "2"
_LOGS: Final = "deduplication_logs"
_LOG: Final = re.compile(r"deduplication_log_(\d+)\.txt", re.ASCII)
_PART: Final = re.compile(r"(?P<partition>[^_]+)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?", re.ASCII)


class _Part(NamedTuple):
    """Rows in one directory: those of inserts `first` to `last`, counted by the table."""

    partition: str
    first: int
    last: int

    @classmethod
    def named(cls, name: str) -> Self | None:
        """What the name of a directory says; None for those that are not, or not yet, of the table."""
        found = _PART.fullmatch(name)
        return cls(found["partition"], int(found["first"]), int(found["last"])) if found else None

    def holds(self, other: _Part) -> bool:
        """Whether it is that one, or was merged of it and others."""
        return self.partition == other.partition and self.first <= other.first and other.last <= self.last


class Insert(NamedTuple):
    """One that a table remembers."""

    table: Path
    """Its directory, whose name is an identifier."""
    part: str
    """Of that directory, with the rows."""
    identifier: str


class Remembered:
    """The logs of the event store in `directory`, which is closed, or in which nobody inserts meanwhile."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read_to: dict[Path, int] = {}

    def forget_unkept(self) -> list[Insert]:
        """Has a closed store forget the inserts whose rows it does not have; which. Raises OSError."""
        forgotten = self.unkept(anew=True)
        for table in self._tables():
            _append(table, "".join(_line(_FORGOTTEN, insert) for insert in forgotten if insert.table == table))
        return forgotten

    def unkept(self, *, anew: bool = False) -> list[Insert]:
        """The inserts whose rows are not there, of those that were noted since the last call, or of all if `anew`.

        Raises OSError.
        """
        if anew:
            self._read_to = {}
        read_to: dict[Path, int] = {}
        unkept: list[Insert] = []
        for table in self._tables():
            noted = list(self._noted(table, read_to))
            if noted:
                unkept += _not_there(table, noted)
        self._read_to = read_to
        return unkept

    def parts(self) -> set[Path]:
        """The directories with rows. Raises OSError."""
        names = (entry for table in self._tables() for entry in os.scandir(table))
        return {Path(entry.path) for entry in names if _Part.named(entry.name) is not None}

    def inserted(self, before: set[Path]) -> list[Path]:
        """The parts that inserts have made since `before`, without what was merged or changed since. Raises OSError."""
        return [path for path in self.parts() - before if not any(_holds(path, other) for other in before)]

    def write_through(self) -> bool:
        """Has the logs written to the disk line by line, from when the store is opened again; whether that is new.

        Else a power cut within an insert could leave rows of which the log does not know, and they would come twice.
        Raises OSError.
        """
        paths = [path for table in self._tables() for path in (table / _LOGS, *_files(table))]
        return sum(durable.write_through(path) for path in paths) > 0

    def _tables(self) -> list[Path]:
        return [logs.parent for logs in self._directory.glob(f"store/*/*/{_LOGS}")]

    def _noted(self, table: Path, read_to: dict[Path, int]) -> Iterator[Insert]:
        """What the log of a table got since the last look, and in `read_to` how far that went."""
        known: dict[str, Insert] = {}
        for log in _files(table):
            start = self._read_to.get(log, 0)
            with log.open("rb") as file:
                file.seek(start)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            read_to[log] = start + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                match line.split("\t"):
                    case [operation, part, identifier] if operation == _ADDED:
                        known[identifier] = Insert(table, part, identifier)
                    case [operation, _, identifier] if operation == _FORGOTTEN:
                        known.pop(identifier, None)
        yield from known.values()


def _not_there(table: Path, noted: Iterable[Insert]) -> Iterator[Insert]:
    there = [part for entry in os.scandir(table) if (part := _Part.named(entry.name)) is not None]
    for insert in noted:
        part = _Part.named(insert.part)
        if part is not None and not any(kept.holds(part) for kept in there):
            yield insert


def _holds(path: Path, other: Path) -> bool:
    part, kept = _Part.named(path.name), _Part.named(other.name)
    return path.parent == other.parent and part is not None and kept is not None and part.holds(kept)


def _append(table: Path, lines: str) -> None:
    """Writes to the newest log of a table, in place of a part of a line that a power cut may have left there."""
    for log in _files(table)[-1:]:
        with log.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if lines or whole < len(content):
                file.truncate(whole)
                file.seek(whole)
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())


def _files(table: Path) -> list[Path]:
    """The files of a table's log, oldest first: they are numbered."""
    numbered = {int(found[1]): file for file in (table / _LOGS).iterdir() if (found := _LOG.fullmatch(file.name))}
    return [numbered[number] for number in sorted(numbered)]


def _line(operation: str, insert: Insert) -> str:
    return f"{operation}\t{insert.part}\t{insert.identifier}\n"

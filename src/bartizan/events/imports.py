"""Rows of files brought into the event store, each exactly once, whoever is killed meanwhile.

    client: block of rows ─► imports/NAME-START-END.native ─► "import NAME" ─► owner: insert, journal, remove

NAME is the digest of the file and the table, START and END count its rows. A block is put in place whole and durably
before the owner is asked, so it is the same bytes whenever it is inserted, under the same token; a block that is found
at the start of the owner was in hand when the one before it ended, and is inserted before anything else is. The journal
beside it says how many rows have arrived: those are never sent again, however long ago that was.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bartizan.durable import remove_abandoned, replace
from bartizan.failure import Failure

_FORMAT: Final = 1

_NAME: Final = re.compile(r"(?P<digest>[0-9a-f]{32})-(?P<table>[a-z_]{1,64})", re.ASCII)
_BLOCK: Final = re.compile(
    rf"(?P<name>{_NAME.pattern})-(?P<start>[0-9]{{1,15}})-(?P<end>[0-9]{{1,15}})\.native", re.ASCII
)

_log = logging.getLogger("bartizan.events")


class _Journal(msgspec.Struct):
    format: int
    rows: int


class _Block(NamedTuple):
    file: Path
    name: str
    table: str
    start: int
    end: int

    @property
    def token(self) -> str:
        """What an insert of these rows is deduplicated by."""
        return f"import-{self.name}-{self.start}-{self.end}"


def stage(directory: Path, name: str, start: int, end: int, block: bytes) -> None:
    """Puts the block of these rows in place for the owner, in ClickHouse's Native format. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(directory / f"{name}-{start}-{end}.native", block)


class Imports:
    """The imports of an installation. `insert` inserts a block into a table, once per token; it raises SinkFailed."""

    def __init__(self, directory: Path, insert: Callable[[str, bytes, str], None]) -> None:
        self._directory = directory
        self._insert = insert
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Inserts what an owner before had in hand, or was about to have. Raises SinkFailed, Failure and OSError."""
        if not self._directory.is_dir():
            return
        remove_abandoned(self._directory)
        for name in sorted({block.name for block in self._blocks()}):
            _log.info("an import that was cut short goes on: %s has %d rows", name, self.take(name))

    def take(self, name: str) -> int:
        """Inserts the blocks of an import that are in place; returns how many of its rows have arrived.

        Raises SinkFailed, Failure and OSError; the blocks then stay for the next call.
        """
        if _NAME.fullmatch(name) is None:
            raise Failure(f"{name!r} is no name of an import")
        with self._lock:
            rows = self._arrived(name)
            for block in sorted((block for block in self._blocks() if block.name == name), key=lambda each: each.start):
                # One that begins elsewhere is of a client that saw another journal: its rows are asked for again.
                if block.start == rows:
                    self._insert(block.table, block.file.read_bytes(), block.token)
                    rows = block.end
                    replace(self._journal(name), msgspec.json.encode(_Journal(_FORMAT, rows)))
                block.file.unlink(missing_ok=True)
            return rows

    def _arrived(self, name: str) -> int:
        file = self._journal(name)
        try:
            return msgspec.json.decode(file.read_bytes(), type=_Journal).rows
        except FileNotFoundError:
            return 0
        except msgspec.DecodeError as error:
            raise Failure(f"the journal of an import {file} is damaged ({error}); remove it to import anew") from error

    def _journal(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _blocks(self) -> list[_Block]:
        if not self._directory.is_dir():
            return []
        matches = ((file, _BLOCK.fullmatch(file.name)) for file in self._directory.iterdir())
        return [
            _Block(file, match["name"], match["table"], int(match["start"]), int(match["end"]))
            for file, match in matches
            if match is not None
        ]

"""A file's rows brought into the event store: checked to the end first, then sent in ranges that are always the same.

A range is named by the digest of the file and the rows in it, and arrives once (`bartizan.events.imports`): the same
file may be imported again, or an import that was cut short begun anew, and nothing is doubled.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bartizan.archive.file import blocks, gathered, table_of
from bartizan.events import control, schema
from bartizan.events.imports import stage
from bartizan.events.location import retention
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_DIGEST_HEX: Final = 32
_BLOCK_ROWS: Final = 65_536
_BLOCK_BYTES: Final = 32 * 1024 * 1024
"""Ranges are cut by these. Cut by others, an import that was cut short could not go on: what arrived would end within
a range, which the owner refuses."""

_READ_BYTES: Final = 1024 * 1024
_DAY_NS: Final = 86_400 * 1_000_000_000


class Imported(msgspec.Struct):
    """What became of an import."""

    file: str
    table: str
    rows: int
    """Rows that arrived now."""
    rows_before: int
    """Rows of the same file that an import before had brought."""
    rows_too_old: int
    """Rows of the file that are older than events are kept, so that the event store drops them again."""
    ignored: list[str]
    """Names in the file that are no columns."""


class Checked(msgspec.Struct):
    """A file that can be imported."""

    file: Path
    table: str
    digest: str
    rows: int
    rows_too_old: int
    ignored: list[str]


def check(file: Path, state: StateDirectory, table: str | None, *, ignore_unknown: bool) -> Checked:
    """Reads a file to its end, as rows of that table or the one that its columns are of.

    Raises Failure for what is no row, and for names that are no columns unless they are to be ignored.
    """
    if not file.is_file():
        raise Failure(f"there is no file {file}")
    named = table_of(file) if table is None else table
    moment = schema.table(named).time
    oldest_ns = time.time_ns() - retention(state).days * _DAY_NS
    rows, too_old, ignored = 0, 0, dict[str, int]()
    digest = _digest(file)
    for block in blocks(file, _BLOCK_ROWS, _BLOCK_BYTES):
        batch, unknown = gathered(file, named, block)
        for name, line in unknown:
            ignored.setdefault(name, line)
        if ignored and not ignore_unknown:
            shown = ", ".join(f"{name!r} (line {line})" for name, line in list(ignored.items())[:5])
            raise Failure(f"{file}: {shown}: no column of {named}; --ignore-unknown leaves such values out")
        rows += len(batch)
        too_old += sum(when < oldest_ns for (when,) in batch.values(named, [moment]))
    return Checked(file, named, digest, rows, too_old, sorted(ignored))


def bring(checked: Checked, state: StateDirectory, came: Callable[[int], None]) -> Imported:
    """Sends the rows of a checked file to the event owner; `came` is told of each lot.

    Raises Failure where no owner answers, the store takes no rows, or the file has changed since it was checked.
    """
    name = f"{checked.digest[:_DIGEST_HEX]}-{checked.table}"
    before = arrived = control.take_import(state.events_socket, name)
    came(before)
    start = 0
    for block in blocks(checked.file, _BLOCK_ROWS, _BLOCK_BYTES):
        batch, _ = gathered(checked.file, checked.table, block)
        end = start + len(batch)
        content = batch.native(checked.table)
        if end > arrived and content is not None:
            stage(state.imports, name, start, end, content)
            arrived = control.take_import(state.events_socket, name)
            if arrived != end:
                raise Failure(
                    f"the event owner has {arrived:,} rows of {checked.file} and not {end:,}; import it again"
                )
            came(len(batch))
        start = end
    if _digest(checked.file) != checked.digest:
        raise Failure(f"{checked.file} was changed while it was imported; purge its rows, then import it as it is now")
    return Imported(str(checked.file), checked.table, arrived - before, before, checked.rows_too_old, checked.ignored)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as opened:
            while content := opened.read(_READ_BYTES):
                digest.update(content)
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror or error}") from error
    return digest.hexdigest()

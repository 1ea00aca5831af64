"""A file made of rows, whole or not at all: written beside its place, forced to the disk, then renamed.

Into standard output nothing can be taken back: there the exit code says whether it is whole, and of gzip and Parquet
the end is missing where it is not.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bartizan import durable
from bartizan.archive.excerpt import Excerpt
from bartizan.archive.rows import Source, arrow_tables
from bartizan.failure import Failure

FORMATS: Final = ("ndjson", "ndjson.gz", "parquet")

_ENDINGS: Final = {
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".log": "ndjson",
    ".gz": "ndjson.gz",
    ".parquet": "parquet",
}  # fmt: skip

_GZIP_LEVEL: Final = 6
_GZIP: Final = 16 + zlib.MAX_WBITS
"""What zlib calls the gzip form (RFC 1952) with the largest window."""

_GROUP_ROWS: Final = 65_536
"""Rows of a row group of Parquet: so many are held until it is written."""


class Exported(msgspec.Struct):
    """What was written."""

    table: str
    source: str
    file: str
    """Its path, or "-" for standard output."""
    format: str
    rows: int
    bytes: int


def format_of(file: Path | None, named: str | None) -> str:
    """The format that was named, or that the file's ending means. Raises Failure where neither says one."""
    if named is not None:
        return named
    if file is None:
        return "ndjson"
    known = _ENDINGS.get(file.suffix.lower())
    if known is None:
        raise Failure(f"the ending of {file} names no format; use .ndjson, .ndjson.gz or .parquet, or say --format")
    return known


def export(
    source: Source, excerpt: Excerpt, file: Path | None, file_format: str, came: Callable[[int], None]
) -> Exported:
    """Writes the rows of an excerpt to a file, or to standard output; `came` is told of each lot of rows.

    Raises Failure where the source or the disk fails; then there is no file, or the one that was there before.
    """
    if file is None:
        counted = _Counted(sys.stdout.buffer)
        rows = _WRITERS[file_format](source, excerpt, counted, came)
        counted.flush()
    else:
        if not file.parent.is_dir():
            raise Failure(f"there is no directory {file.parent}; make it first")
        try:
            durable.remove_abandoned(file.parent, of=file.name)
            with durable.replacing(file) as handle:
                counted = _Counted(handle)
                rows = _WRITERS[file_format](source, excerpt, counted, came)
        except OSError as error:
            raise Failure(f"cannot write {file}: {error.strerror or error}; make room, or name another place") from (
                error
            )
    return Exported(excerpt.table, source.name, "-" if file is None else str(file), file_format, rows, counted.bytes)


class _Counted:
    """A file that counts what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0
        self._is_given_up = False
        self.closed = False
        """As pyarrow asks; whoever made the file closes it."""

    def write(self, content: bytes) -> int:
        """Writes all of it, unless the file was given up."""
        if not self._is_given_up:
            self._file.write(content)
            self.bytes += len(content)
        return len(content)

    def flush(self) -> None:
        """Hands on what is held back."""
        if not self._is_given_up:
            self._file.flush()

    def give_up(self) -> None:
        """Lets nothing more through: a writer that is closed ends its file as if it were whole."""
        self._is_given_up = True


def _ndjson(source: Source, excerpt: Excerpt, file: _Counted, came: Callable[[int], None]) -> int:
    rows = 0
    for lines in source.lines(excerpt):
        file.write(lines.ndjson)
        rows += lines.rows
        came(lines.rows)
    return rows


def _gzip(source: Source, excerpt: Excerpt, file: _Counted, came: Callable[[int], None]) -> int:
    rows = 0
    # Not `gzip`, which would write a sound end also where the rows broke off.
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    for lines in source.lines(excerpt):
        file.write(packer.compress(lines.ndjson))
        rows += lines.rows
        came(lines.rows)
    file.write(packer.flush())
    return rows


def _parquet(source: Source, excerpt: Excerpt, file: _Counted, came: Callable[[int], None]) -> int:
    arrow = arrow_tables()
    import pyarrow as pa
    import pyarrow.parquet

    of = arrow.schema([(column.name, column.type) for column in excerpt.chosen])
    rows, held, waiting = 0, 0, []
    writer = pa.parquet.ParquetWriter(pa.PythonFile(file, mode="w"), of, compression="zstd")

    def write(batches: list[Any]) -> None:
        writer.write_table(pa.Table.from_batches(batches, of), row_group_size=_GROUP_ROWS)

    try:
        for batch in source.batches(excerpt):
            waiting.append(batch)
            held += batch.num_rows
            rows += batch.num_rows
            if held >= _GROUP_ROWS:
                write(waiting)
                waiting, held = [], 0
            came(batch.num_rows)
        if waiting:
            write(waiting)
    except BaseException:
        file.give_up()
        raise
    finally:
        writer.close()
    return rows


_WRITERS: Final[dict[str, Callable[[Source, Excerpt, _Counted, Callable[[int], None]], int]]] = {
    "ndjson": _ndjson,
    "ndjson.gz": _gzip,
    "parquet": _parquet,
}

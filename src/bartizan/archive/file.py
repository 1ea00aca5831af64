"""Rows of a file: NDJSON, plain or gzip, or Parquet, as `export` and the file sinks write them and Logpush names them.

Whatever its form, a file is read in blocks of JSON lines, cut where its content alone says so: the same file is cut in
the same blocks each time.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from bartizan._native import SpoolBatch
from bartizan.archive.rows import MISSING_ARROW, InBatches
from bartizan.events import schema
from bartizan.failure import Failure

_BLOCK_ROWS: Final = 8192
_BLOCK_BYTES: Final = 8 * 1024 * 1024
_ARROW_ROWS: Final = 8192

_LINE_BYTES: Final = 1024 * 1024
"""No row is that long, so a line that is no row of anything is not read to its end."""

_PARQUET: Final = b"PAR1"
_GZIP: Final = b"\x1f\x8b"


class Block(NamedTuple):
    """Some lines of a file, or rows of a Parquet file as lines; the first of all counts as 1."""

    lines: bytes
    first: int
    rows: int


class FileSource(InBatches):
    """The rows of a file. Names in it that are no columns are left out. Raises Failure where it is not there."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise Failure(f"there is no file {file}")
        super().__init__(self._batches)
        self._file = file

    @property
    def name(self) -> str:
        """What it is, for people."""
        return str(self._file)

    def _batches(self, table: str) -> Iterator[SpoolBatch]:
        for block in blocks(self._file):
            yield gathered(self._file, table, block)[0]


def gathered(file: Path, table: str, block: Block) -> tuple[SpoolBatch, list[tuple[str, int]]]:
    """The rows of a block as those of a table, and the names that are no columns, each with the line that had it first.

    Raises Failure for what is no row of the table, with file, line and column.
    """
    try:
        return SpoolBatch.of_ndjson(table, block.lines, block.first)
    except ValueError as error:
        line, column, what = error.args
        place = f"{file}, line {line}" + (f", column {column}" if column else "")
        raise Failure(f"{place}: {what}") from None


def blocks(file: Path, rows: int = _BLOCK_ROWS, size: int = _BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a file: each ends with the line that makes it so many rows, or bytes of JSON.

    Raises Failure for one that cannot be read, is cut off, or is of another form.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_PARQUET))
            opened.seek(0)
            if start == _PARQUET:
                yield from _in_blocks(_of_parquet(file), rows, size)
            elif start.startswith(_GZIP):
                with gzip.open(opened) as unpacked:
                    yield from _in_blocks(_of_lines(file, unpacked), rows, size)
            else:
                yield from _in_blocks(_of_lines(file, opened), rows, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Failure(f"{file} is cut off or damaged: {error}; make the export anew") from error
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror or error}") from error


def _in_blocks(lines: Iterator[bytes], rows: int, size: int) -> Iterator[Block]:
    taken: list[bytes] = []
    held, first = 0, 1
    for line in lines:
        taken.append(line)
        held += len(line)
        if len(taken) == rows or held >= size:
            yield Block(b"".join(taken), first, len(taken))
            first += len(taken)
            taken, held = [], 0
    if taken:
        yield Block(b"".join(taken), first, len(taken))


def _of_lines(file: Path, opened: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    number = 0
    while line := opened.readline(_LINE_BYTES):
        number += 1
        if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
            raise Failure(f"{file}, line {number}: it is longer than {_LINE_BYTES:,} bytes and cannot be a row")
        yield line


def _of_parquet(file: Path) -> Iterator[bytes]:
    with _parquet(file) as opened:
        for batch in opened.iter_batches(batch_size=_ARROW_ROWS):
            yield from _json_lines(batch)


@contextmanager
def _parquet(file: Path) -> Iterator[Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise Failure(MISSING_ARROW) from error
    try:
        with pa.parquet.ParquetFile(file) as opened:
            yield opened
    except pa.ArrowException as error:
        raise Failure(f"{file} is no Parquet file that can be read: {error}; make the export anew") from error


def _json_lines(batch: Any) -> Iterator[bytes]:
    """The rows of an Arrow batch as JSON objects on lines; times as nanoseconds, which JSON has no form for."""
    import pyarrow as pa

    names, columns = batch.schema.names, []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", tz=column.type.tz)).cast(pa.int64())  # noqa: PLW2901  its value
        columns.append(column.to_pylist())
    encoder = msgspec.json.Encoder()
    for values in zip(*columns, strict=True):
        row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        yield encoder.encode(row) + b"\n"


def table_of(file: Path) -> str:
    """The event table that the columns of the first row are of. Raises Failure where none or several could be meant."""
    block = next(blocks(file), None)
    if block is None:
        raise Failure(f"{file} is empty: it holds no row")
    try:
        names = set(msgspec.json.decode(next(filter(None, block.lines.splitlines())), type=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, StopIteration) as error:
        raise Failure(f"{file}, line {block.first}: it is no JSON object: {error}") from error
    fitting = [
        table.name
        for table in schema.tables()
        if table.time in names and names <= {column.name for column in table.columns}
    ] or [table.name for table in schema.tables() if table.time in names]
    if len(fitting) != 1:
        what = " and ".join(fitting) if fitting else "no event table"
        raise Failure(f"the columns of {file} are those of {what}; say with --table which one is meant")
    return fitting[0]

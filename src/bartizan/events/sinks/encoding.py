"""The rows of a batch as one file for each event table: NDJSON, plain or gzip (RFC 1952), or Parquet.

The same batch always makes the same bytes of NDJSON; Parquet files of it hold the same rows.
"""

from __future__ import annotations

import gzip
import io
from typing import Any, Final

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS
from bartizan.events.sinks.contract import SinkFailed

_GZIP_LEVEL: Final = 6


class Encoder:
    """Encodes batches in one format, and names the files."""

    def __init__(self, datasets: list[Any] | None, file_format: str, compression: str) -> None:
        self._datasets = datasets or list(DATASETS)
        self._parquet = _Parquet() if file_format == "parquet" else None
        self._gzip = compression == "gzip" and self._parquet is None
        self.suffix = ".parquet" if self._parquet is not None else ".ndjson.gz" if self._gzip else ".ndjson"

    def files(self, batch: SpoolBatch) -> list[tuple[str, bytes]]:
        """Table and content, for each table of which there are rows."""
        encoded = ((table, self._encode(batch, table)) for table in self._datasets)
        return [(table, content) for table, content in encoded if content is not None]

    def _encode(self, batch: SpoolBatch, table: str) -> bytes | None:
        lines = batch.ndjson(table)
        if lines is None:
            return None
        if self._parquet is not None:
            columns = next(columns for name, columns in batch.tables if name == table)
            return self._parquet.encode(lines, columns)
        # The time of its making would make two files of one batch.
        return gzip.compress(lines, _GZIP_LEVEL, mtime=0) if self._gzip else lines


class _Parquet:
    """pyarrow, imported when it is used. Absent values are null."""

    def __init__(self) -> None:
        try:
            import pyarrow.parquet

            from bartizan.events import arrow
        except ImportError as error:
            raise SinkFailed(
                "Parquet needs pyarrow, which is not installed", "pip install 'bartizan[parquet]'"
            ) from error
        self._parquet: Any = pyarrow.parquet
        self._arrow: Any = arrow

    def encode(self, lines: bytes, columns: list[tuple[str, str, str]]) -> bytes:
        """A Parquet file of rows that are JSON objects on lines."""
        rows = self._arrow.table(lines, self._arrow.schema([(name, kind) for name, kind, _ in columns]))
        file = io.BytesIO()
        self._parquet.write_table(rows, file, compression="zstd")
        return file.getvalue()

"""Event tables as Arrow has them, and rows that are JSON objects on lines read as such. Imports pyarrow.

Absent values are null. Addresses and JSON documents are text.
"""

from __future__ import annotations

import io
from typing import Any, Final

import pyarrow as pa
import pyarrow.json

_TYPES: Final = {
    "bool": pa.bool_(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("ns", tz="UTC"),
    "labels": pa.list_(pa.string()),
}
"""Arrow's type of each column type; all others are text."""

_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""A row may be as large as a quarter of a MiB, and a block holds whole rows."""


def schema(columns: list[tuple[str, str]]) -> Any:
    """The Arrow schema of these columns, each a name and a type of the spool."""
    return pa.schema([(name, _TYPES.get(kind, pa.string())) for name, kind in columns])


def table(lines: bytes, of: Any) -> Any:
    """The rows of some lines as a table of that schema; names that it does not have are left out."""
    options = pa.json.ParseOptions(explicit_schema=of, unexpected_field_behavior="ignore")
    reading = pa.json.ReadOptions(block_size=_BLOCK_BYTES)
    return pa.json.read_json(io.BytesIO(lines), read_options=reading, parse_options=options)

"""Event tables as Arrow has them, and rows that are JSON objects on lines read as such. Imports pyarrow.

Absent values are null. Addresses and JSON documents are text.
"""

from __future__ import annotations

import io
from typing import Any, Final

import msgspec
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

_DOCUMENT: Final = {"type": "json"}
"""What the metadata of a field of JSON documents say."""

_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""A row may be as large as a quarter of a MiB, and a block holds whole rows."""


def schema(columns: list[tuple[str, str]]) -> Any:
    """The Arrow schema of these columns, each a name and a type of the spool."""
    return pa.schema(
        [
            pa.field(name, _TYPES.get(kind, pa.string()), metadata=_DOCUMENT if kind == "json" else None)
            for name, kind in columns
        ]
    )


def table(lines: bytes, of: Any) -> Any:
    """The rows of some lines as a table of that schema; names that it does not have are left out."""
    options = pa.json.ParseOptions(explicit_schema=of, unexpected_field_behavior="ignore")
    reading = pa.json.ReadOptions(block_size=_BLOCK_BYTES)
    return pa.json.read_json(io.BytesIO(_with_texts(lines, of)), read_options=reading, parse_options=options)


def _with_texts(lines: bytes, of: Any) -> bytes:
    """The lines with each JSON document as the text that it is to Arrow."""
    documents = {field.name for field in of if field.metadata}
    if not any(f'"{name}":{opening}'.encode() in lines for name in documents for opening in "{["):
        return lines
    decoder, encoder = msgspec.json.Decoder(dict[str, msgspec.Raw]), msgspec.json.Encoder()
    rows = [decoder.decode(line) for line in lines.splitlines()]
    for row in rows:
        for name in row.keys() & documents:
            document = bytes(row[name]).decode()
            if not document.startswith('"'):
                row[name] = msgspec.Raw(encoder.encode(document))
    return encoder.encode_lines(rows)

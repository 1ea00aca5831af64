"""Lists by file: one item on each line, as the JSON that the policy document holds.

A thousand lists of a thousand addresses are read by every apply, so a file without anything unusual in it is never
taken apart: its newlines become the commas of a JSON array (15 MB in 40 ms). Whether an item is an address is the
edge's to say.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["array", "line_of_item", "read"]

_PLAIN = bytes(sorted({*range(0x21, 0x7F), 0x0A} - set(b'"\\#')))
"""Bytes that stand for themselves in a JSON string and in a list file, and the newline between items."""


def read(path: Path) -> bytes:
    """The items of a list file as a JSON array. Raises OSError, or UnicodeDecodeError where it is not UTF-8."""
    return array(path.read_bytes())


def array(data: bytes) -> bytes:
    """The items of the text of a list file as a JSON array: blank lines and comments are left out."""
    rest = data.strip()
    while rest.startswith(b"#"):
        rest = rest.partition(b"\n")[2].lstrip()
    if not rest:
        return b"[]"
    if rest.translate(None, _PLAIN) or b"\n\n" in rest:
        return msgspec.json.encode([item for _, item in _items(data)])
    return b'["' + rest.replace(b"\n", b'","') + b'"]'


def line_of_item(data: bytes, index: int) -> int:
    """The line (from 1) on which the item at `index` (from 0) stands."""
    return _items(data)[index][0]


def _items(data: bytes) -> list[tuple[int, str]]:
    numbered = enumerate(data.decode("utf-8-sig").split("\n"), 1)
    stripped = ((number, _without_comment(line)) for number, line in numbered)
    return [(number, item) for number, item in stripped if item]


def _without_comment(line: str) -> str:
    """A `#` begins a comment at the start of a line or after white space, so that an item may contain one."""
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return (line if at < 0 else line[:at]).strip()

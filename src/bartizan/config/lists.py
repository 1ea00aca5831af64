"""Lists by file, as the JSON that the policy document holds.

A list may have a million items and is read by every apply, so nothing here looks at one: the native module reads the
file (`crates/edge/src/policy/list_file.rs` says what it may look like), and builds the list as the edge does.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

import bartizan._native as edge

__all__ = ["Counts", "Verdict", "counts", "line_of_item", "read", "verdict"]


class Counts(msgspec.Struct, frozen=True):
    """How many items a list has as written, how many of them expire or have, and how many have."""

    items: int
    expiring: int
    expired: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether a value is in a list now; in one of redirects with the status and where it leads."""

    matches: bool
    status: int | None = None
    location: str | None = None


def read(kind: str, path: Path) -> bytes:
    """The items of a list file as a JSON array. Raises OSError, or `bartizan._native.ListFileRefused`."""
    return edge.list_items(kind, path.read_bytes())


def line_of_item(kind: str, data: bytes, index: int) -> int | None:
    """The line (from 1) on which the item at `index` (from 0) stands in a list file, if there is one."""
    return edge.list_item_line(kind, data, index)


def counts(part: bytes) -> Counts:
    """How many items a list of a policy has. Raises ValueError for none."""
    return Counts(*edge.list_counts(part))


def verdict(part: bytes, value: str) -> Verdict:
    """What a list of a policy says of a value. Raises ValueError for a value of another kind."""
    matches, redirect = edge.list_holds(part, value)
    return Verdict(matches) if redirect is None else Verdict(matches, *redirect)

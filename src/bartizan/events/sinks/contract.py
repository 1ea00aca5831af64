"""What a sink is: something that keeps the rows of a range of the spool, and says for certain when it has."""

from __future__ import annotations

from typing import Protocol

from bartizan._native import SpoolBatch

FULL_ROWS = 65_536
"""Rows of a batch at most, for sinks that take a batch as one thing: one block of ClickHouse's usual size."""

FULL_BYTES = 32 * 1024 * 1024
"""Spool bytes of such a batch at most; bounds the owner's memory."""

SEGMENT_BYTES = 65 * 1024 * 1024
"""The same for ClickHouse: a segment of the usual size whole. The more comes at once, the less is merged later."""

ROWWISE_ROWS = 8192
"""Rows of a batch at most, for sinks that take rows one by one: so much is sent again after a failure."""

ROWWISE_BYTES = 4 * 1024 * 1024
"""Spool bytes of such a batch at most."""

SOON_S = 0.4
"""Seconds between batches where more would come for each that is not full: rows show within a second."""


class SinkFailed(Exception):  # noqa: N818  what failed is in the name
    """A sink did not take a batch, or not certainly; the same batch is to be given to it again.

    The text says what went wrong, and `way_out` what a person can do. Neither holds a secret. `wait_s` is how long the
    other side wants to be left alone, where it said so.
    """

    def __init__(self, text: str, way_out: str = "", wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.way_out = way_out
        self.wait_s = wait_s


class RowsRefused(Exception):  # noqa: N818  as above
    """A sink took a batch but for some rows, which it will never take: `(table, row as JSON, reason)` of each."""

    def __init__(self, rows: list[tuple[str, str, str]]) -> None:
        super().__init__(rows[0][2] if rows else "")
        self.rows = rows


class Sink(Protocol):
    """Where events go. One thread uses it."""

    batch_rows: int
    """Rows that it takes at once, at most."""
    batch_bytes: int
    """Bytes of the spool that it takes at once, at most."""
    pause_s: float
    """Seconds to wait for more after a batch behind which there was nothing."""

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Keeps the rows of `batch` unless rows of that token are kept already. Raises SinkFailed and RowsRefused."""

    def close(self) -> None:
        """Lets go of connections and files. Raises nothing."""

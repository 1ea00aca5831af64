"""Rows that a sink refused for good: kept as JSON on lines, so that a person can look at them and send them again.

The journal notes how long the file is. What stands behind that was written for a range that is about to be given to the
sink again, and is cut off first: so each refused row stands in it once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

MAX_BYTES: Final = 32 * 1024 * 1024
"""A file of this size is put aside, with `.1` behind its name, in place of the one that was there."""


@contextmanager
def locked(file: Path) -> Iterator[BinaryIO]:
    """The file, made where it is missing, open for reading and writing, with a lock that keeps others waiting.

    Raises OSError.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as handle:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # A purge may have put another one in its place while this waited.
            if file.exists() and file.stat().st_ino == os.fstat(descriptor).st_ino:
                yield handle
                return


class DeadLetter:
    """The dead letters of one sink."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, rows: list[tuple[str, str, str]], token: str, known_bytes: int) -> int:
        """Adds `(table, row as JSON, reason)` of each row behind the first `known_bytes`; returns the new length.

        Raises OSError.
        """
        lines = b"".join(
            msgspec.json.encode({"batch": token, "table": table, "reason": reason, "row": msgspec.Raw(row.encode())})
            + b"\n"
            for table, row, reason in rows
        )
        if known_bytes + len(lines) > MAX_BYTES and known_bytes:
            self._cut(known_bytes)
            self.file.rename(self.file.with_name(f"{self.file.name}.1"))
            known_bytes = 0
        with locked(self.file) as handle:
            descriptor = handle.fileno()
            # Another file than the journal knows, put aside or emptied since, has nothing worth keeping behind its end.
            known_bytes = min(known_bytes, os.fstat(descriptor).st_size)
            handle.truncate(known_bytes)
            handle.seek(known_bytes)
            handle.write(lines)
            handle.flush()
            os.fsync(descriptor)
        return known_bytes + len(lines)

    def _cut(self, known_bytes: int) -> None:
        if self.file.exists():
            os.truncate(self.file, min(known_bytes, self.file.stat().st_size))
        else:
            self.file.touch(mode=0o600)

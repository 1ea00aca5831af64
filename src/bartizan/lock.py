"""One process for one job: `sole` refuses the second and holds the process id of the first, `in_turn` lets it wait.

The kernel drops the lock with the process, however it ends, so nothing is ever stale.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bartizan.failure import Failure

_ATTEMPTS = 10
_BETWEEN_S = 0.05


@contextmanager
def sole(file: Path, what: str, way_out: str) -> Iterator[int]:
    """Be the only `what` of the state directory while the block runs; the descriptor that holds the lock.

    Raises Failure, naming the process id of the other one and `way_out`, where there is another.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(descriptor):
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Failure(f"{what} runs here already (process {owner}, {file}); {way_out}")
        sign(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def sign(descriptor: int) -> None:
    """Writes into the file of a lock that this process holds it: its own, or one that another process passed on."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _taken(descriptor: int) -> bool:
    """Whether the lock could be had. `owner` holds it for a moment to ask, which is no reason to refuse a start."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_S)
        else:
            return True
    return False


def release(descriptor: int) -> None:
    """Gives up this process's share in a lock that it passed on; the number stays in use until its owner closes it."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Run the block when nobody else is in one with the same file, threads of this process included."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def owner(file: Path) -> int | None:
    """The process that holds the lock; None where nobody does."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Whoever may not open the file could not use what its owner serves, either.
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(descriptor)

"""Writing files that another process reads, and that only the owner may."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

__all__ = [
    "remove_abandoned",
    "replace",
    "replace_many",
    "replacing",
    "sync",
    "sync_directory",
    "write",
    "write_through",
]

_GET_ATTRIBUTES: Final = 0x8008_6601
_SET_ATTRIBUTES: Final = 0x4008_6602
_SYNCHRONOUS: Final = 0x8
"""`FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS` and `FS_SYNC_FL` (ioctl_iflags(2))."""

_NO_ATTRIBUTES: Final = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)

_BESIDE = re.compile(r"\.(.+)\.(\d+)\.\d+", re.ASCII)


def replace(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Puts a file in place whole and durably: written beside, fsynced, renamed, and the directory fsynced.

    A reader sees the old file or the new one, also after a power cut. Raises OSError.
    """
    with replacing(file, mode) as handle:
        handle.write(content)


@contextmanager
def replacing(file: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file to write, put in place as by `replace` when the block ends well; else nothing has changed.

    Raises OSError.
    """
    with _beside(file, mode) as handle:
        yield handle
        handle.flush()
        os.fsync(handle.fileno())
    sync_directory(file.parent)


def replace_many(files: dict[Path, bytes], mode: int = 0o600) -> None:
    """Puts files in place as `replace` does, with one sync for all: a thousand fsyncs take ten seconds.

    Raises OSError.
    """
    for file, content in files.items():
        with _beside(file, mode) as handle:
            handle.write(content)
    os.sync()


def write(file: Path, pieces: Iterable[bytes], mode: int = 0o600) -> None:
    """Puts a file in place whole, and not yet durably: see `sync`. Raises OSError."""
    with _beside(file, mode) as handle:
        handle.writelines(pieces)


def sync(file: Path) -> None:
    """Makes the content of a file durable. Raises OSError."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def remove_abandoned(directory: Path, of: str | None = None) -> None:
    """Removes what processes that were killed left half-written in a directory: it may hold keys.

    `of` is the name of the file that it was to become, in a directory that is not ours; None for all.
    """
    for entry in os.scandir(directory):
        half_written = _BESIDE.fullmatch(entry.name)
        if half_written is None or of not in (None, half_written[1]):
            continue
        if not Path(f"/proc/{half_written[2]}").exists():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)  # noqa: PTH108  a DirEntry


@contextmanager
def _beside(file: Path, mode: int) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `file` when all went well."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as handle:
            yield handle
        beside.chmod(mode)
        beside.rename(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_through(path: Path) -> bool:
    """Has what is written to a file, or to files made in a directory from now on, on the disk before the write returns.

    It holds for files that are opened after that, by whomever (the attribute `S` of chattr(1)). Returns whether it is
    new: not where it was so before, nor on a file system that has no such attribute. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        (attributes,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_ATTRIBUTES, bytes(8)))
        if attributes & _SYNCHRONOUS:
            return False
        fcntl.ioctl(descriptor, _SET_ATTRIBUTES, struct.pack("l", attributes | _SYNCHRONOUS))
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return False
        raise
    else:
        return True
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Makes renames in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The combined access log, as web servers write it: one line for each request, in a file or on standard output.

    198.51.100.7 - - [21/Nov/2026:13:29:34 +0000] "GET /a?b HTTP/1.1" 200 612 "https://shop.example/" "curl/8"

Exactly once in a file that nobody but this sink writes: before a batch is written, the length of the file is noted, and
a batch that was cut short is cut off and written again. Where the file was rotated in between, its lines may be in the
old file and in the new one. The file is opened for each batch, so one that was renamed is left alone and a new one
begun. Standard output, pipes and devices are at least once.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from bartizan._native import SpoolBatch
from bartizan.config.sinks import AccessLog
from bartizan.durable import replace
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, SinkFailed

_COLUMNS: Final = (
    "ClientIP", "EdgeStartTimestamp", "ClientRequestMethod", "ClientRequestURI", "ClientRequestProtocol",
    "EdgeResponseStatus", "EdgeResponseBodyBytes", "ClientRequestReferer", "ClientRequestUserAgent",
)  # fmt: skip

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not as the locale of the process has them."""

_ESCAPED: Final = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\x{code:02x}" for code in (*range(32), 127)}
"""What would end a quoted part or a line."""


class _Begun(msgspec.Struct):
    """The batch that is being written, and where in which file it begins."""

    token: str
    inode: int
    length: int


class AccessLogSink:
    """Writes lines to the file of the settings. `directory` is where the sink keeps what it must know."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: AccessLog, directory: Path) -> None:
        self._file = Path(settings.file) if settings.file is not None else None
        self._note = directory / "access-log.json"

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Writes a line for each request of the batch."""
        lines = "".join(map(line, batch.values("http_requests", _COLUMNS))).encode(errors="replace")
        if not lines:
            return
        try:
            if self._file is None:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
            else:
                self._append(self._file, lines, token)
        except OSError as error:
            what = str(self._file or "standard output")
            way_out = "make room, or give the user of Bartizan the right to write there"
            raise SinkFailed(f"cannot write to {what}: {error.strerror}", way_out) from error

    def close(self) -> None:
        """Nothing is open between batches."""

    def _append(self, file: Path, lines: bytes, token: str) -> None:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "ab") as handle:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                # A pipe or a device has no length, and nothing can be taken back from it.
                handle.write(lines)
                return
            begun = self._begun()
            if begun is not None and (begun.token, begun.inode) == (token, status.st_ino):
                # Given again: what there is of it is cut off, unless the file was emptied since.
                handle.truncate(min(begun.length, status.st_size))
            else:
                replace(self._note, msgspec.json.encode(_Begun(token, status.st_ino, status.st_size)))
            handle.write(lines)
            handle.flush()
            os.fsync(descriptor)

    def _begun(self) -> _Begun | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=_Begun)
        except FileNotFoundError:
            return None


def line(values: tuple[Any, ...]) -> str:
    """One line, of the values of `_COLUMNS`; what is not known is a dash."""
    address, start_ns, method, uri, protocol, status, size, referer, agent = values
    moment = time.gmtime((start_ns or 0) // 1_000_000_000)
    stamp = (
        f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year}:{time.strftime('%H:%M:%S', moment)} +0000"
    )
    request = " ".join(part for part in (method, uri, protocol) if part)
    return (
        f'{address or "-"} - - [{stamp}] "{_quoted(request)}" {status or "-"} {size or "-"} '
        f'"{_quoted(referer)}" "{_quoted(agent)}"\n'
    )


def _quoted(text: str | None) -> str:
    return text.translate(_ESCAPED) if text else "-"

"""Syslog (RFC 5424): a message for each event, over TCP, TLS, UDP or a Unix socket.

TCP and TLS carry the length of each message in front (RFC 6587 §3.4.1), UDP one message in each datagram (RFC 5426).
Syslog has no answers, so nobody can promise that a message was kept. Over TCP and TLS a batch has arrived when the
peer's system has acknowledged every byte and has not closed the connection; one that was cut short is sent again from
its beginning, so events may come twice. Over UDP and Unix sockets a message that was handed to the system counts as
sent.

The message is the row as a JSON object; `cef.py` puts another in its place. A message that is too long for a datagram
is refused for good.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import socket
import ssl
import termios
import time
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bartizan._native import SpoolBatch
from bartizan.config.sinks import DATASETS, FACILITIES, Cef, Syslog
from bartizan.events.sinks.contract import ROWWISE_BYTES, ROWWISE_ROWS, SOON_S, RowsRefused, SinkFailed

_TIMEOUT_S: Final = 30.0
_LOOK_S: Final = 0.005

_INFORMATIONAL: Final = 6
_WARNING: Final = 4
"""Severities (RFC 5424 §6.2.1): of what was let pass, and of what a rule acted on or the edge refused."""

_TIME: Final = {"http_requests": "EdgeStartTimestamp"}
_PRINTABLE: Final = range(33, 127)
_UNREACHED: Final = "see whether it runs and can be reached"


class Message(NamedTuple):
    """What a message says of an event, and how much it matters."""

    moment: str
    severity: int
    text: str


class SyslogSink:
    """Sends batches to the address of the settings."""

    batch_rows = ROWWISE_ROWS
    batch_bytes = ROWWISE_BYTES
    pause_s = SOON_S

    def __init__(self, settings: Syslog | Cef) -> None:
        self._settings = settings
        self._datasets = settings.datasets or list(DATASETS)
        self._facility = FACILITIES.index(settings.facility) * 8
        self._host = _header(socket.gethostname())
        self._socket: socket.socket | None = None

    def insert(self, batch: SpoolBatch, token: str) -> None:  # noqa: ARG002  syslog knows no repetition
        """Sends a message for each row of the batch."""
        if self._settings.address.startswith(("tcp:", "tls:")):
            self._send_stream(b"".join(_counted(message) for _, _, message in self._messages(batch)))
        else:
            self._send_datagrams(batch)

    def close(self) -> None:
        """Ends the connection."""
        connected, self._socket = self._socket, None
        if connected is not None:
            connected.close()

    def message(self, table: str, row: str) -> Message:
        """What the message says of a row, which is a JSON object."""
        values = json.loads(row)
        acted = table != "http_requests" or bool(values.get("SecurityAction"))
        moment = str(values.get(_TIME.get(table, "Datetime"), "-"))
        return Message(moment, _WARNING if acted else _INFORMATIONAL, row)

    def _messages(self, batch: SpoolBatch) -> Iterator[tuple[str, str, bytes]]:
        """Table, row and whole message of each row."""
        for table, row in batch.json_rows():
            if table in self._datasets:
                said = self.message(table, row)
                priority = self._facility + said.severity
                head = f"<{priority}>1 {_microseconds(said.moment)} {self._host} bartizan - {table} - "
                yield table, row, head.encode() + said.text.encode(errors="replace")

    def _send_stream(self, content: bytes) -> None:
        connected = self._socket or self._connect()
        try:
            connected.sendall(content)
            _await_acknowledgement(connected)
        except OSError as error:
            self.close()
            raise SinkFailed(f"{self._settings.address} took no whole batch: {_why(error)}", _UNREACHED) from error

    def _send_datagrams(self, batch: SpoolBatch) -> None:
        connected = self._socket or self._connect()
        refused: list[tuple[str, str, str]] = []
        for table, row, message in self._messages(batch):
            try:
                connected.send(message)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    refused.append((table, row, f"the message has {len(message)} bytes, too many for a datagram"))
                    continue
                self.close()
                raise SinkFailed(f"{self._settings.address} takes no messages: {_why(error)}", _UNREACHED) from error
        if refused:
            raise RowsRefused(refused)

    def _connect(self) -> socket.socket:
        try:
            self._socket = _connected(self._settings.address, self._settings.ca_file)
        except OSError as error:
            raise SinkFailed(f"{self._settings.address} cannot be reached: {_why(error)}", _UNREACHED) from error
        return self._socket


def _connected(address: str, ca_file: str | None) -> socket.socket:
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        return _unix(rest)
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 0
    if scheme == "udp":
        family, kind, protocol, _, peer = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.connect(peer)
        return made
    plain = socket.create_connection((host, port), _TIMEOUT_S)
    if scheme == "tcp":
        return plain
    try:
        return ssl.create_default_context(cafile=ca_file).wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.settimeout(_TIMEOUT_S)
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


def _await_acknowledgement(connected: socket.socket) -> None:
    """Waits until the peer's system has all that was sent. Raises OSError where it hangs up or takes too long."""
    unacknowledged = array.array("i", [0])
    end = time.monotonic() + _TIMEOUT_S
    while True:
        fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, unacknowledged)
        _see_that_it_is_open(connected)
        if not unacknowledged[0]:
            return
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, "it acknowledged only a part")
        time.sleep(_LOOK_S)


def _see_that_it_is_open(connected: socket.socket) -> None:
    """A collector says nothing, so what can be read is the end. Raises OSError."""
    connected.settimeout(0)
    try:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            if not connected.recv(4096):
                raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
    finally:
        connected.settimeout(_TIMEOUT_S)


def _counted(message: bytes) -> bytes:
    return b"%d %b" % (len(message), message)


def _header(text: str) -> str:
    """A header field: printable ASCII without spaces, a dash where nothing is left."""
    return "".join(letter for letter in text if ord(letter) in _PRINTABLE)[:255] or "-"


def _microseconds(moment: str) -> str:
    """A timestamp of a row with the six digits that RFC 5424 §6.2.3 allows: rows have nine."""
    seconds, dot, fraction = moment.removesuffix("Z").partition(".")
    return f"{seconds}{dot}{fraction[:6]}Z" if moment.endswith("Z") else moment


def _why(error: OSError) -> str:
    return error.strerror or str(error)

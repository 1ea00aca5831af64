"""A client of HTTP/2 that frames what it is told, allowed or not (RFC 9113), and reads what comes back.

Header blocks are encoded by `hpack`, which checks nothing; frames are packed here, so that every field can lie.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

import hpack
from tests.e2e.client import connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Frame types (§6)."""

END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
"""Flags."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(
    7
)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(7, 12)
"""Error codes (§7)."""

Fields = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame; `length` is what its header says where that is not what follows."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block without indexing, so that it stands for itself on any connection."""
    encoded = b""
    for name, value in fields:
        encoded += b"\x00" + _text(name) + _text(value)
    return encoded


def _text(text: bytes) -> bytes:
    # A string literal without Huffman coding (RFC 7541 §5.2), its length as an integer with a 7-bit prefix (§5.1).
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    size -= 127
    prefix = bytearray([127])
    while size >= 128:
        prefix.append(size % 128 + 128)
        size //= 128
    prefix.append(size)
    return bytes(prefix) + text


def headers(fields: Iterable[tuple[bytes, bytes]], stream: int = 1, flags: int = END_HEADERS | END_STREAM) -> bytes:
    """A HEADERS frame."""
    return frame(HEADERS, flags, stream, block(fields))


def data(content: bytes, stream: int = 1, flags: int = END_STREAM) -> bytes:
    """A DATA frame."""
    return frame(DATA, flags, stream, content)


@dataclass
class Stream:
    """What came on a stream."""

    status: int | None = None
    fields: Fields = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more can come."""
        return self.ended or self.reset is not None


class Http2:
    """A connection with prior knowledge; a context manager."""

    def __init__(self, port: int, settings: bytes = b"") -> None:
        """Connects and sends preface and SETTINGS."""
        self.connection = connect(port)
        self.streams: dict[int, Stream] = {}
        self.goaway: int | None = None
        self.closed = False
        self.pongs: list[bytes] = []
        self._decoder = hpack.Decoder()
        self._input = b""
        self.send(PREFACE, frame(SETTINGS, 0, 0, settings))

    def send(self, *frames: bytes) -> bool:
        """Sends in one write; whether the edge still takes it. What it said before it closed can be read."""
        try:
            self.connection.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ask(self, target: bytes, method: bytes = b"GET", stream: int = 1) -> Stream:
        """A request without content, and what came of it."""
        self.send(headers(request(target, method), stream))
        return self.wait(stream)

    def stream(self, number: int) -> Stream:
        """What came on a stream so far."""
        return self.streams.setdefault(number, Stream())

    def wait(self, number: int) -> Stream:
        """Reads until the stream has ended or the connection is refused. `TimeoutError` after 10 s of silence."""
        while not (self.stream(number).done or self.goaway is not None or self.closed):
            self.read()
        return self.stream(number)

    def wait_pong(self, mark: bytes = b"fenced!!") -> None:
        """Sends a PING and reads until it is answered or the connection is refused."""
        self.send(frame(PING, 0, 0, mark))
        while not (mark in self.pongs or self.goaway is not None or self.closed):
            self.read()

    def wait_closed(self) -> None:
        """Reads until the edge closes."""
        while not self.closed:
            self.read()

    def read(self) -> None:
        """Reads once and takes the frames that are whole."""
        try:
            received = self.connection.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        self.closed |= not received
        self._input += received
        while len(self._input) >= 9:
            size = int.from_bytes(self._input[:3])
            if len(self._input) < 9 + size:
                break
            kind, flags, stream = struct.unpack(">BBI", self._input[3:9])
            payload, self._input = self._input[9 : 9 + size], self._input[9 + size :]
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8])
        elif kind == RST_STREAM:
            self.stream(number).reset = int.from_bytes(payload)
        elif kind == DATA:
            self.stream(number).body += payload
            if payload:
                self.send(*(frame(WINDOW_UPDATE, 0, of, struct.pack(">I", len(payload))) for of in (0, number)))
        elif kind == HEADERS:
            if not flags & END_HEADERS:
                raise NotImplementedError("the edge sent CONTINUATION, which no test makes it do")
            self._take_fields(self.stream(number), payload)
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            self.stream(number).ended = True

    def _take_fields(self, stream: Stream, payload: bytes) -> None:
        fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(payload, raw=True)]
        status = int(dict(fields).get(b":status", b"0"))
        if 100 <= status < 200:
            stream.interim.append(status)
        elif status:
            stream.status, stream.fields = status, fields
        else:
            stream.fields += fields

    def __enter__(self) -> Http2:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.connection.close()


def request(target: bytes = b"/", method: bytes = b"GET", authority: bytes = b"shop.test") -> Fields:
    """The fields of a request that nobody minds."""
    return [(b":method", method), (b":scheme", b"http"), (b":authority", authority), (b":path", target)]


def half_closed(client: Http2) -> None:
    """Tells the edge that no more frames will come."""
    client.connection.shutdown(socket.SHUT_WR)

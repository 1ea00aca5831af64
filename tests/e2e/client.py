"""A client that sends what it is told and nothing else."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from tests.e2e import strict

PATIENCE_S = 30.0
"""Longer than a peer is silent that still has something to say, on a busy machine too."""


@dataclass
class Answer:
    """A response as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes
    closed: bool


def connect(port: int, tls: ssl.SSLContext | None = None, name: str = "shop.test") -> socket.socket:
    """A connection to the edge at `port`."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    return tls.wrap_socket(connection, server_hostname=name) if tls else connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Everything that comes, which ends with `end`."""
    received = b""
    while not received.endswith(end):
        data = connection.recv(1 << 20)
        assert data, f"the peer closed after {received!r}"
        received += data
    return received


def read_to_end(connection: socket.socket) -> bytes:
    """Everything that comes until the peer closes or resets the connection."""
    received = b""
    try:
        while data := connection.recv(1 << 20):
            received += data
    except ConnectionResetError:
        pass
    return received


def read_answer(connection: socket.socket, method: bytes = b"GET") -> tuple[bytes, bool]:
    """All that comes, and whether the peer closed by itself: it is told the end once a whole answer is there.

    Over TLS, which has no half-closed connections, nothing is read behind a whole answer but the end that it announces.
    """
    received, said_end = b"", False
    while True:
        try:
            data = connection.recv(1 << 16)
        except ConnectionResetError:
            return received, not said_end
        if not data:
            return received, not said_end
        received += data
        answer = strict.response(received, method)
        if answer and answer.whole and not said_end and b"\r\nconnection: close\r\n" not in received.lower():
            if isinstance(connection, ssl.SSLSocket):
                return received, False
            said_end = True
            connection.shutdown(socket.SHUT_WR)


def parse(raw: bytes, *, closed: bool) -> Answer:
    """The last response in `raw`, informational ones skipped."""
    rest = raw
    while True:
        head, _, body = rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= 200 or status == 101 or not body:
            break
        rest = body
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(
        status, headers, dechunk(body) if headers.get("transfer-encoding") == "chunked" else body, raw, closed
    )


def dechunk(data: bytes) -> bytes:
    """The content of a chunked body."""
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        content, data = content + data[:length], data[length + 2 :]
    return content


def ask(port: int, raw: bytes, *, tls: ssl.SSLContext | None = None) -> Answer:
    """Sends `raw`, which is one request, on a connection of its own and reads the answer."""
    with connect(port, tls) as connection:
        connection.sendall(raw)
        received, closed = read_answer(connection, raw.split(b" ", 1)[0])
    assert received, f"no answer to {raw[:80]!r}"
    return parse(received, closed=closed)

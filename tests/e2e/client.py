"""A client that sends what it is told and nothing else."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass


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
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return tls.wrap_socket(connection, server_hostname=name) if tls else connection


def read_until_quiet(connection: socket.socket, quiet_s: float = 0.5, most_s: float = 10) -> tuple[bytes, bool]:
    """Everything that comes until nothing has for `quiet_s` seconds, and whether the peer closed."""
    received, end = b"", time.monotonic() + most_s
    while time.monotonic() < end:
        connection.settimeout(quiet_s if received else max(quiet_s, 3))
        try:
            data = connection.recv(1 << 20)
        except (TimeoutError, ssl.SSLWantReadError):
            return received, False
        except ConnectionResetError:
            return received, True
        if not data:
            return received, True
        received += data
    return received, False


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


def ask(port: int, raw: bytes, *, quiet_s: float = 0.3, tls: ssl.SSLContext | None = None) -> Answer:
    """Sends `raw` on a connection of its own and reads the answer."""
    with connect(port, tls) as connection:
        connection.sendall(raw)
        received, closed = read_until_quiet(connection, quiet_s)
    assert received, f"no answer to {raw[:80]!r}"
    return parse(received, closed=closed)

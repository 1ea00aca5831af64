"""HTTP/1.1 and TLS around the auditor's answers: sockets, deadlines and bounds, and who a client certificate is of.

The grammar is `h11`'s (RFC 9112), sans-io; a request is handed on only when it is whole. A thread for each connection,
as many as `connections` says, and a quarter of them for one address: a client that is slow is slow for itself.
Certificates are asked for and never required, as reading is for everybody; one that no known authority signed ends the
handshake.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Self

import h11
import msgspec

from bartizan.failure import Failure
from bartizan.transparency.api import Answer, Request

__all__ = ["Listener", "Tls", "tls_context"]

_HEAD_BYTES: Final = 16 * 1024
_BODY_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 16 * 1024
_LEFT_BYTES: Final = 256 * 1024
_REQUEST_S: Final = 10.0
"""For a whole request, handshake or head or body or all three, and again for its answer."""

_IDLE_S: Final = 15.0
"""Between two requests of a connection."""

_POLL_S: Final = 0.5
_BACKLOG: Final = 128

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)

_log = logging.getLogger("bartizan.transparency")


class Tls(NamedTuple):
    """The files of a TLS listener. Without `client_ca_file` nobody is asked for a certificate."""

    certificate_file: str
    key_file: str
    client_ca_file: str | None


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What handshakes go by. Raises Failure where a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"the certificate {tls.certificate_file} with the key {tls.key_file} cannot be used: {_reason(error)}"
        ) from error
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"the authorities in {tls.client_ca_file} cannot be used: {_reason(error)}") from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class Listener:
    """Listens on addresses ("127.0.0.1:9420", "[::1]:9420") while the block runs.

    Raises Failure where one cannot be bound.
    """

    def __init__(
        self,
        plain: Sequence[str],
        encrypted: Sequence[str],
        context: ssl.SSLContext | None,
        answer: Callable[[Request], Answer],
        *,
        connections: int,
    ) -> None:
        self._answer = answer
        self._stopping = threading.Event()
        self._room = _Room(connections)
        self._sockets: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        with contextlib.ExitStack() as opened:
            for addresses, over in ((plain, None), (encrypted, context)):
                for address in addresses:
                    self._sockets.append((opened.enter_context(_bound(address)), over))
            self._opened = opened.pop_all()
        self._threads = [
            threading.Thread(target=self._accept, args=each, name="listener", daemon=True) for each in self._sockets
        ]

    @property
    def listening(self) -> list[tuple[str, bool]]:
        """The addresses that it listens on, and whether they speak TLS; with the port that the system chose."""
        return [(_shown(bound.getsockname()), context is not None) for bound, context in self._sockets]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._opened.close()
        self._room.wait_until_empty(_REQUEST_S)

    def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        listening.settimeout(_POLL_S)
        while not self._stopping.is_set():
            try:
                connection, peer = listening.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Out of descriptors, say: those in use are given back soon.
                _log.warning("no connection can be taken: %s", error.strerror)
                self._stopping.wait(_POLL_S)
                continue
            host = str(peer[0])
            if not self._room.enter(host):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection, host, context), name="client", daemon=True).start()

    def _serve(self, connection: socket.socket, host: str, context: ssl.SSLContext | None) -> None:
        try:
            with connection:
                deadline = _Deadline(_REQUEST_S)
                if context is None:
                    self._exchanges(connection, frozenset(), deadline)
                else:
                    connection.settimeout(deadline.left())
                    with context.wrap_socket(connection, server_side=True) as encrypted:
                        self._exchanges(encrypted, certificate_names(encrypted.getpeercert()), deadline)
        except (OSError, h11.ProtocolError):
            # A client that leaves, or is too slow, or speaks something else, is no news.
            return
        finally:
            self._room.leave(host)

    def _exchanges(self, connection: socket.socket, names: frozenset[str], deadline: _Deadline) -> None:
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        while not self._stopping.is_set():
            try:
                request = _received(connection, protocol, names, deadline)
                if request is None:
                    return
                answer = self._answer(request)
                if request.method == "HEAD":
                    answer = msgspec.structs.replace(answer, body=b"")
            except _BodyTooLong:
                answer = _plain(413, f"a body has at most {_BODY_BYTES:,} bytes")
            except h11.RemoteProtocolError as error:
                if protocol.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
                    return
                answer = _plain(error.error_status_hint, "the request is not HTTP/1.1 as RFC 9112 has it")
            _send(connection, protocol, answer, _Deadline(_REQUEST_S))
            if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                _leave(connection, _Deadline(_REQUEST_S))
                return
            protocol.start_next_cycle()
            deadline = _Deadline(_IDLE_S)


class _BodyTooLong(Exception):  # noqa: N818  named for what it says
    """A body that is not read to its end."""


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Room:
    """How many connections there are, in all and of each address."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: Counter[str] = Counter()
        self._changed = threading.Condition()

    def enter(self, host: str) -> bool:
        """Whether there is room for one more of this address; if so it is taken."""
        with self._changed:
            if self._of.total() >= self._most or self._of[host] >= self._most // 4:
                return False
            self._of[host] += 1
            return True

    def leave(self, host: str) -> None:
        with self._changed:
            self._of[host] -= 1
            if not self._of[host]:
                del self._of[host]
            self._changed.notify_all()

    def wait_until_empty(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._of, seconds)


def certificate_names(certificate: dict[str, Any] | None) -> frozenset[str]:
    """The host names, URIs and e-mail addresses in the subject's alternative names of a verified certificate.

    Not its common name, which RFC 6125 has left behind and some authorities fill with what they were asked for.
    """
    if not certificate:
        return frozenset()
    kinds = {"DNS", "URI", "email"}
    return frozenset(value for kind, value in certificate.get("subjectAltName", ()) if kind in kinds)


def _received(
    connection: socket.socket, protocol: h11.Connection, names: frozenset[str], deadline: _Deadline
) -> Request | None:
    """The next request, whole; None where the client has ended the connection. Raises TimeoutError."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                connection.settimeout(deadline.left())
                connection.sendall(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.settimeout(deadline.left())
            protocol.receive_data(connection.recv(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
            # A connection that was quiet between two requests has the time of a request from here on.
            deadline = _Deadline(_REQUEST_S)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_BYTES:
                raise _BodyTooLong
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            accepts = b",".join(value for name, value in head.headers if name == b"accept")
            target = head.target.decode("ascii", "replace")
            return Request(head.method.decode("ascii"), target, bytes(body), names, b"text/html" in accepts)
        else:
            return None


def _send(connection: socket.socket, protocol: h11.Connection, answer: Answer, deadline: _Deadline) -> None:
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *_HEADERS]
    if protocol.their_state is not h11.DONE:
        headers.append(("Connection", "close"))
    pieces = (
        protocol.send(h11.Response(status_code=answer.status, headers=headers)),
        protocol.send(h11.Data(data=answer.body)),
        protocol.send(h11.EndOfMessage()),
    )
    message = memoryview(b"".join(piece or b"" for piece in pieces))
    while message:
        connection.settimeout(deadline.left())
        message = message[connection.send(message) :]


def _leave(connection: socket.socket, deadline: _Deadline) -> None:
    """Ends a connection of which not all was read: closed at once, it would take the answer with it (RFC 9112 §9.6)."""
    if not isinstance(connection, ssl.SSLSocket):
        connection.shutdown(socket.SHUT_WR)
    left = _LEFT_BYTES
    while left > 0:
        connection.settimeout(deadline.left())
        more = connection.recv(_READ_BYTES)
        if not more:
            return
        left -= len(more)


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise Failure(
            f"the auditor cannot listen on {address}: {error.strerror}; choose another address, or see who has it with "
            f"`ss -ltnp 'sport = :{port}'`"
        ) from error


def _shown(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(status: int, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

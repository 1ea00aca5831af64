"""The auditor behind real sockets: who a certificate is of, and what a client may not do to others."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from bartizan.failure import Failure
from bartizan.transparency import listener as listeners
from bartizan.transparency.api import Answer, Request
from bartizan.transparency.listener import Listener, Tls, tls_context

PATIENCE_S = 300.0

Start = Callable[..., Listener]


def told(request: Request) -> Answer:
    """Says what the listener made of a request."""
    seen = {
        "method": request.method,
        "target": request.target,
        "body": request.body.decode(),
        "names": sorted(request.names),
        "html": request.accepts_html,
    }
    return Answer(200, "application/json", json.dumps(seen).encode())


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def listen(context: ssl.SSLContext | None = None, connections: int = 64) -> Listener:
            plain, encrypted = ([], ["127.0.0.1:0"]) if context else (["127.0.0.1:0"], [])
            return stack.enter_context(Listener(plain, encrypted, context, told, connections=connections))

        yield listen


def port(listener: Listener) -> int:
    ((address, _),) = listener.listening
    return int(address.rpartition(":")[2])


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port(listener)), timeout=PATIENCE_S)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = Tls(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"), str(tmp_path / "ca.pem"))
    return tls_context(files)


def names_seen(listener: Listener, authority: trustme.CA, certificate: trustme.LeafCert | None) -> list[str]:
    client = ssl.create_default_context()
    authority.configure_trust(client)
    if certificate is not None:
        certificate.configure_cert(client)
    connection = http.client.HTTPSConnection("127.0.0.1", port(listener), timeout=PATIENCE_S, context=client)
    try:
        connection.request("GET", "/")
        names: list[str] = json.loads(connection.getresponse().read())["names"]
        return names
    finally:
        connection.close()


def test_a_client_certificate_names_its_owner_and_is_not_required(
    start: Start, context: ssl.SSLContext, authority: trustme.CA
) -> None:
    listener = start(context)
    certificate = authority.issue_cert("publisher.log.example", "ops@log.example")
    assert names_seen(listener, authority, None) == []
    assert names_seen(listener, authority, certificate) == ["ops@log.example", "publisher.log.example"]


def test_a_common_name_is_no_name(start: Start, context: ssl.SSLContext, authority: trustme.CA) -> None:
    listener = start(context)
    certificate = authority.issue_cert("other.example", common_name="publisher.log.example")
    assert names_seen(listener, authority, certificate) == ["other.example"]


def test_a_certificate_of_another_authority_ends_the_handshake(
    start: Start, context: ssl.SSLContext, authority: trustme.CA
) -> None:
    listener = start(context)
    forged = trustme.CA().issue_cert("publisher.log.example")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        names_seen(listener, authority, forged)
    assert names_seen(listener, authority, None) == []


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    file = str(tmp_path / "x.pem")
    with pytest.raises(Failure, match=f"the certificate {file} with the key {file} cannot be used"):
        tls_context(Tls(file, file, None))


def test_a_request_is_handed_on_whole_and_the_connection_kept(start: Start) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port(start()), timeout=PATIENCE_S)
    for number in range(3):
        connection.request("POST", f"/namespaces?x={number}", b"abc", {"Accept": "text/html,*/*"})
        answer = connection.getresponse()
        assert json.loads(answer.read()) == {
            "method": "POST",
            "target": f"/namespaces?x={number}",
            "body": "abc",
            "names": [],
            "html": True,
        }
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    connection.close()


def test_a_client_that_waits_to_be_told_to_go_on_is_told(start: Start) -> None:
    with connected(start()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"ok")
        assert b'"body": "ok"' in connection.recv(65536)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"y" * 70_000, b"413"),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_answered_and_the_connection_ended(start: Start, sent: bytes, status: bytes) -> None:
    listener = start()
    with connected(listener) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection).startswith(b"HTTP/1.1 " + status)
    with connected(listener) as connection:
        connection.sendall(b"GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'"target": "/after"' in everything(connection)


def test_a_head_is_answered_without_a_body(start: Start) -> None:
    with connected(start()) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_client_that_is_slow_is_left(start: Start, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_REQUEST_S", 0.2)
    monkeypatch.setattr(listeners, "_IDLE_S", 0.2)
    with connected(start()) as connection:
        connection.sendall(sent)
        assert everything(connection) == b""


def test_a_client_that_never_finishes_its_handshake_is_left(
    start: Start, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_REQUEST_S", 0.2)
    with connected(start(context)) as connection:
        connection.sendall(b"\x16\x03\x01")
        assert everything(connection) == b""


def test_one_address_takes_a_quarter_of_the_connections(start: Start) -> None:
    listener = start(connections=8)
    with ExitStack() as stack:
        held = [stack.enter_context(connected(listener)) for _ in range(2)]
        for connection in held:
            connection.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"/held" in connection.recv(65536)
        with connected(listener) as refused:
            assert everything(refused) == b""
        held[0].sendall(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"/again" in held[0].recv(65536)


def test_an_address_that_is_taken_is_named(start: Start) -> None:
    address = start().listening[0][0]
    with pytest.raises(Failure, match=f"the auditor cannot listen on {address}: Address already in use"):
        Listener([address], [], None, told, connections=8)

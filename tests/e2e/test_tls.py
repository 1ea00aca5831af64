"""TLS as clients meet it, mostly by `openssl s_client`: versions, names, resumption, renewals, fingerprints."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.authority import Authority, listen
from tests.e2e.client import ask, connect, parse, read_answer, read_until
from tests.e2e.conftest import Document, RunningEdge, StartEdge, zone
from tests.e2e.hello import HelloCatcher, fingerprints
from tests.e2e.origin import Origin, echo
from tests.e2e.programs import run

from bartizan import _native

GET = b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
KEPT = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@dataclass
class Session:
    """What `openssl s_client` says of a connection."""

    output: str
    errors: str
    succeeded: bool

    def value(self, pattern: str) -> str:
        """The first group of a pattern in the output, or nothing."""
        found = re.search(pattern, self.output, re.MULTILINE)
        return found.group(1) if found else ""

    @property
    def version(self) -> str:
        return self.value(r"^(?:New|Reused), (TLSv[\d.]+),")

    @property
    def is_resumed(self) -> bool:
        return self.output.count("\nReused, ") > 0

    @property
    def protocol(self) -> str:
        return self.value(r"^ALPN protocol: (.*)$")

    @property
    def names(self) -> set[str]:
        """The host names in the certificate that was served, without those of every development certificate."""
        pem = self.value(r"(-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----)")
        text = run("openssl", "x509", "-noout", "-ext", "subjectAltName", stdin=pem.encode()).stdout.decode()
        return set(re.findall(r"DNS:([^,\s]+)", text)) - {"localhost"}


def s_client(port: int, *options: str | Path, name: str | None = "shop.test", send: bytes = GET) -> Session:
    """Connects with openssl, sends a request and reads until the edge closes."""
    named = ("-servername", name) if name else ("-noservername",)
    done = run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *named, *options, stdin=send, check=False
    )
    return Session(done.stdout.decode("latin-1"), done.stderr.decode("latin-1"), done.returncode == 0)


def serve(start_edge: StartEdge, authority: Authority, origin: Origin, **settings: Any) -> RunningEdge:
    """An edge with one zone and its certificate."""
    tls = authority.tls("shop", "shop.test", "*.shop.test", **settings)
    return start_edge(zone(origin.url, hosts=["shop.test", "*.shop.test"], tls=tls), edge=listen())


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_both_versions_are_spoken_with_a_certificate_that_verifies(
    start_edge: StartEdge, authority: Authority, option: str, version: str
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        verified = ("-verify_return_error", "-CAfile", authority.file, "-verify_hostname", "shop.test")
        session = s_client(edge.tls_port, option, *verified)
    assert (session.version, session.value(r"(Verify return code: \d+)")) == (version, "Verify return code: 0")
    assert "HTTP/1.1 200 OK\r\n" in session.output
    assert "\r\n\r\nhello" in session.output


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused_by_name(start_edge: StartEdge, authority: Authority, option: str) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        session = s_client(edge.tls_port, option, "-cipher", "DEFAULT@SECLEVEL=0")
    assert not session.succeeded
    assert "alert protocol version" in session.errors
    assert edge.counted(1, "bartizan_refused_total", reason="incompatible") == 1


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("http/1.0,http/1.1", "http/1.1")],
)
def test_alpn_prefers_http_2(start_edge: StartEdge, authority: Authority, offered: str, chosen: str) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        session = s_client(
            edge.tls_port, "-alpn", offered, send=GET if chosen == "http/1.1" else b"GET / HTTP/1.1\r\n\r\n"
        )
    assert session.protocol == chosen


def test_alpn_without_a_protocol_of_ours_is_refused(start_edge: StartEdge, authority: Authority) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        session = s_client(edge.tls_port, "-alpn", "spdy/3")
    assert "no application protocol" in session.errors
    assert edge.counted(1, "bartizan_refused_total", reason="no_application_protocol") == 1


def three_zones(authority: Authority, origin: Origin) -> list[Document]:
    """An exact name, a wildcard and a default zone, each with a certificate of its own."""
    hosts = {"exact": ["a.shop.test"], "wild": ["*.shop.test"], "rest": ["rest.test"]}
    return [
        zone(origin.url, name, hosts=names, default=name == "rest", tls=authority.tls(name, *names))
        for name, names in hosts.items()
    ]


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("a.shop.test", "a.shop.test"),
        ("A.Shop.Test", "a.shop.test"),
        ("b.shop.test", "*.shop.test"),
        ("deep.b.shop.test", "*.shop.test"),
        ("unknown.example", "rest.test"),
        (None, "rest.test"),
    ],
)
def test_the_name_chooses_the_certificate(
    start_edge: StartEdge, authority: Authority, name: str | None, served: str
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(*three_zones(authority, origin), edge=listen())
        session = s_client(edge.tls_port, name=name)
    assert session.names == {served}


def test_a_name_that_nobody_serves_is_refused_by_name(start_edge: StartEdge, authority: Authority) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(*three_zones(authority, origin)[:2], edge=listen())
        unknown = s_client(edge.tls_port, name="unknown.example")
        nameless = s_client(edge.tls_port, name=None)
    assert ["unrecognized name" in session.errors for session in (unknown, nameless)] == [True, True]
    assert edge.counted(2, "bartizan_refused_total", reason="unknown_name") == 2


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-tls1_3"], id="1.3"),
        pytest.param(["-tls1_2"], id="1.2 by ticket"),
        pytest.param(["-tls1_2", "-no_ticket"], id="1.2 by identifier"),
    ],
)
def test_a_session_is_resumed_on_every_thread(
    start_edge: StartEdge, authority: Authority, tmp_path: Path, options: list[str]
) -> None:
    """Each worker has origin connections of its own, so two of them mean that both workers served."""
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        file = tmp_path / "session.pem"
        first = s_client(edge.tls_port, *options, "-sess_out", file)
        resumed: list[bool] = []
        while len(resumed) < 4 or (len(origin.visits) < 2 and len(resumed) < 100):
            resumed.append(s_client(edge.tls_port, *options, "-sess_in", file).is_resumed)
    assert not first.is_resumed
    assert len(origin.visits) > 1
    assert resumed == [True] * len(resumed)


def test_a_session_outlives_a_new_policy(start_edge: StartEdge, authority: Authority, tmp_path: Path) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        file = tmp_path / "session.pem"
        s_client(edge.tls_port, "-sess_out", file)
        edge.apply(edge.document | {"version": 2})
        session = s_client(edge.tls_port, "-sess_in", file)
    assert session.is_resumed


def test_early_data_is_neither_offered_nor_taken(start_edge: StartEdge, authority: Authority, tmp_path: Path) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen, ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        file, early = tmp_path / "session.pem", tmp_path / "early"
        first = s_client(edge.tls_port, "-tls1_3", "-sess_out", file)
        early.write_bytes(b"GET /early HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        second = s_client(edge.tls_port, "-tls1_3", "-sess_in", file, "-early_data", early)
    assert set(re.findall(r"Max Early Data: (\d+)", first.output)) == {"0"}
    assert second.is_resumed
    assert "Early data was not sent" in second.output
    assert [request.split(b" ")[1] for request in seen] == [b"/", b"/"]


def test_the_oldest_version_is_a_matter_of_the_zone(start_edge: StartEdge, authority: Authority) -> None:
    with Origin(echo([], ANSWER)) as origin:
        zones = [
            zone(
                origin.url,
                "new",
                hosts=["new.test"],
                default=False,
                tls=authority.tls("new", "new.test", min_version="1.3"),
            ),
            zone(origin.url, "old", hosts=["old.test"], default=False, tls=authority.tls("old", "old.test")),
        ]
        edge = start_edge(*zones, edge=listen())
        refused = s_client(edge.tls_port, "-tls1_2", name="new.test")
        new = s_client(edge.tls_port, "-tls1_3", name="new.test")
        old = s_client(edge.tls_port, "-tls1_2", name="old.test")
    assert "alert protocol version" in refused.errors
    assert (new.version, old.version) == ("TLSv1.3", "TLSv1.2")


def test_a_session_of_a_lax_zone_does_not_open_a_strict_one(
    start_edge: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        zones = [
            zone(
                origin.url,
                "new",
                hosts=["new.test"],
                default=False,
                tls=authority.tls("new", "new.test", min_version="1.3"),
            ),
            zone(origin.url, "old", hosts=["old.test"], default=False, tls=authority.tls("old", "old.test")),
        ]
        edge = start_edge(*zones, edge=listen())
        file = tmp_path / "session.pem"
        s_client(edge.tls_port, "-tls1_2", "-sess_out", file, name="old.test")
        session = s_client(edge.tls_port, "-tls1_2", "-sess_in", file, name="new.test")
    assert "alert protocol version" in session.errors
    assert not session.is_resumed


def serial(context: ssl.SSLContext, port: int) -> str:
    """The serial number of the certificate that a new connection is served with."""
    with connect(port, context) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        certificate = connection.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def test_a_renewed_certificate_is_served_without_dropping_connections(
    start_edge: StartEdge, authority: Authority
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        trust = authority.trust()
        with connect(edge.tls_port, trust) as held:
            held.sendall(KEPT)
            before = read_until(held, b"hello")
            old = serial(trust, edge.tls_port)
            authority.leaf("shop").unlink()
            authority.tls("shop", "shop.test", "*.shop.test")
            reloaded = edge.native.reload_certificates()
            new = serial(trust, edge.tls_port)
            held.sendall(KEPT)
            after = read_until(held, b"hello")
            held.sendall(KEPT)
            later = read_until(held, b"hello")
    assert reloaded == (1, [])
    assert old != new
    assert [parse(raw, closed=False).body for raw in (before, after, later)] == [b"hello"] * 3


def test_a_broken_certificate_file_leaves_the_old_one_in_service(start_edge: StartEdge, authority: Authority) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        trust = authority.trust()
        old = serial(trust, edge.tls_port)
        authority.leaf("shop").write_text("not a certificate\n")
        changed, wrong = edge.native.reload_certificates()
        after = serial(trust, edge.tls_port)
        again = edge.native.reload_certificates()
    assert (changed, after) == (0, old)
    assert len(wrong) == 1
    assert 'zone "shop"' in wrong[0]
    assert str(authority.leaf("shop")) in wrong[0]
    assert again == (0, [])


def test_a_policy_with_a_certificate_that_does_not_fit_its_key_is_refused(
    start_edge: StartEdge, authority: Authority
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        authority.tls("other", "other.test")
        tls = edge.document["zones"][0]["tls"]
        tls["certificates"][0]["key_file"] = str(authority.leaf("other"))
        with pytest.raises(_native.PolicyRefused) as refused:
            edge.apply(edge.document | {"version": 2})
        answered = ask(edge.tls_port, GET, tls=authority.trust())
    assert str(authority.leaf("other")) in str(refused.value)
    assert answered.status == 200


@pytest.mark.parametrize(
    ("name", "host", "status"),
    [
        ("a.shop.test", "a.shop.test", 200),
        ("a.shop.test", "A.SHOP.TEST:443", 200),
        ("b.shop.test", "c.shop.test", 200),
        ("a.shop.test", "b.shop.test", 421),
        ("b.shop.test", "rest.test", 421),
        (None, "a.shop.test", 200),
    ],
    ids=str,
)
def test_a_host_of_another_zone_than_the_name_is_misdirected(
    start_edge: StartEdge, authority: Authority, name: str | None, host: str, status: int
) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(*three_zones(authority, origin), edge=listen())
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        session = s_client(edge.tls_port, name=name, send=request)
    assert session.value(r"^HTTP/1\.1 (\d+) ") == str(status)


def test_plain_http_is_sent_to_https(start_edge: StartEdge, authority: Authority) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen, ANSWER)) as origin:
        edge = serve(start_edge, authority, origin, https_redirect=True)
        got = ask(edge.port, b"GET /a?b=c HTTP/1.1\r\nHost: shop.test:8080\r\n\r\n")
        posted = ask(edge.port, b"POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi")
        over_tls = ask(edge.tls_port, GET, tls=authority.trust())
    assert (got.status, posted.status, over_tls.status) == (301, 308, 200)
    assert re.fullmatch(r"https://shop\.test(:\d+)?/a\?b=c", got.headers["location"])
    assert re.fullmatch(r"https://shop\.test(:\d+)?/a", posted.headers["location"])
    assert len(seen) == 1


def test_strict_transport_security_is_sent_over_tls_only(start_edge: StartEdge, authority: Authority) -> None:
    hsts = {"max_age_s": 31536000, "include_subdomains": True, "preload": True}
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin, hsts=hsts)
        plain = ask(edge.port, GET)
        secure = ask(edge.tls_port, GET, tls=authority.trust())
        blocked = ask(edge.tls_port, GET.replace(b"GET", b"TRACE"), tls=authority.trust())
    assert "strict-transport-security" not in plain.headers
    expected = "max-age=31536000; includeSubDomains; preload"
    assert [answer.headers["strict-transport-security"] for answer in (secure, blocked)] == [expected, expected]


def test_plain_http_on_a_tls_port_is_told_so(start_edge: StartEdge, authority: Authority) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        told = ask(edge.tls_port, GET)
    assert (told.status, told.body) == (400, b"This port speaks HTTPS. Use https:// to reach it.\n")


def rows(spool: Path, count: int) -> list[dict[str, Any]]:
    """The first `count` rows about requests, waited for."""
    found: list[dict[str, Any]] = []
    reader = _native.SpoolReader(spool)
    while len(found) < count:
        batch = reader.next_batch()
        found += [] if batch is None else [row for _, row in batch.rows("http_requests")]
        time.sleep(0.02)
    return found


def by_openssl(*options: str) -> Callable[[int], object]:
    """A client that is fingerprinted."""
    return lambda port: s_client(port, *options)


def by_curl(port: int) -> object:
    return run("curl", "-sk", "--connect-to", f"shop.test:443:127.0.0.1:{port}", "https://shop.test/", check=False)


def by_python(port: int) -> object:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with connect(port, context) as connection:
            connection.sendall(GET)
            return read_answer(connection)
    except (ssl.SSLError, ConnectionError):
        return None


@pytest.mark.parametrize(
    ("client", "version", "cipher"),
    [
        pytest.param(by_openssl("-alpn", "http/1.1"), "TLSv1.3", "AEAD-AES256-GCM-SHA384", id="openssl"),
        pytest.param(by_openssl("-tls1_2"), "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", id="openssl 1.2"),
        pytest.param(by_curl, "TLSv1.3", "AEAD-AES256-GCM-SHA384", id="curl"),
        pytest.param(by_python, "TLSv1.3", "AEAD-AES256-GCM-SHA384", id="python"),
    ],
)
def test_the_event_carries_the_fingerprint_of_the_client(
    start_edge: StartEdge,
    authority: Authority,
    tmp_path: Path,
    client: Callable[[int], object],
    version: str,
    cipher: str,
) -> None:
    catcher = HelloCatcher()
    client(catcher.port)
    expected = fingerprints(catcher.hello())
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        client(edge.tls_port)
        client(edge.tls_port)
        events = rows(tmp_path / "spool", 2)
    told = [(event["JA3Hash"], event["JA4"], event["ClientSSLProtocol"], event["ClientSSLCipher"]) for event in events]
    assert told == [(*expected, version, cipher)] * 2


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hands over what comes until the source ends, then ends the sink."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def in_drops(listener: socket.socket, port: int) -> None:
    """A proxy for one connection that hands the first thing it reads over five bytes at a time."""
    accepted, _ = listener.accept()
    with accepted, connect(port) as forward:
        forward.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = accepted.recv(65536)
        for start in range(0, len(hello), 5):
            forward.sendall(hello[start : start + 5])
            time.sleep(0.002)
        back = threading.Thread(target=pump, args=(forward, accepted), daemon=True)
        back.start()
        pump(accepted, forward)
        back.join(30)


def test_a_hello_in_many_segments_has_the_same_fingerprint(
    start_edge: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    with Origin(echo([], ANSWER)) as origin, socket.create_server(("127.0.0.1", 0)) as listener:
        edge = serve(start_edge, authority, origin)
        proxy = threading.Thread(target=in_drops, args=(listener, edge.tls_port), daemon=True)
        proxy.start()
        sessions = [s_client(edge.tls_port), s_client(listener.getsockname()[1])]
        proxy.join(30)
        events = rows(tmp_path / "spool", 2)
    assert [session.succeeded for session in sessions] == [True, True]
    assert events[0]["JA4"] == events[1]["JA4"]
    assert events[0]["JA3Hash"] == events[1]["JA3Hash"]

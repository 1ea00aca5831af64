"""HTTP/1 requests that two readers could read in two ways: refused before any origin hears of them.

Every case of the codec's table goes through a real edge in front of an origin that records its bytes. What was recorded
is read again by `strict`, which shares no code with the edge.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.e2e import strict
from tests.e2e.client import connect
from tests.e2e.codec_cases import Case, cases
from tests.e2e.conftest import RunningEdge
from tests.e2e.exchange import edge_of_one_thread, send
from tests.e2e.recorder import Arrival, Recorder

REQUESTS = cases("request")
HTTP2_PREFACE = "the preface of HTTP/2"
"""The codec refuses it; the edge speaks HTTP/2 to whoever sends it."""

REFUSED = [case for case in REQUESTS if case.expect != "ok" and case.name != HTTP2_PREFACE]
READ = [case for case in REQUESTS if case.expect == "ok"]
STATUS = {
    "head_too_large": 431,
    "too_many_headers": 431,
    "trailers_too_large": 431,
    "target_too_long": 414,
    "method_too_long": 501,
    "unsupported_version": 505,
    "unknown_expectation": 417,
}
"""The answers that are not 400."""

WITHOUT_ORIGIN = {"CONNECT", "TRACE"}
"""Methods that the edge answers itself."""

HOST = b"Host: a.example\r\n"


def by_name(case: Case) -> str:
    return case.name


class Bench:
    """An edge of one thread in front of a recorder."""

    def __init__(self, edge: RunningEdge, origin: Recorder) -> None:
        self.edge = edge
        self.origin = origin

    def send(self, data: bytes) -> tuple[bytes, bool]:
        """All that the edge answers, and whether it closed by itself."""
        return send(self.edge.port, data, data.split(b" ", 1)[0].lstrip(b"\r\n"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Recorder() as origin:
        edge = edge_of_one_thread(origin.url, tmp_path_factory.mktemp("spool"))
        yield Bench(edge, origin)
        edge.stop()
        assert [arrival for arrival in origin.take() if arrival.fault or arrival.requests] == []


def assert_nothing_whole(arrivals: list[Arrival]) -> None:
    """Nothing that an origin would act on: at most the beginning of a request, then the end of the connection."""
    for arrival in arrivals:
        assert arrival.fault is None, arrival
        assert arrival.requests == [], arrival
        assert arrival.closed, arrival


def begins_a_body(case: Case) -> bool:
    """Whether the head of a refused request is without fault, so that it may be on its way when its body is refused."""
    head, end, _ = case.data.partition(b"\r\n\r\n")
    if not head.endswith(b"\r\nTransfer-Encoding: chunked") or b"\r\nHost: a.example\r\n" not in head:
        return False
    try:
        strict.requests(head + end)
    except strict.Ambiguous:
        return False
    return case.expect not in {"upgrade_with_content", "connect_with_content"}


@pytest.mark.parametrize("case", REFUSED, ids=by_name)
def test_a_request_that_can_be_read_in_two_ways_is_refused(bench: Bench, case: Case) -> None:
    received, closed = bench.send(case.data)
    answer = strict.response(received)
    assert answer is not None
    assert (answer.status, answer.whole, answer.rest) == (STATUS.get(case.expect, 400), True, b"")
    assert answer.header(b"connection") == b"close"
    assert closed
    arrivals = bench.origin.take()
    assert_nothing_whole(arrivals)
    if not begins_a_body(case):
        assert arrivals == []


@pytest.mark.parametrize("case", READ, ids=by_name)
def test_a_request_that_is_read_reaches_the_origin_once(bench: Bench, case: Case) -> None:
    received, closed = bench.send(case.data)
    answer = strict.response(received, case.method.encode())
    assert answer is not None
    assert (answer.whole, answer.rest) == (True, b"")
    arrivals = bench.origin.take()
    if case.method in WITHOUT_ORIGIN:
        assert (answer.status, arrivals) == (501, [])
        return
    assert answer.status == 200
    assert closed == (not case.keep_alive)
    (arrival,) = arrivals
    assert (arrival.fault, arrival.rest) == (None, b"")
    (request,) = arrival.requests
    assert request.method == case.method.encode()
    assert request.target == case.bytes(case.path)
    # Who names no host asks for the origin's own (RFC 9112 §3.2: HTTP/1.1 has a Host, and it is never empty here).
    own = bench.origin.url.removeprefix("http://").encode()
    assert request.header(b"host") == (case.bytes(case.host) or own)
    assert request.body == case.bytes(case.body)
    assert request.header(b"cf-connecting-ip") == b"127.0.0.1"


def test_there_are_enough_cases() -> None:
    assert len(REFUSED) >= 120
    assert len({case.data for case in REQUESTS}) == len(REQUESTS)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n",
    ],
)
def test_the_second_reader_finds_what_is_ambiguous(data: bytes) -> None:
    with pytest.raises(strict.Ambiguous):
        strict.requests(data)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 47\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: y\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n \r\n\r\n",
    ],
    ids=["CL.TE", "TE.TE", "CL.CL", "bare LF", "chunk end", "chunk overflow", "trailer fold"],
)
def test_what_follows_a_refused_request_is_not_looked_at(bench: Bench, first: bytes) -> None:
    received, closed = bench.send(first + SMUGGLED)
    answer = strict.response(received)
    assert answer is not None
    assert (answer.status, answer.rest, closed) == (400, b"", True)
    assert_nothing_whole(bench.origin.take())


def test_a_request_before_a_refused_one_is_served_and_nothing_after(bench: Bench) -> None:
    good = b"GET /good HTTP/1.1\r\n" + HOST + b"\r\n"
    bad = b"GET /bad HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n"
    with connect(bench.edge.port) as connection:
        connection.sendall(good + bad + SMUGGLED)
        received = b""
        while data := connection.recv(1 << 16):
            received += data
    first = strict.response(received)
    assert first is not None
    second = strict.response(first.rest)
    assert second is not None
    assert (first.status, second.status, second.rest) == (200, 400, b"")
    (arrival,) = bench.origin.take()
    assert [request.target for request in arrival.requests] == [b"/good"]
    assert arrival.rest == b""


def test_pipelined_requests_arrive_as_they_were_meant(bench: Bench) -> None:
    sent = b"".join(b"POST /%d HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n%02d" % (n, HOST, n) for n in range(20))
    with connect(bench.edge.port) as connection:
        connection.sendall(sent)
        received, answers = b"", 0
        while answers < 20:
            received += connection.recv(1 << 16)
            while (answer := strict.response(received)) and answer.whole:
                answers, received = answers + 1, answer.rest
    arrivals = bench.origin.take()
    got = [(request.target, request.body) for arrival in arrivals for request in arrival.requests]
    assert got == [(b"/%d" % n, b"%02d" % n) for n in range(20)]


def test_a_body_that_ends_early_never_becomes_a_request(bench: Bench) -> None:
    with connect(bench.edge.port) as connection:
        connection.sendall(b"POST /short HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n" + SMUGGLED)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    assert_nothing_whole(bench.origin.take())

"""Origins that mislead by when they send, not only by what: late bytes, early answers, floods, dying connections.

After each of them another client asks through the same pool of connections, and gets its own answer.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e import strict
from tests.e2e.client import PATIENCE_S, connect, read_answer, read_until
from tests.e2e.conftest import RunningEdge, StartEdge, zone
from tests.e2e.exchange import send
from tests.e2e.http2_frames import END_HEADERS, Http2, data, headers, request
from tests.e2e.origin import Origin, Script, Visit

HOST = b"Host: shop.test\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
THREE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(target: bytes, lines: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + lines + b"\r\n"


class Stage:
    """Origin and edge of a test: `/lie` is answered by the test, all else with its own target."""

    def __init__(self, start_edge: StartEdge, lie: Script, *, limits: dict[str, int] | None = None) -> None:
        self.lie = lie
        self.seen: list[bytes] = []
        self.lied_on: list[socket.socket] = []
        self.served_on: list[socket.socket] = []
        self.origin = Origin(self.script)
        self.edge: RunningEdge = start_edge(zone(self.origin.url), edge={"threads": 1, "limits": limits or {}})

    def script(self, visit: Visit) -> None:
        while b"\r\n\r\n" in visit.received or visit.more():
            if visit.received.split(b" ", 2)[1:2] == [b"/lie"]:
                self.lied_on.append(visit.connection)
                self.seen.append(b"/lie")
                self.lie(visit)
                continue
            request = visit.request()
            if request is None:
                return
            target = request.split(b" ", 2)[1]
            self.seen.append(target)
            self.served_on.append(visit.connection)
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))

    def ask(self, raw: bytes) -> tuple[strict.Response | None, bool]:
        """The answer to a request over HTTP/1.1, and whether the edge closed."""
        method = raw.split(b" ", 1)[0]
        received, closed = send(self.edge.port, raw, method)
        return strict.response(received, method, closed=closed), closed

    def next_is_served_apart(self) -> bool:
        """Whether the next client gets its own answer, over a connection that was not lied on."""
        answer, _ = self.ask(get(b"/next"))
        self.origin.close()
        assert answer is not None
        assert (answer.status, answer.body, answer.rest) == (200, b"/next", b"")
        return self.served_on[-1] not in self.lied_on


def after(answer: bytes, *parts: bytes, pause_s: float = 0.05, closes: bool = False) -> Script:
    """Reads a request, answers, and sends the rest a little later."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        for part in parts:
            time.sleep(pause_s)
            visit.send(part)
        if closes:
            visit.connection.shutdown(socket.SHUT_RDWR)

    return script


@pytest.mark.parametrize(
    ("answer", "late"),
    [
        (THREE, POISON),
        (THREE, b"x"),
        (EMPTY, POISON),
        (CHUNKED + b"0\r\n\r\n", POISON),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"abc"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b"abc"),
        (THREE, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (THREE, b"\r\n"),
    ],
    ids=["answer", "byte", "after length 0", "after chunks", "last chunk twice", "204", "304", "100", "CR LF"],
)
def test_bytes_that_come_late_belong_to_nobody(start_edge: StartEdge, answer: bytes, late: bytes) -> None:
    sent = threading.Event()

    def lie(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        time.sleep(0.05)
        visit.send(late)
        sent.set()

    stage = Stage(start_edge, lie)
    got, _ = stage.ask(get(b"/lie"))
    assert got is not None
    assert (got.whole, got.rest) == (True, b"")
    assert sent.wait(PATIENCE_S)
    assert stage.next_is_served_apart()


def test_the_content_of_an_answer_to_head_belongs_to_nobody(start_edge: StartEdge) -> None:
    sent = threading.Event()

    def lie(visit: Visit) -> None:
        visit.request()
        head, body = POISON.split(b"\r\n\r\n")
        visit.send(head + b"\r\n\r\n")
        time.sleep(0.05)
        visit.send(body)
        sent.set()

    stage = Stage(start_edge, lie)
    got, _ = stage.ask(get(b"/lie", method=b"HEAD"))
    assert got is not None
    assert (got.status, got.body, got.rest) == (200, b"", b"")
    assert sent.wait(PATIENCE_S)
    assert stage.next_is_served_apart()


def test_two_answers_to_one_request_are_one(start_edge: StartEdge) -> None:
    stage = Stage(start_edge, after(THREE + POISON))
    got, _ = stage.ask(get(b"/lie"))
    assert got is not None
    assert (got.body, got.rest) == (b"abc", b"")
    assert stage.next_is_served_apart()


def test_an_answer_before_the_end_of_the_body_ends_both_connections(start_edge: StartEdge) -> None:
    def lie(visit: Visit) -> None:
        visit.received.clear()
        visit.send(THREE)
        while visit.more():
            pass

    stage = Stage(start_edge, lie)
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie", b"Content-Length: %d\r\n" % (len(SMUGGLED) + 5), b"POST") + b"x")
        received, _ = read_answer(client, b"POST")
        got = strict.response(received)
        assert got is not None
        assert (got.body, got.header(b"connection"), got.rest) == (b"abc", b"close", b"")
    assert stage.next_is_served_apart()
    assert b"/smuggled" not in stage.seen


def test_what_follows_an_early_answer_is_not_a_request(start_edge: StartEdge) -> None:
    """The length is said and the content withheld until the answer is there: then it looks like a request."""

    def lie(visit: Visit) -> None:
        visit.received.clear()
        visit.send(THREE)
        while visit.more():
            pass

    stage = Stage(start_edge, lie)
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie", b"Content-Length: %d\r\n" % len(SMUGGLED), b"POST"))
        received = b""
        while not received.endswith(b"abc"):
            received += client.recv(65536)
        client.sendall(SMUGGLED)
        while more := client.recv(65536):
            received += more
    got = strict.response(received)
    assert got is not None
    assert got.rest == b""
    assert stage.next_is_served_apart()
    assert b"/smuggled" not in stage.seen


@pytest.mark.parametrize("status", [b"200 OK", b"417 Expectation Failed", b"413 Content Too Large"])
def test_a_final_answer_to_an_expectation_leaves_no_room_for_a_request(start_edge: StartEdge, status: bytes) -> None:
    def lie(visit: Visit) -> None:
        visit.received.clear()
        visit.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\nabc")
        while visit.more():
            pass

    stage = Stage(start_edge, lie)
    lines = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED)
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie", lines, b"POST"))
        received = b""
        while not received.endswith(b"abc"):
            received += client.recv(65536)
        client.sendall(SMUGGLED)
        while more := client.recv(65536):
            received += more
    got = strict.response(received)
    assert got is not None
    assert (got.header(b"connection"), got.rest) == (b"close", b"")
    assert stage.next_is_served_apart()
    assert b"/smuggled" not in stage.seen


def test_an_answer_over_http2_before_the_end_of_the_body_ends_the_origins_connection(start_edge: StartEdge) -> None:
    def lie(visit: Visit) -> None:
        visit.received.clear()
        visit.send(THREE)
        while visit.more():
            pass

    stage = Stage(start_edge, lie)
    with Http2(stage.edge.port) as client:
        client.send(headers([*request(b"/lie", b"POST"), (b"content-length", b"9")], flags=END_HEADERS))
        client.send(data(b"x", flags=0))
        assert client.wait(1).body == b"abc"
    assert stage.next_is_served_apart()


def test_a_last_piece_that_the_origin_never_took_is_not_finished_by_the_next_request(
    start_edge: StartEdge, tmp_path: Path
) -> None:
    """The origin answers while the end of a body still waits for room: what it reads next must be no other head."""
    streams: list[bytes] = []
    answered, go_on = threading.Semaphore(0), threading.Event()

    def script(visit: Visit) -> None:
        while b"\r\n\r\n" not in visit.received and visit.more():
            pass
        if visit.received.startswith(b"POST "):
            time.sleep(0.1)
            visit.send(EMPTY)
            answered.release()
            go_on.wait(PATIENCE_S)
        while True:
            whole, _ = strict.requests(bytes(visit.received))
            if whole and whole[-1].target == b"/next":
                visit.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n/next")
                break
            if not visit.more():
                break
        streams.append(bytes(visit.received))

    with Origin(script, family=socket.AF_UNIX, path=str(tmp_path / "origin.sock")) as origin:
        edge = start_edge(zone(origin.url), edge={"threads": 1})
        for size in range(208 * 1024, 352 * 1024, 16 * 1024):
            go_on.clear()
            with connect(edge.port) as first, connect(edge.port) as second:
                first.sendall(get(b"/", b"Content-Length: %d\r\n" % size, b"POST") + b"x" * size)
                assert answered.acquire(timeout=PATIENCE_S)
                answer, _ = read_answer(first, b"POST")
                assert strict.response(answer) is not None
                second.sendall(get(b"/next"))
                time.sleep(0.05)
                go_on.set()
                received, _ = read_answer(second, b"GET")
            got = strict.response(received)
            assert got is not None
            assert (got.status, got.body) == (200, b"/next")
    bodies = [whole.body for stream in streams for whole in strict.requests(stream)[0] if whole.method == b"POST"]
    assert not [body for body in bodies if body.strip(b"x")]


def endless(start: bytes, more: bytes) -> Script:
    """Answers with what never ends, until the edge has had enough."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(start)
        while True:
            visit.send(more * 100)

    return script


@pytest.mark.parametrize(
    "lie",
    [
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        endless(b"", b"HTTP/1.1 199 X\r\n\r\n"),
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        endless(b"", b"x"),
        endless(b"HTTP/1.1 200 ", b"x"),
        endless(b"", b"\r\n"),
        endless(CHUNKED + b"1;", b"x"),
        endless(CHUNKED, b"0"),
        endless(CHUNKED, b"1;x=y\r\nz\r\n"),
        endless(CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=[
        "100",
        "103",
        "199",
        "header lines",
        "a header",
        "no line end",
        "a reason",
        "empty lines",
        "a chunk extension",
        "a chunk size",
        "chunk extensions",
        "trailers",
    ],
)
def test_what_does_not_end_is_cut_off(start_edge: StartEdge, lie: Script) -> None:
    stage = Stage(start_edge, lie)
    got, _ = stage.ask(get(b"/lie"))
    assert got is None or got.status == 502 or not got.whole
    assert stage.next_is_served_apart()


def resets(answer: bytes) -> Script:
    """Answers and resets the connection."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        time.sleep(0.02)
        visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        visit.connection.close()

    return script


CUT_SHORT: list[tuple[str, Script]] = [
    ("no answer", after(b"", closes=True)),
    ("half a status line", after(b"HTTP/1.1 20", closes=True)),
    ("half a head", after(b"HTTP/1.1 200 OK\r\nX: y\r\n", closes=True)),
    ("an informational answer", after(b"HTTP/1.1 103 Early Hints\r\n\r\n", closes=True)),
    ("half a length", after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", closes=True)),
    ("half a chunk", after(CHUNKED + b"9\r\nabc", closes=True)),
    ("no last chunk", after(CHUNKED + b"3\r\nabc\r\n", closes=True)),
    ("half a last chunk", after(CHUNKED + b"3\r\nabc\r\n0\r\n", closes=True)),
    ("half a trailer", after(CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\n", closes=True)),
    ("a reset without an answer", resets(b"")),
    ("a reset in a length", resets(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")),
    ("a reset in chunks", resets(CHUNKED + b"3\r\nabc\r\n")),
    ("a reset where the end would be the end", resets(b"HTTP/1.1 200 OK\r\n\r\nabc")),
]


@pytest.mark.parametrize("lie", [lie for _, lie in CUT_SHORT], ids=[name for name, _ in CUT_SHORT])
def test_an_answer_that_is_cut_short_never_looks_whole(start_edge: StartEdge, lie: Script) -> None:
    stage = Stage(start_edge, lie)
    got, _ = stage.ask(get(b"/lie"))
    assert got is None or got.status == 502 or not got.whole
    with Http2(stage.edge.port) as client:
        stream = client.ask(b"/lie")
        assert stream.status == 502 or (stream.reset is not None and not stream.ended)
    coded, _ = stage.ask(get(b"/lie", b"Accept-Encoding: gzip\r\n"))
    assert coded is None or coded.status == 502 or not coded.whole
    assert stage.next_is_served_apart()


def test_a_compressed_answer_that_is_cut_short_never_looks_whole(start_edge: StartEdge) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 90000\r\n\r\n"
    stage = Stage(start_edge, after(head + b"x" * 60_000, closes=True))
    got, _ = stage.ask(get(b"/lie", b"Accept-Encoding: gzip\r\n"))
    assert got is not None
    assert got.header(b"content-encoding") == b"gzip"
    assert not got.whole
    assert stage.next_is_served_apart()


@pytest.mark.parametrize("rest", [b"", b"x\r\n"], ids=["cut", "refused"])
def test_a_client_without_chunks_sees_a_reset_where_an_answer_was_cut_short(start_edge: StartEdge, rest: bytes) -> None:
    """Where the end of the connection is the end of the answer, only a reset says that it came too early."""
    arrived = threading.Event()

    def lie(visit: Visit) -> None:
        visit.request()
        visit.send(CHUNKED + b"3\r\nabc\r\n")
        # A client that has nothing of the answer yet would be told by a page.
        assert arrived.wait(PATIENCE_S)
        visit.send(rest)
        if not rest:
            visit.connection.shutdown(socket.SHUT_RDWR)

    stage = Stage(start_edge, lie)
    with connect(stage.edge.port) as client:
        client.sendall(b"GET /lie HTTP/1.0\r\n" + HOST + b"\r\n")
        read_until(client, b"abc")
        arrived.set()
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
    assert stage.next_is_served_apart()


def read_to_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_a_request_is_not_repeated_where_it_may_have_been_acted_on(start_edge: StartEdge) -> None:
    stage = Stage(start_edge, after(b"", closes=True))
    got, _ = stage.ask(get(b"/lie", b"Content-Length: 1\r\n", b"POST") + b"x")
    assert got is not None
    assert got.status == 502
    assert stage.seen == [b"/lie"]
    assert stage.next_is_served_apart()


def test_the_rest_of_an_answer_that_a_client_left_belongs_to_nobody(start_edge: StartEdge) -> None:
    """The edge gives the connection up, before the origin has sent what is left."""
    given_up = threading.Event()

    def lie(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        with suppress(ConnectionError):
            assert not visit.more()
        given_up.set()
        with suppress(ConnectionError):
            visit.send(b"def")

    stage = Stage(start_edge, lie)
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie"))
        received = b""
        while not received.endswith(b"abc"):
            received += client.recv(65536)
    assert given_up.wait(PATIENCE_S)
    assert stage.next_is_served_apart()


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["426", "200", "400"],
)
def test_an_upgrade_that_is_not_made_opens_no_tunnel(start_edge: StartEdge, answer: bytes) -> None:
    """What a client sends behind an upgrade that the origin refused is read as a request, by every rule."""
    stage = Stage(start_edge, after(answer))
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie", UPGRADE))
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65536)
        first = strict.response(received)
        assert first is not None
        assert first.whole
        client.sendall(SMUGGLED.replace(b"\r\n\r\n", b"\r\nX : y\r\n\r\n"))
        refused, closed = read_answer(client, b"GET")
    second = strict.response(refused)
    assert second is not None
    assert (second.status, closed) == (400, True)
    assert b"/smuggled" not in stage.seen
    stage.origin.close()


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [(b"", b"websocket"), (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"h2c"), (UPGRADE, b"h2c"), (UPGRADE, b"")],
    ids=["unasked", "h2c", "another protocol", "no protocol"],
)
def test_another_protocol_than_was_asked_for_is_refused(start_edge: StartEdge, lines: bytes, upgrade: bytes) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
    switch += (b"Upgrade: " + upgrade + b"\r\n" if upgrade else b"") + b"\r\n"
    stage = Stage(start_edge, after(switch))
    got, _ = stage.ask(get(b"/lie", lines))
    assert got is not None
    assert got.status == 502
    assert stage.next_is_served_apart()


def test_informational_answers_say_nothing_of_content(start_edge: StartEdge) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nLink: </a>\r\nConnection: close\r\n\r\n"
    stage = Stage(start_edge, after(hints + THREE))
    got, closed = stage.ask(get(b"/lie"))
    assert got is not None
    assert (got.interim, got.status, got.body, closed) == ([103], 200, b"abc", False)
    with Http2(stage.edge.port) as client:
        stream = client.ask(b"/lie")
    assert (stream.interim, stream.status, stream.body) == ([103], 200, b"abc")
    stage.origin.close()


def test_an_origin_that_talks_before_it_is_asked_is_not_asked(start_edge: StartEdge) -> None:
    """A pooled connection on which something stands already would give the next client the answer to nobody."""
    spoke = threading.Event()

    def lie(visit: Visit) -> None:
        visit.request()
        visit.send(THREE)
        time.sleep(0.05)
        visit.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        visit.connection.shutdown(socket.SHUT_RDWR)
        spoke.set()

    stage = Stage(start_edge, lie)
    stage.ask(get(b"/lie"))
    assert spoke.wait(PATIENCE_S)
    assert stage.next_is_served_apart()


def test_a_refused_body_takes_the_origins_connection_with_it(start_edge: StartEdge) -> None:
    """The origin answers what it has; the next client must not get that answer."""

    refused = threading.Event()

    def lie(visit: Visit) -> None:
        visit.received.clear()
        assert refused.wait(PATIENCE_S)
        with suppress(ConnectionError):
            visit.send(POISON)

    stage = Stage(start_edge, lie)
    with connect(stage.edge.port) as client:
        client.sendall(get(b"/lie", b"Transfer-Encoding: chunked\r\n", b"POST") + b"3\r\nabc\r\n")
        client.sendall(b"+3\r\nabc\r\n0\r\n\r\n")
        received, closed = read_answer(client, b"POST")
    refused.set()
    got = strict.response(received)
    assert got is not None
    assert (got.status, closed) == (400, True)
    assert stage.next_is_served_apart()


def test_a_shared_pool_keeps_answers_apart_under_load(start_edge: StartEdge) -> None:
    """Many clients, one pool, an origin that lies on every third answer: each gets its own or none."""
    stage = Stage(start_edge, after(THREE + POISON))
    wrong: list[object] = []

    def client(number: int) -> None:
        for turn in range(12):
            target = b"/lie" if turn % 3 == 0 else b"/%d/%d" % (number, turn)
            got, _ = stage.ask(get(target))
            expected = b"abc" if turn % 3 == 0 else target
            if got is None or got.body != expected or got.rest:
                wrong.append((target, got))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert wrong == []
    assert stage.next_is_served_apart()

"""HTTP/2 requests that HTTP/1.1 could not carry, or would carry as something else, and frames that break the rules.

Refused is what ends by RST_STREAM, by GOAWAY or with an error status; an origin of HTTP/1.1 hears nothing of it that it
would act on. What it does hear is read again by `strict`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.e2e import strict
from tests.e2e.conftest import RunningEdge
from tests.e2e.exchange import edge_of_one_thread, send
from tests.e2e.http2_cases import (
    BODY_CASES,
    HEAD_CASES,
    PLAIN,
    POST,
    SMUGGLED,
    head,
    in_frames,
    length,
    plus,
    replaced,
    trailers,
    without,
)
from tests.e2e.http2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Fields,
    Http2,
    Stream,
    block,
    data,
    frame,
    headers,
    request,
)
from tests.e2e.recorder import Arrival, Recorder

RESETS = 100
"""`h2_resets_per_window`, as it is by default."""


class Bench:
    """An edge of one thread in front of a recorder."""

    def __init__(self, edge: RunningEdge, origin: Recorder) -> None:
        self.edge = edge
        self.origin = origin

    def send(self, *frames: bytes, stream: int = 1) -> tuple[Stream, Http2, list[Arrival]]:
        """What came of it on the stream and on the connection, and what the origin got."""
        with Http2(self.edge.port) as client:
            client.send(*frames)
            outcome = client.wait(stream)
            client.wait_pong()
        return outcome, client, self.arrivals()

    def arrivals(self) -> list[Arrival]:
        """What reached the origin, up to a request that is sent after all others and left out."""
        received, _ = send(self.edge.port, b"GET /fence HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        answer = strict.response(received)
        assert answer is not None
        assert answer.status == 200
        arrivals = self.origin.take()
        for arrival in arrivals:
            arrival.requests = [got for got in arrival.requests if got.target != b"/fence"]
        return [arrival for arrival in arrivals if arrival.requests or arrival.rest or arrival.fault]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Recorder() as origin:
        edge = edge_of_one_thread(origin.url, tmp_path_factory.mktemp("spool"))
        made = Bench(edge, origin)
        yield made
        assert made.arrivals() == []
        edge.stop()


def refused(stream: Stream, client: Http2) -> bool:
    """Whether the request was turned down, by status, by stream or by connection."""
    if stream.status is not None:
        return stream.status >= 400
    return stream.reset not in {None, 0} or client.goaway not in {None, 0}


@pytest.mark.parametrize("fields", HEAD_CASES.values(), ids=HEAD_CASES)
def test_a_head_that_http1_could_not_carry_is_refused(bench: Bench, fields: Fields) -> None:
    stream, client, arrivals = bench.send(in_frames(block(fields)))
    assert refused(stream, client)
    assert arrivals == []


WITH_CONTENT = {name: fields for name, fields in HEAD_CASES.items() if not name.startswith("CONNECT")}


@pytest.mark.parametrize("fields", WITH_CONTENT.values(), ids=WITH_CONTENT)
def test_it_is_refused_before_its_content_too(bench: Bench, fields: Fields) -> None:
    stream, client, arrivals = bench.send(in_frames(block(fields), flags=0), data(SMUGGLED))
    expected = 5 if any(name == b"content-length" and value == b"5" for name, value in fields) else None
    assert refused(stream, client)
    assert not any(arrival.requests or arrival.fault for arrival in arrivals)
    assert expected == 5 or arrivals == []


@pytest.mark.parametrize("frames", BODY_CASES.values(), ids=BODY_CASES)
def test_content_that_is_not_what_its_head_says_is_never_whole_to_the_origin(bench: Bench, frames: list[bytes]) -> None:
    with Http2(bench.edge.port) as client:
        client.send(*frames)
        if frames[-1][3] != RST_STREAM:
            assert refused(client.wait(1), client)
        client.wait_pong()
    for arrival in bench.arrivals():
        assert arrival.fault is None
        assert arrival.requests == []
        assert arrival.closed


@pytest.mark.parametrize("content", [b"", b"abc"], ids=["length 0", "length 3"])
def test_content_beyond_its_length_is_no_second_request(bench: Bench, content: bytes) -> None:
    """The origin may have had all that was announced: then that is one request, and the rest reaches nobody."""
    with Http2(bench.edge.port) as client:
        client.send(head(length(len(content))), data(content, flags=0))
        client.wait_pong()
        client.send(data(SMUGGLED))
        client.wait(1)
        client.wait_pong()
    got = [request for arrival in bench.arrivals() for request in arrival.requests]
    assert [(request.target, request.body) for request in got] in ([], [(b"/post", content)])


@pytest.mark.parametrize("line", [(b":path", b"/admin"), (b":status", b"200"), (b":method", b"GET")])
def test_a_pseudo_header_behind_the_content_changes_nothing(bench: Bench, line: tuple[bytes, bytes]) -> None:
    """RFC 9113 §8.1 calls it malformed; the h2 crate drops it, so that it is in no message that goes on."""
    stream, client, arrivals = bench.send(head(), data(b"abc", flags=0), trailers(line, (b"x-sum", b"9")))
    got = [request for arrival in arrivals for request in arrival.requests]
    if refused(stream, client):
        assert got == []
    else:
        assert [(request.target, request.method, request.trailers) for request in got] in (
            [(b"/post", b"POST", [])],
            [(b"/post", b"POST", [(b"x-sum", b"9")])],
        )


@dataclass(frozen=True)
class Broken:
    """Frames that break a rule, and the error codes with which the connection may end."""

    frames: tuple[bytes, ...]
    codes: tuple[int, ...]


def broken(*frames: bytes, code: int = PROTOCOL_ERROR, or_code: int | None = None) -> Broken:
    # The h2 crate says PROTOCOL_ERROR where RFC 9113 has a closer name; what counts is that the connection ends.
    return Broken(frames, (code, PROTOCOL_ERROR if or_code is None else or_code))


def setting(key: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))


BEGUN = frame(HEADERS, END_STREAM, 1, block(PLAIN[:2]))
"""A header block that needs a CONTINUATION."""

FRAME_CASES: dict[str, Broken] = {
    "DATA on stream 0": broken(data(b"x", 0)),
    "HEADERS on stream 0": broken(headers(PLAIN, 0)),
    "HEADERS on an even stream": broken(headers(PLAIN, 2)),
    "DATA on an idle stream": broken(data(b"x", 1), or_code=STREAM_CLOSED),
    "RST_STREAM on an idle stream": broken(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
    "RST_STREAM on stream 0": broken(frame(RST_STREAM, 0, 0, b"\0\0\0\x08")),
    "RST_STREAM of 3 bytes": broken(
        headers(POST, flags=END_HEADERS), frame(RST_STREAM, 0, 1, b"\0\0\0"), code=FRAME_SIZE_ERROR
    ),
    "WINDOW_UPDATE on an idle stream": broken(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01")),
    "WINDOW_UPDATE of 0": broken(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0")),
    "WINDOW_UPDATE of 3 bytes": broken(frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01"), code=FRAME_SIZE_ERROR),
    "WINDOW_UPDATE beyond 2^31 - 1": broken(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), code=FLOW_CONTROL_ERROR),
    "SETTINGS on a stream": broken(frame(SETTINGS, 0, 1)),
    "SETTINGS of 5 bytes": broken(frame(SETTINGS, 0, 0, b"12345"), code=FRAME_SIZE_ERROR),
    "SETTINGS that acknowledge and set": broken(frame(SETTINGS, ACK, 0, b"\0" * 6), code=FRAME_SIZE_ERROR),
    "ENABLE_PUSH 2": broken(setting(2, 2)),
    "INITIAL_WINDOW_SIZE above 2^31 - 1": broken(setting(4, 1 << 31), code=FLOW_CONTROL_ERROR),
    "MAX_FRAME_SIZE 100": broken(setting(5, 100)),
    "MAX_FRAME_SIZE 2^24": broken(setting(5, 1 << 24)),
    "PING on a stream": broken(frame(PING, 0, 1, b"12345678")),
    "PING of 7 bytes": broken(frame(PING, 0, 0, b"1234567"), code=FRAME_SIZE_ERROR),
    "PRIORITY on stream 0": broken(frame(PRIORITY, 0, 0, b"\0\0\0\x01\0")),
    "GOAWAY on a stream": broken(frame(GOAWAY, 0, 1, b"\0" * 8)),
    "PUSH_PROMISE from a client": broken(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + block(PLAIN))),
    "CONTINUATION without HEADERS": broken(frame(CONTINUATION, END_HEADERS, 1, block(PLAIN))),
    "CONTINUATION on another stream": broken(BEGUN, frame(CONTINUATION, END_HEADERS, 3, block(PLAIN[2:]))),
    "CONTINUATION after the end": broken(headers(PLAIN), frame(CONTINUATION, END_HEADERS, 1, block([(b"x", b"y")]))),
    "DATA in a header block": broken(BEGUN, data(b"x")),
    "PING in a header block": broken(BEGUN, frame(PING, 0, 0, b"12345678")),
    "HEADERS in a header block": broken(BEGUN, headers(PLAIN, 3)),
    "an unknown frame in a header block": broken(BEGUN, frame(0xFA, 0, 1, b"x")),
    "HEADERS padded beyond their end": broken(
        frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + block(PLAIN))
    ),
    "a frame larger than allowed": broken(frame(HEADERS, END_HEADERS, 1, b"\0" * 20_000), code=FRAME_SIZE_ERROR),
    "a header block of nonsense": broken(frame(HEADERS, END_HEADERS, 1, b"\xff" * 20), code=COMPRESSION_ERROR),
    "an index of 0": broken(frame(HEADERS, END_HEADERS, 1, b"\x80"), code=COMPRESSION_ERROR),
    "an index beyond the table": broken(frame(HEADERS, END_HEADERS, 1, b"\xff\x80\x01"), code=COMPRESSION_ERROR),
    "a table larger than allowed": broken(frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\x03"), code=COMPRESSION_ERROR),
    "a literal longer than its block": broken(frame(HEADERS, END_HEADERS, 1, b"\x00\x7fx"), code=COMPRESSION_ERROR),
    "a literal of bad Huffman code": broken(
        frame(HEADERS, END_HEADERS, 1, b"\x00\x84\xff\xff\xff\xff\x00"), code=COMPRESSION_ERROR
    ),
    "a lower stream than before": broken(headers(PLAIN, 3), headers(PLAIN, 1), or_code=STREAM_CLOSED),
}


@pytest.mark.parametrize("case", FRAME_CASES.values(), ids=FRAME_CASES)
def test_a_connection_that_breaks_the_rules_is_ended(bench: Bench, case: Broken) -> None:
    with Http2(bench.edge.port) as client:
        client.send(*case.frames)
        client.wait_closed()
    assert client.goaway in case.codes
    for arrival in bench.arrivals():
        assert arrival.fault is None
        assert [got.target for got in arrival.requests] == [b"/"] * len(arrival.requests)


def test_frames_on_a_closed_stream_change_nothing(bench: Bench) -> None:
    for late in (data(SMUGGLED), headers(request(b"/late"))):
        stream, client, arrivals = bench.send(headers(PLAIN), late)
        assert stream.status == 200 or client.goaway in {PROTOCOL_ERROR, STREAM_CLOSED} or stream.reset is not None
        assert [got.target for arrival in arrivals for got in arrival.requests] in ([b"/"], [])


def test_a_connection_that_does_not_begin_as_one_is_not_read_as_one(bench: Bench) -> None:
    received, closed = send(bench.edge.port, PREFACE.replace(b"SM", b"GM") + headers(PLAIN))
    assert closed
    assert b"HTTP/1.1 2" not in received
    assert bench.arrivals() == []


READ_CASES: dict[str, tuple[list[bytes], bytes, bytes, dict[bytes, bytes | None]]] = {
    "a request": ([headers(PLAIN)], b"/", b"", {b"host": b"shop.test"}),
    "cookie crumbs": (
        [headers(plus((b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")))],
        b"/",
        b"",
        {b"cookie": b"a=b; c=d", b"x": b"y"},
    ),
    "te trailers": ([headers(plus((b"te", b"trailers")))], b"/", b"", {b"te": b"trailers"}),
    "host beside :authority": ([headers(plus((b"host", b"shop.test")))], b"/", b"", {b"host": b"shop.test"}),
    "host for :authority": (
        [headers([*without(b":authority"), (b"host", b"shop.test")])],
        b"/",
        b"",
        {b"host": b"shop.test"},
    ),
    "OPTIONS *": ([headers(request(b"*", b"OPTIONS"))], b"*", b"", {}),
    "a query": ([headers(request(b"/a?b=c&d"))], b"/a?b=c&d", b"", {}),
    "two slashes first": ([headers(request(b"//other.test/x"))], b"//other.test/x", b"", {}),
    "a URL in a path": ([headers(request(b"/http://other.test/"))], b"/http://other.test/", b"", {}),
    "https on a connection without": (
        [headers(replaced(b":scheme", b"https"))],
        b"/",
        b"",
        {b"x-forwarded-proto": b"http"},
    ),
    "forged forwarding": (
        [headers(plus((b"cf-connecting-ip", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.1")))],
        b"/",
        b"",
        {b"cf-connecting-ip": b"127.0.0.1", b"x-forwarded-for": b"127.0.0.1"},
    ),
    "length 0": ([headers([*POST, length(0)])], b"/post", b"", {b"content-length": b"0"}),
    "a length": (
        [head(length(3)), data(b"abc")],
        b"/post",
        b"abc",
        {b"content-length": b"3", b"transfer-encoding": None},
    ),
    "no length": (
        [head(), data(b"abc")],
        b"/post",
        b"abc",
        {b"content-length": None, b"transfer-encoding": b"chunked"},
    ),
    "content that looks like a request": ([head(), data(SMUGGLED)], b"/post", SMUGGLED, {}),
    "content that looks like chunks": ([head(), data(b"0\r\n\r\n" + SMUGGLED)], b"/post", b"0\r\n\r\n" + SMUGGLED, {}),
    "content of GET": ([headers(PLAIN, flags=END_HEADERS), data(SMUGGLED)], b"/", SMUGGLED, {}),
    "padding": ([head(), frame(DATA, PADDED | END_STREAM, 1, b"\x04abc\0\0\0\0")], b"/post", b"abc", {}),
    "empty DATA": ([head(), *[data(b"", flags=0)] * 5, data(b"abc")], b"/post", b"abc", {}),
    "a header block in pieces": (
        [
            frame(HEADERS, END_STREAM, 1, block(PLAIN)[:1]),
            frame(CONTINUATION, 0, 1, block(PLAIN)[1:30]),
            frame(CONTINUATION, 0, 1),
            frame(CONTINUATION, END_HEADERS, 1, block(PLAIN)[30:]),
        ],
        b"/",
        b"",
        {},
    ),
    "an unknown frame": ([frame(0xFA, 0xFF, 0, b"x"), headers(PLAIN), frame(0xFB, 0, 1, b"y")], b"/", b"", {}),
    "PRIORITY": ([frame(PRIORITY, 0, 1, b"\0\0\0\x03\x10"), headers(PLAIN)], b"/", b"", {}),
}


@pytest.mark.parametrize("case", READ_CASES.values(), ids=READ_CASES)
def test_a_request_that_is_read_reaches_the_origin_once(
    bench: Bench, case: tuple[list[bytes], bytes, bytes, dict[bytes, bytes | None]]
) -> None:
    frames, target, body, lines = case
    stream, _, arrivals = bench.send(*frames)
    assert (stream.status, stream.body) == (200, b"recorded")
    (arrival,) = arrivals
    assert (arrival.fault, arrival.rest) == (None, b"")
    (got,) = arrival.requests
    assert (got.target, got.body) == (target, body)
    assert {name: got.header(name) for name in lines} == lines


def test_trailers_arrive_behind_the_content_they_belong_to(bench: Bench) -> None:
    stream, _, arrivals = bench.send(head(), data(b"abc", flags=0), trailers((b"x-sum", b"9")))
    assert stream.status == 200
    ((got,),) = (arrival.requests for arrival in arrivals)
    assert (got.body, got.trailers) == (b"abc", [(b"x-sum", b"9")])


def flood(bench: Bench, frames_of: list[bytes]) -> Http2:
    """Sends until the edge ends the connection, without waiting for answers; fails if it never does."""
    with Http2(bench.edge.port) as client:
        for frames in frames_of:
            if not client.send(frames):
                break
        client.wait_closed()
    return client


def serves_others(bench: Bench) -> int:
    """Asserts that another client is served; how many requests of the flood reached the origin."""
    with Http2(bench.edge.port) as other:
        assert other.ask(b"/fence").status == 200
    arrivals = bench.arrivals()
    assert not any(arrival.fault for arrival in arrivals)
    return sum(len(arrival.requests) for arrival in arrivals)


def test_rapid_reset_ends_the_connection(bench: Bench) -> None:
    frames = [headers(PLAIN, stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08") for stream in range(1, 8001, 2)]
    assert flood(bench, frames).goaway == ENHANCE_YOUR_CALM
    assert serves_others(bench) <= RESETS + 20


MADE: dict[str, bytes] = {
    "WINDOW_UPDATE of 0": frame(WINDOW_UPDATE, 0, 0xFFFF, b"\0\0\0\0"),
    "WINDOW_UPDATE beyond 2^31 - 1": frame(WINDOW_UPDATE, 0, 0xFFFF, b"\x7f\xff\xff\xff"),
    "PRIORITY on itself": frame(PRIORITY, 0, 0xFFFF, b"\0\0\xff\xff\x10"),
    "PRIORITY of 4 bytes": frame(PRIORITY, 0, 0xFFFF, b"\0\0\0\x01"),
    "content beyond its length": data(b"xxx", 0xFFFF, flags=0),
    "HEADERS again": headers([(b"x", b"y")], 0xFFFF, flags=END_HEADERS),
}


@pytest.mark.parametrize("name", MADE)
def test_resets_that_the_edge_is_made_to_send_end_the_connection(bench: Bench, name: str) -> None:
    """MadeYouReset (CVE-2025-8671): the client breaks a rule on each stream, so that the server resets it."""
    marked = b"\0\0\xff\xff"
    frames = []
    for stream in range(1, 8001, 2):
        number = struct.pack(">I", stream)
        opening = headers([*replaced(b":method", b"POST", PLAIN), length(1)], stream, flags=END_HEADERS)
        frames.append(opening + MADE[name].replace(marked, number))
    client = flood(bench, frames)
    assert client.goaway in {ENHANCE_YOUR_CALM, PROTOCOL_ERROR, FRAME_SIZE_ERROR}
    assert serves_others(bench) <= RESETS + 20


def test_a_header_block_that_never_ends_ends_the_connection(bench: Bench) -> None:
    more = frame(CONTINUATION, 0, 1, block([(b"x", b"y" * 1000)] * 16))
    client = flood(bench, [frame(HEADERS, END_STREAM, 1, block(PLAIN)), *[more] * 2000])
    assert client.goaway is not None
    assert serves_others(bench) == 0


def test_a_header_block_of_empty_frames_ends_the_connection(bench: Bench) -> None:
    client = flood(bench, [frame(HEADERS, END_STREAM, 1, block(PLAIN)), *[frame(CONTINUATION, 0, 1) * 100] * 100])
    assert client.goaway is not None
    assert serves_others(bench) == 0


@pytest.mark.parametrize(
    "frames",
    [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0), setting(4, 65_535)],
    ids=["PING", "SETTINGS", "window"],
)
def test_a_client_that_reads_no_answers_is_not_read_from(bench: Bench, frames: bytes) -> None:
    """Answers to a flood are not gathered without end: once they find no room, no further frame is taken."""
    with Http2(bench.edge.port) as client:
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connection.settimeout(1)
        with pytest.raises(TimeoutError):
            send_for_ever(client, frames * 4000)
        assert serves_others(bench) == 0


def send_for_ever(client: Http2, frames: bytes) -> None:
    for _ in range(2000):
        if not client.send(frames):
            return


def test_a_flood_of_frames_without_an_answer_holds_up_nobody(bench: Bench) -> None:
    frames = frame(PRIORITY, 0, 1, b"\0\0\0\x03\x10") * 1000
    with Http2(bench.edge.port) as client:
        for _ in range(100):
            client.send(frames)
        assert serves_others(bench) == 0


def test_streams_beyond_the_limit_are_refused(bench: Bench) -> None:
    with Http2(bench.edge.port) as client:
        client.send(*[headers(POST, stream, flags=END_HEADERS) for stream in range(1, 401, 2)])
        client.wait_pong()
    resets = [stream.reset for stream in client.streams.values() if stream.reset is not None]
    assert set(resets) <= {REFUSED_STREAM}
    assert len(resets) >= 200 - 128 or client.goaway == ENHANCE_YOUR_CALM
    for arrival in bench.arrivals():
        assert arrival.requests == []


def test_there_are_enough_cases() -> None:
    assert len(HEAD_CASES) + len(BODY_CASES) + len(FRAME_CASES) >= 40

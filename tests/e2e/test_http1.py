"""HTTP/1.1 between a client and an origin: what goes through, what is added, what is refused."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from .client import PATIENCE_S, ask, connect, parse, read_answer, read_until
from .conftest import StartEdge, rule, zone
from .origin import Origin, Visit, echo, once

HOST = b"Host: shop.test\r\n"


def header_lines(request: bytes) -> dict[str, str]:
    lines = request.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")[1:]
    return {line.split(": ", 1)[0]: line.split(": ", 1)[1] for line in lines}


def test_the_origin_gets_a_head_written_anew(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url))
        answer = ask(
            edge.port,
            b"GET http://shop.test/a?b=c HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, X-Private\r\nX-Private: 1\r\n"
            b"X-Kept:  spaced out \r\nCF-Connecting-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\n"
            b"CF-Ray: forged\r\nTrue-Client-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"
            b"X-Real-IP: 203.0.113.9\r\nTE: trailers\r\n\r\n",
        )
    assert answer.status == 200
    ray = answer.headers["cf-ray"]
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    lines = header_lines(seen[0])
    mark = lines.pop("CDN-Loop")
    assert re.fullmatch("bartizan; edge=[0-9a-f]{32}", mark)
    assert lines == {
        "Host": "shop.test",
        "X-Kept": "spaced out",
        "CF-Connecting-IP": "127.0.0.1",
        "CF-Ray": ray,
        "CF-Visitor": '{"scheme":"http"}',
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "shop.test",
        "Via": "1.1 bartizan",
        "TE": "trailers",
    }
    assert ray.endswith("-LOC")
    assert len(ray) == 20


def test_a_body_passes_by_length_and_in_chunks_with_trailers(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url))
        by_length = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello")
        chunked = (
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"
        )
        ask(edge.port, chunked)
    assert by_length.body == b"hello"
    assert seen[1].split(b"\r\n\r\n", 1)[1] == b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"


def test_a_body_in_many_segments_arrives_whole(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    body = bytes(range(256)) * 4096
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as connection:
            connection.sendall(b"PUT /big HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), 100_000):
                connection.sendall(body[start : start + 100_000])
                time.sleep(0.01)
            raw, _ = read_answer(connection, b"PUT")
    assert parse(raw, closed=False).body == body
    assert seen[0].split(b"\r\n\r\n", 1)[1] == body


def test_chunks_are_streamed_as_they_come_with_trailers(start_edge: StartEdge) -> None:
    parts = [b"3\r\nabc\r\n", b"4\r\ndefg\r\n", b"0\r\nX-Sum: 9\r\n\r\n"]
    arrived = threading.Semaphore(0)

    def in_parts(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            visit.send(part)
            assert arrived.acquire(timeout=PATIENCE_S)

    with Origin(in_parts) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            for part in parts:
                # Each is there before the origin sends the next.
                assert read_until(connection, part).endswith(b"\r\n\r\n" + part if part == parts[0] else part)
                arrived.release()


def test_a_client_of_http_1_0_gets_no_chunks(start_edge: StartEdge) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with Origin(once(answer)) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
    assert got.body == b"abc"
    assert got.closed
    assert "transfer-encoding" not in got.headers


def test_head_keeps_the_length_of_what_is_not_sent(start_edge: StartEdge) -> None:
    with Origin(once(b"HTTP/1.1 200 OK\r\nContent-Length: 777\r\n\r\n")) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (got.status, got.headers["content-length"], got.body) == (200, "777", b"")


def test_informational_responses_pass_and_a_flood_of_them_does_not(start_edge: StartEdge) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    end = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Origin(once(hint + end)) as origin, Origin(once(hint * 17 + end)) as flood:
        edge = start_edge(zone(origin.url), zone(flood.url, name="flood", hosts=["flood.test"], default=False))
        good = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        bad = ask(edge.port, b"GET / HTTP/1.1\r\nHost: flood.test\r\n\r\n")
    assert good.raw.startswith(hint)
    assert good.body == b"ok"
    assert bad.status == 502


def test_the_origin_decides_on_expect_100_continue(start_edge: StartEdge) -> None:
    def refuse(visit: Visit) -> None:
        while b"\r\n\r\n" not in visit.received:
            visit.more()
        visit.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")

    with Origin(echo([])) as willing, Origin(refuse) as unwilling:
        edge = start_edge(zone(willing.url), zone(unwilling.url, name="no", hosts=["no.test"], default=False))
        with connect(edge.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            interim = read_until(connection, b"\r\n\r\n")
            connection.sendall(b"hello")
            final, _ = read_answer(connection, b"POST")
        no = ask(edge.port, b"POST / HTTP/1.1\r\nHost: no.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert parse(final, closed=False).body == b"hello"
    assert no.status == 413


def test_an_origin_that_never_says_continue_is_not_waited_for_for_ever(start_edge: StartEdge) -> None:
    def silent(visit: Visit) -> None:
        while not bytes(visit.received).endswith(b"hello"):
            visit.more()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Origin(silent) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            interim = read_until(connection, b"\r\n\r\n")
            connection.sendall(b"hello")
            final, _ = read_answer(connection, b"POST")
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert parse(final, closed=False).status == 200


def test_an_early_response_reaches_a_client_that_is_still_sending(start_edge: StartEdge) -> None:
    def early(visit: Visit) -> None:
        while b"\r\n\r\n" not in visit.received:
            visit.more()
        visit.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop")

    with Origin(early) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
            raw, _ = read_answer(connection, b"POST")
    got = parse(raw, closed=True)
    assert (got.status, got.body) == (413, b"stop")


def test_requests_of_one_connection_are_served_in_order(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url))
        requests = [b"POST /%d HTTP/1.1\r\n" % n + HOST + b"Content-Length: 1\r\n\r\n%d" % n for n in range(5)]
        with connect(edge.port) as connection:
            connection.sendall(b"".join(requests))
            raw = read_until(connection, b"\r\n\r\n4")
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in raw.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert len(origin.visits) == 1


def test_a_pooled_connection_that_the_origin_closed_is_not_used(start_edge: StartEdge) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Origin(once(answer)) as origin:
        edge = start_edge(zone(origin.url), edge={"listen": [{"address": "127.0.0.1:0"}], "threads": 1})
        request = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx"
        for _ in range(20):
            assert ask(edge.port, request).status == 200
            assert all(visit.ended.wait(PATIENCE_S) for visit in origin.visits), "the origin has not closed"


def test_a_request_is_sent_again_only_if_nothing_was_answered_and_that_is_safe(start_edge: StartEdge) -> None:
    seen: list[bytes] = []

    def dies_first(visit: Visit) -> None:
        request = visit.request()
        assert request is not None
        seen.append(request.split(b"\r\n")[0])
        if len(seen) % 2 == 0:
            # So that the next request does not come upon this connection before it is closed.
            visit.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    with Origin(dies_first) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        posted = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
    assert (got.status, posted.status) == (200, 502)
    assert seen == [b"GET / HTTP/1.1", b"GET / HTTP/1.1", b"POST / HTTP/1.1"]


def test_a_cut_off_response_never_looks_whole(start_edge: StartEdge) -> None:
    by_length = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for answer in (by_length, chunked):
        with Origin(once(answer)) as origin:
            edge = start_edge(zone(origin.url))
            got = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            edge.stop()
        assert got.closed
        assert not got.raw.endswith(b"0\r\n\r\n")


def test_bytes_after_the_end_of_a_response_reach_nobody(start_edge: StartEdge) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    def script(visit: Visit) -> None:
        while visit.request() is not None:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + poison)

    with Origin(script) as origin:
        edge = start_edge(zone(origin.url), edge={"listen": [{"address": "127.0.0.1:0"}], "threads": 1})
        answers = [ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") for _ in range(3)]
    assert [answer.body for answer in answers] == [b"ok"] * 3
    assert len(origin.visits) == 3


def test_an_origin_on_a_unix_socket(start_edge: StartEdge, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with Origin(echo([]), family=socket.AF_UNIX, path=path) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nunix")
    assert got.body == b"unix"


def test_a_dead_origin_is_a_bad_gateway_with_a_page_that_shows_the_ray(start_edge: StartEdge) -> None:
    edge = start_edge(zone("http://127.0.0.1:9"))
    page = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"Accept: text/html\r\n\r\n")
    as_json = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"Accept: application/json\r\n\r\n")
    assert (page.status, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert page.headers["cf-ray"].split("-")[0].encode() in page.body
    error = json.loads(as_json.body)["error"]
    assert (error["status"], error["reason"]) == (502, "origin_unreachable")
    assert error["ray_id"] == as_json.headers["cf-ray"].split("-")[0]


def test_an_unknown_host_is_refused_and_never_forwarded(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url, default=False))
        got = ask(edge.port, b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert got.status == 404
    assert seen == []


def test_a_rule_blocks_and_another_lets_pass(start_edge: StartEdge) -> None:
    phases = {
        "http_request_firewall_custom": [
            rule('http.request.uri.path contains "/admin"'),
            rule(
                'http.request.uri.path eq "/teapot"',
                action_parameters={
                    "response": {"status_code": 418, "content": "short and stout", "content_type": "text/plain"}
                },
            ),
        ]
    }
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url, phases=phases))
        blocked = ask(edge.port, b"GET /admin HTTP/1.1\r\n" + HOST + b"\r\n")
        teapot = ask(edge.port, b"GET /teapot HTTP/1.1\r\n" + HOST + b"\r\n")
        passed = ask(edge.port, b"GET /shop HTTP/1.1\r\n" + HOST + b"\r\n")
    assert [blocked.status, teapot.status, passed.status] == [403, 418, 200]
    assert teapot.body == b"short and stout"
    assert len(seen) == 1


def test_a_rule_reads_a_held_body_and_the_origin_still_gets_all_of_it(start_edge: StartEdge) -> None:
    phases = {"http_request_firewall_custom": [rule('http.request.body.raw contains "evil"')]}
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url, phases=phases))
        evil = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nso evil !")
        long = b"x" * 300_000
        fine = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 300000\r\n\r\n" + long)
        chunked = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"
        held = ask(edge.port, chunked)
    assert evil.status == 403
    assert (fine.status, fine.body == long) == (200, True)
    assert (held.status, held.body) == (200, b"good")


@pytest.mark.parametrize(("accept", "coding"), [(b"br, gzip", "br"), (b"gzip", "gzip"), (b"identity", None)])
def test_a_text_is_compressed_as_the_client_likes(start_edge: StartEdge, accept: bytes, coding: str | None) -> None:
    text = b"to be or not to be, " * 500
    answer = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n%s' % (
        len(text),
        text,
    )
    with Origin(once(answer)) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"GET / HTTP/1.1\r\n" + HOST + b"Accept-Encoding: " + accept + b"\r\n\r\n")
    assert got.headers.get("content-encoding") == coding
    assert got.headers["vary"].lower() == "accept-encoding"
    if coding == "gzip":
        import gzip

        assert gzip.decompress(got.body) == text
    if coding:
        assert len(got.body) < len(text) // 5
        assert got.headers["etag"] == 'W/"v1"'
    else:
        assert (got.body, got.headers["etag"]) == (text, '"v1"')


def test_a_trusted_proxy_names_the_client_and_a_stranger_does_not(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    request = (
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 198.51.100.7, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n\r\n"
    )
    with Origin(echo(seen)) as origin:
        trusting = start_edge(
            zone(origin.url), edge={"listen": [{"address": "127.0.0.1:0"}], "trusted_proxies": ["127.0.0.0/8"]}
        )
        ask(trusting.port, request)
        trusting.stop()
        wary = start_edge(zone(origin.url))
        ask(wary.port, request)
    trusted, stranger = (header_lines(request) for request in seen)
    assert (trusted["CF-Connecting-IP"], trusted["X-Forwarded-Proto"]) == ("198.51.100.7", "https")
    assert trusted["X-Forwarded-For"] == "198.51.100.7, 127.0.0.9, 127.0.0.1"
    assert (stranger["CF-Connecting-IP"], stranger["X-Forwarded-For"]) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 198.51.100.8 127.0.0.1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x08\x7f\0\0\x01\x12\x67\0\x50",
    ],
    ids=["v1", "v2"],
)
def test_a_proxy_protocol_header_names_the_client(start_edge: StartEdge, header: bytes) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        listen = [{"address": "127.0.0.1:0", "proxy_protocol": True}]
        edge = start_edge(zone(origin.url), edge={"listen": listen, "trusted_proxies": ["127.0.0.1"]})
        got = ask(edge.port, header + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert got.status == 200
    assert header_lines(seen[0])["CF-Connecting-IP"] == "198.51.100.8"

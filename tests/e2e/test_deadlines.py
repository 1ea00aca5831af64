"""Deadlines and caps: who is slow, silent or too many is let go, and nobody else."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from .client import PATIENCE_S, ask, connect, read_answer, read_to_end, read_until
from .conftest import Document, StartEdge, zone
from .origin import Origin, Visit, echo

HOST = b"Host: shop.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"

SOONER_S = 12.0
"""Sooner than a deadline passes that nobody has set: 15 s and more."""


def limits(**values: int) -> Document:
    return {"listen": [{"address": "127.0.0.1:0"}], "limits": values}


def test_a_silent_connection_is_closed(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url), edge=limits(first_byte_timeout_ms=500))
        with connect(edge.port) as connection:
            connection.settimeout(SOONER_S)
            assert read_to_end(connection) == b""
    assert edge.metric("bartizan_deadlines_total", deadline="first_byte") == 1


def test_a_head_that_trickles_in_is_answered_408(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url), edge=limits(header_timeout_ms=800))
        with connect(edge.port) as connection:
            received = b""
            for byte in GET[:-2]:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
                with suppress(BlockingIOError):
                    received = connection.recv(4096, socket.MSG_DONTWAIT)
                if received:
                    break
            received = received or read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_in_is_given_up(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url), edge=limits(body_min_bytes_per_s=1000, body_rate_window_ms=1000))
        with connect(edge.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n")
            stop = threading.Event()

            def trickle() -> None:
                while not stop.wait(0.1):
                    try:
                        connection.send(b"x")
                    except OSError:
                        return

            thread = threading.Thread(target=trickle)
            thread.start()
            received, _ = read_answer(connection, b"POST")
            stop.set()
            thread.join()
    assert received.startswith(b"HTTP/1.1 408 ")
    assert edge.metric("bartizan_deadlines_total", deadline="body_rate") == 1


def test_a_client_that_does_not_read_is_given_up(start_edge: StartEdge) -> None:
    body = b"x" * 50_000_000

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        visit.send(body)

    with Origin(script) as origin:
        edge = start_edge(zone(origin.url), edge=limits(body_min_bytes_per_s=1000, body_rate_window_ms=1000))
        with connect(edge.port) as connection:
            connection.sendall(GET)
            # What the socket's buffers took at once is credit for six windows.
            until = time.monotonic() + 2 * PATIENCE_S
            while edge.metric("bartizan_deadlines_total", deadline="write_rate") == 0 and time.monotonic() < until:
                time.sleep(0.2)
            assert edge.metric("bartizan_deadlines_total", deadline="write_rate") == 1


def test_a_connection_rests_as_long_as_it_may(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url), edge=limits(idle_timeout_ms=600))
        with connect(edge.port) as connection:
            connection.sendall(GET)
            read_until(connection, b"\r\n\r\n")
            assert read_to_end(connection) == b""
    assert edge.metric("bartizan_deadlines_total", deadline="idle") == 1


def test_an_origin_that_does_not_answer_is_a_gateway_timeout(start_edge: StartEdge) -> None:
    def silent(visit: Visit) -> None:
        visit.request()
        visit.more()

    with Origin(silent) as origin:
        edge = start_edge(zone(origin.url), edge=limits(origin_response_timeout_ms=700))
        got = ask(edge.port, GET)
    assert got.status == 504


def test_a_client_that_leaves_is_noticed_while_the_origin_thinks(start_edge: StartEdge) -> None:
    asked, left = threading.Event(), threading.Event()

    def thinks(visit: Visit) -> None:
        visit.request()
        asked.set()
        if not visit.more():
            left.set()

    with Origin(thinks) as origin:
        edge = start_edge(zone(origin.url))
        connection = connect(edge.port)
        connection.sendall(GET)
        assert asked.wait(PATIENCE_S)
        connection.close()
        assert left.wait(PATIENCE_S)


def test_an_address_has_only_so_many_connections(start_edge: StartEdge) -> None:
    with Origin(echo([])) as origin:
        edge = start_edge(zone(origin.url), edge=limits(connections_per_address=3))
        held = [connect(edge.port) for _ in range(3)]
        for connection in held:
            connection.sendall(GET)
            read_until(connection, b"\r\n\r\n")
        with connect(edge.port) as fourth:
            assert read_to_end(fourth) == b""
        held.pop().close()
        until = time.monotonic() + PATIENCE_S
        while edge.metric("bartizan_connections_open") > 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert ask(edge.port, GET).status == 200
        for connection in held:
            connection.close()
    assert edge.metric("bartizan_connections_refused_total", cap="connections_per_address") == 1


def test_a_body_above_the_cap_is_413_by_length_and_in_chunks(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url), edge=limits(body_bytes=10))
        by_length = ask(edge.port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n" + b"x" * 11)
        chunked = (
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"
        )
        in_chunks = ask(edge.port, chunked)
    assert (by_length.status, in_chunks.status) == (413, 413)
    assert not any(request.endswith(b"0\r\n\r\n") or b"xxx" in request for request in seen)


def test_a_stop_lets_a_request_in_flight_end(start_edge: StartEdge) -> None:
    asked = threading.Event()

    def slow(visit: Visit) -> None:
        visit.request()
        asked.set()
        time.sleep(1)
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    with Origin(slow) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as idle, connect(edge.port) as busy:
            idle.sendall(b"")
            busy.sendall(GET)
            assert asked.wait(PATIENCE_S)
            stopper = threading.Thread(target=edge.stop, args=(2 * PATIENCE_S,))
            stopper.start()
            assert read_to_end(busy).endswith(b"slow")
            stopper.join(PATIENCE_S)
            assert not stopper.is_alive()
            assert read_to_end(idle) == b""

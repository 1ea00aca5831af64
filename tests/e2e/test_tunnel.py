"""Upgraded connections: WebSocket bytes both ways, and what is not upgraded."""

from __future__ import annotations

from .client import ask, connect, read_until
from .conftest import StartEdge, zone
from .origin import Origin, Visit, echo

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def websocket(visit: Visit) -> None:
    while b"\r\n\r\n" not in visit.received:
        if not visit.more():
            return
    visit.send(SWITCH + b"hello ")
    while visit.more():
        visit.send(bytes(visit.received[-5:]))


def test_bytes_pass_both_ways_after_an_upgrade(start_edge: StartEdge) -> None:
    with Origin(websocket) as origin:
        edge = start_edge(zone(origin.url))
        with connect(edge.port) as connection:
            connection.sendall(UPGRADE)
            head = read_until(connection, b"\r\n\r\nhello ")
            connection.sendall(b"12345")
            read_until(connection, b"12345")
            open_tunnels = edge.metric("bartizan_tunnels_open")
        still_open = edge.counted(0, "bartizan_tunnels_open")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert (open_tunnels, still_open) == (1, 0)


def test_an_origin_that_refuses_the_upgrade_is_heard(start_edge: StartEdge) -> None:
    refusal = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"
    with Origin(echo([], refusal)) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, UPGRADE)
    assert (got.status, got.body) == (426, b"no")


def test_a_switch_that_nobody_asked_for_is_a_bad_gateway(start_edge: StartEdge) -> None:
    with Origin(echo([], SWITCH)) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(edge.port, b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    assert got.status == 502


def test_an_upgrade_to_cleartext_http_2_is_not_passed_on(start_edge: StartEdge) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen)) as origin:
        edge = start_edge(zone(origin.url))
        got = ask(
            edge.port,
            b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        )
    assert got.status == 200
    assert b"upgrade" not in seen[0].lower()
    assert b"http2-settings" not in seen[0].lower()

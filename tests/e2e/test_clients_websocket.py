"""The client of `websockets` through the edge, with and without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.applications import Application
from tests.e2e.authority import Authority, listen
from tests.e2e.conftest import RunningEdge, StartEdge, rule, zone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

MIB = 1 << 20
WAIT_S = 120.0
Talk = Callable[[ClientConnection], Awaitable[object]]


class Site:
    """How to open a WebSocket to one edge by one scheme."""

    def __init__(self, edge: RunningEdge, authority: Authority, scheme: str) -> None:
        self.edge = edge
        port = edge.tls_port if scheme == "wss" else edge.port
        self.address = f"{scheme}://shop.test:{port}/socket"
        self._port = port
        self._trust = authority.trust() if scheme == "wss" else None

    def open(self, **headers: str) -> connect:
        """A WebSocket, when awaited or entered."""
        return connect(
            self.address,
            host="127.0.0.1",
            port=self._port,
            ssl=self._trust,
            max_size=None,
            additional_headers=headers,
            proxy=None,
            open_timeout=WAIT_S,
            close_timeout=WAIT_S,
            ping_interval=None,
        )

    def talk(self, conversation: Talk, **headers: str) -> object:
        """Opens a WebSocket, has the conversation and closes."""

        async def whole() -> object:
            async with self.open(**headers) as websocket:
                return await conversation(websocket)

        return asyncio.run(asyncio.wait_for(whole(), WAIT_S))


@pytest.fixture(params=["ws", "wss"])
def site(start_edge: StartEdge, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    authority = Authority(tmp_path)
    blocked = {"http_request_firewall_custom": [rule('any(http.request.headers["x-evil"][*] eq "1")')]}
    with Application() as application:
        tls = authority.tls("shop", "shop.test")
        edge = start_edge(zone(application.url, tls=tls, phases=blocked), edge=listen())
        yield Site(edge, authority, request.param)


def test_messages_of_every_size_come_back(site: Site) -> None:
    sent: list[str | bytes] = [
        "",
        "grüße",
        b"\x00\xff",
        "x" * 125,
        b"y" * 126,
        b"z" * 65536,
        b"\xab" * MIB,
        "ü" * (MIB // 2),
    ]

    async def conversation(websocket: ClientConnection) -> object:
        got = []
        for message in sent:
            await websocket.send(message)
            got.append(await websocket.recv())
        return got

    assert site.talk(conversation) == sent


def test_a_message_in_fragments_comes_back_whole(site: Site) -> None:
    async def conversation(websocket: ClientConnection) -> object:
        await websocket.send([b"one ", b"two ", b"three"])
        return await websocket.recv()

    assert site.talk(conversation) == b"one two three"


def test_pings_are_answered_by_the_application(site: Site) -> None:
    async def conversation(websocket: ClientConnection) -> object:
        return [await (await websocket.ping(payload)) >= 0 for payload in (b"a", b"b", b"c")]

    assert site.talk(conversation) == [True, True, True]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_applications_close_code_arrives(site: Site, code: int) -> None:
    async def conversation(websocket: ClientConnection) -> object:
        await websocket.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        return closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd.reason)

    assert site.talk(conversation) == (code, "as asked")


def test_a_closed_websocket_leaves_nothing_open(site: Site) -> None:
    async def conversation(websocket: ClientConnection) -> object:
        await websocket.send("here")
        await websocket.recv()
        return site.edge.metric("bartizan_tunnels_open")

    assert site.talk(conversation) == 1
    assert site.edge.counted(0, "bartizan_tunnels_open") == 0


def test_thirty_two_websockets_at_once(site: Site) -> None:
    async def one(number: int) -> bool:
        async with site.open() as websocket:
            for step in range(10):
                await websocket.send(bytes([number]) * (step * 1000))
                if await websocket.recv() != bytes([number]) * (step * 1000):
                    return False
        return True

    async def together() -> list[bool]:
        return await asyncio.gather(*map(one, range(32)))

    assert asyncio.run(asyncio.wait_for(together(), WAIT_S)) == [True] * 32


def test_a_rule_blocks_the_upgrade(site: Site) -> None:
    async def conversation(_: ClientConnection) -> object:
        raise AssertionError("the WebSocket was opened")

    with pytest.raises(InvalidStatus) as refused:
        site.talk(conversation, **{"X-Evil": "1"})
    assert refused.value.response.status_code == 403

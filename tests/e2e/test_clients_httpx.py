"""httpx through the edge: pages, streams both ways and server-sent events, by HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.applications import PAGE, TEXT, Application, download_bytes
from tests.e2e.authority import Authority, listen
from tests.e2e.conftest import RunningEdge, StartEdge, zone

MIB = 1 << 20
WAIT_S = 60.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def edge(start_edge: StartEdge, authority: Authority) -> Iterator[RunningEdge]:
    with Application() as application:
        tls = authority.tls("shop", "localhost")
        yield start_edge(zone(application.url, hosts=["localhost"], tls=tls), edge=listen())


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def http2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def client(edge: RunningEdge, authority: Authority, http2: bool) -> Iterator[httpx.Client]:
    address = f"https://127.0.0.1:{edge.tls_port}"
    with httpx.Client(http1=not http2, http2=http2, verify=authority.trust(), base_url=address, timeout=WAIT_S) as made:
        yield made


def test_httpx_gets_pages_over_one_connection(client: httpx.Client, edge: RunningEdge, http2: bool) -> None:
    answers = [client.get(path) for path in ("/", "/text", "/nowhere")]
    version = "HTTP/2" if http2 else "HTTP/1.1"
    assert [(answer.http_version, answer.status_code) for answer in answers] == [
        (version, 200),
        (version, 200),
        (version, 404),
    ]
    assert [answer.content for answer in answers] == [PAGE, TEXT, b"no such page\n"]
    assert answers[1].headers["content-encoding"] in ("gzip", "br")
    assert edge.metric("bartizan_connections_accepted_total") == 1


def test_httpx_sends_a_body_of_unknown_length(client: httpx.Client) -> None:
    pieces = list(download_bytes(3 * MIB + 5))
    seen = client.post("/upload", content=iter(pieces)).json()
    assert (seen["bytes"], seen["sha256"]) == (3 * MIB + 5, hashlib.sha256(b"".join(pieces)).hexdigest())


def test_httpx_reads_a_stream(client: httpx.Client) -> None:
    digest, count = hashlib.sha256(), 0
    with client.stream("GET", f"/download?{8 * MIB}") as answer:
        for piece in answer.iter_raw():
            digest.update(piece)
            count += len(piece)
    assert (count, digest.digest()) == (8 * MIB, hashlib.sha256(b"".join(download_bytes(8 * MIB))).digest())


def test_httpx_leaves_a_stream_and_the_client_goes_on(client: httpx.Client) -> None:
    """By HTTP/2 httpx neither resets what it leaves nor gives back its share of the connection's window, 16 MiB in all.

    So the downloads stay below that: with more of them the client would wait for a window that only it can open.
    """
    for _ in range(3):
        with client.stream("GET", f"/download?{4 * MIB}") as answer:
            assert next(answer.iter_raw())
    assert client.get("/").content == PAGE


def test_events_arrive_one_by_one(client: httpx.Client) -> None:
    """The application sends an event when it hears that the one before was read: with any buffering it would wait."""
    events = []
    with client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
                assert client.get("/next").status_code == 204
    assert answer.headers["content-type"] == "text/event-stream"
    assert "content-encoding" not in answer.headers
    assert events == [f"event {number}" for number in range(5)]


def test_many_streams_share_a_connection(edge: RunningEdge, authority: Authority) -> None:
    """64 downloads and uploads at once over one HTTP/2 connection, each whole."""

    async def up(client: httpx.AsyncClient, count: int) -> bool:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in download_bytes(count):
                yield piece

        seen = (await client.post("/upload", content=pieces())).json()
        return bool(seen["sha256"] == hashlib.sha256(b"".join(download_bytes(count))).hexdigest())

    async def down(client: httpx.AsyncClient, count: int) -> bool:
        return (await client.get(f"/download?{count}")).content == b"".join(download_bytes(count))

    async def together() -> list[bool]:
        address = f"https://127.0.0.1:{edge.tls_port}"
        made = httpx.AsyncClient(http1=False, http2=True, verify=authority.trust(), base_url=address, timeout=WAIT_S)
        async with made as client:
            await client.get("/")
            return await asyncio.gather(*(kind(client, 1000 * step) for step in range(32) for kind in (up, down)))

    assert asyncio.run(together()) == [True] * 64
    assert edge.metric("bartizan_connections_accepted_total") == 1

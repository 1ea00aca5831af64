"""A JetStream has every row once, also where the server or the owner dies in between. The server is Debian's."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.events.sinks.delivery import NO_CHDB, batches, deliver_under_kills, put, rays, until
from tests.events.sinks.programs import listening
from tests.events.support import name_sinks, running, sink_status
from tests.ports import reserved_port

from bartizan.config.sinks import Nats, Secret
from bartizan.events.sinks.contract import RowsRefused, SinkFailed
from bartizan.events.sinks.nats import NatsSink
from bartizan.layout import StateDirectory

pytestmark = pytest.mark.skipif(shutil.which("nats-server") is None, reason="nats-server is not installed")


def command(port: int, directory: Path, *more: str) -> list[str]:
    return ["nats-server", "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(directory), *more]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server with an empty store."""
    free = reserved_port()
    with listening(command(free, tmp_path), free):
        yield free


def settings(port: int, **more: Any) -> Nats:
    return Nats(servers=[f"nats://127.0.0.1:{port}"], **more)


def stored(port: int) -> list[tuple[str, str, str]]:
    """Subject, message id and Ray ID of every message in the stream, in order."""

    async def read() -> list[tuple[str, str, str]]:
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = client.jetstream()
        count = (await stream.stream_info("BARTIZAN")).state.messages
        reader = await stream.subscribe("bartizan.>", ordered_consumer=True)
        found = []
        for _ in range(count):
            message = await reader.next_msg(60)
            ray = json.loads(message.data)["RayID"]
            found.append((message.subject, (message.headers or {})["Nats-Msg-Id"], ray))
        await client.close()
        return found

    return asyncio.run(read())


def test_rows_are_messages_with_an_id_of_their_own(state: StateDirectory, port: int) -> None:
    put(state, range(20))
    ((batch, token),) = batches(state)
    with closing(NatsSink(settings(port))) as sink:
        sink.insert(batch, token)
    # The process ended before it could note that; the next one gets the same range.
    with closing(NatsSink(settings(port))) as sink:
        sink.insert(batch, token)
    subject = f"bartizan.http_requests.{batch.range[0]}"
    assert stored(port) == [(subject, f"{token}-{number}", ray) for number, ray in enumerate(rays(range(20)))]


def test_a_range_is_continued_where_its_ids_are_forgotten(state: StateDirectory, port: int) -> None:
    put(state, range(20))
    ((batch, token),) = batches(state)
    lines = (batch.ndjson("http_requests") or b"").splitlines()
    short = settings(port, duplicate_window_s=0.2)
    with closing(NatsSink(short)) as sink:
        # As far as the connection lasted.
        sink._run(sink._publish("http_requests", f"bartizan.http_requests.{batch.range[0]}", token, lines[:7]), 60)
    time.sleep(0.5)
    with closing(NatsSink(short)) as sink:
        sink.insert(batch, token)
    assert [ray for _, _, ray in stored(port)] == rays(range(20))


def test_a_row_that_the_server_does_not_take_is_refused_and_the_others_arrive(
    state: StateDirectory, tmp_path: Path
) -> None:
    free = reserved_port()
    (tmp_path / "small.conf").write_text("max_payload: 1600\n")
    put(state, range(2))
    ((batch, token),) = batches(state)
    with (
        listening(command(free, tmp_path / "js", "-c", str(tmp_path / "small.conf")), free),
        closing(NatsSink(settings(free))) as sink,
    ):
        row = min(len(line) for _, line in batch.json_rows())
        sink._client._max_payload = sink._client._server_info["max_payload"] = row + 1024 - 1
        with pytest.raises(RowsRefused, match="more than the server takes") as refused:
            sink.insert(batch, token)
    assert len(refused.value.rows) >= 1


def test_every_row_is_there_once_after_kills_at_random_points(state: StateDirectory, port: int) -> None:
    put(state, range(6000), segment_bytes=1 << 18)
    sink: dict[str, object] = {"type": "nats", "servers": [f"nats://127.0.0.1:{port}"]}
    deliver_under_kills(state, 6000, "stream", sink, kills=4)
    assert sorted(ray for _, _, ray in stored(port)) == rays(range(6000))


def test_a_server_that_dies_is_waited_for(state: StateDirectory, tmp_path: Path) -> None:
    free = reserved_port()
    name_sinks(state, chdb=NO_CHDB, stream={"type": "nats", "servers": [f"nats://127.0.0.1:{free}"]})
    put(state, range(10))
    with running(state):
        with listening(command(free, tmp_path), free):
            until(lambda: sink_status(state, "stream").rows == 10, "the rows are there")
        put(state, range(10, 20))
        until(lambda: sink_status(state, "stream").problem != "", "a server that is gone is said")
        assert "JetStream" in sink_status(state, "stream").way_out
        with listening(command(free, tmp_path), free):
            until(lambda: sink_status(state, "stream").rows == 20, "it goes on")
            assert [ray for _, _, ray in stored(free)] == rays(range(20))


def test_a_server_that_dies_with_rows_in_hand_is_not_waited_for(state: StateDirectory, tmp_path: Path) -> None:
    free = reserved_port()
    put(state, range(20))
    ((batch, token),) = batches(state)
    failures: list[SinkFailed] = []
    with listening(command(free, tmp_path), free) as server, closing(NatsSink(settings(free))) as sink:
        sink.insert(batch, token)

        def insert() -> None:
            with pytest.raises(SinkFailed) as failed:
                sink.insert(batch, token)
            failures.append(failed.value)

        server.send_signal(signal.SIGSTOP)
        inserting = threading.Thread(target=insert)
        inserting.start()
        until(lambda: sink._stream.publish_async_pending() == 20, "the rows are on their way")
        server.kill()
        inserting.join(60)
    assert [str(failed) for failed in failures] == [f"nats://127.0.0.1:{free}: nats: connection closed"]


def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = reserved_port()
    monkeypatch.setenv("NATS_PASSWORD", "wrong-secret")
    with listening(command(free, tmp_path, "--user", "edge", "--pass", "right"), free):
        wrong = settings(free, user="edge", password=Secret(env="NATS_PASSWORD"))
        with pytest.raises(SinkFailed, match=r"(?i)authorization") as failed:
            NatsSink(wrong)
        assert failed.value.way_out == "correct user and password, or the token"
        assert "wrong-secret" not in str(failed.value)
        monkeypatch.setenv("NATS_PASSWORD", "right")
        NatsSink(wrong).close()

"""Sinks side by side: none waits for another, and a change of the settings loses and doubles nothing."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

from tests.events.sinks.delivery import NO_CHDB, put, rays
from tests.events.support import eventually, name_sinks, request, running, sink_status

from bartizan._native import SpoolWriter
from bartizan.events import control
from bartizan.events.delivery import pause_s_after
from bartizan.events.sinks.contract import SinkFailed
from bartizan.layout import StateDirectory


def files(directory: Path, **more: object) -> dict[str, object]:
    return {"type": "files", "dir": str(directory), "every_s": 0.05} | more


def found(*directories: Path) -> list[str]:
    """The Ray IDs in the files of all directories together."""
    lines = [
        line
        for directory in directories
        for file in directory.rglob("*.ndjson")
        for line in file.read_text().splitlines()
    ]
    return sorted(json.loads(line)["RayID"] for line in lines)


def test_a_sink_that_is_down_holds_no_other(state: StateDirectory, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("no directory")
    name_sinks(state, chdb=NO_CHDB, down=files(blocked), copy=files(tmp_path / "copy"))
    put(state, range(100))
    with running(state):
        eventually(lambda: sink_status(state, "copy").rows == 100, "the sink that works has the rows")
        eventually(lambda: "Not a directory" in sink_status(state, "down").problem, "the other says why it has none")
        down = sink_status(state, "down")
        assert (down.rows, "the right to write" in down.way_out) == (0, True)
        assert down.behind_bytes > sink_status(state, "copy").behind_bytes == 0
        blocked.unlink()
        eventually(lambda: sink_status(state, "down").rows == 100, "it has caught up")
        assert sink_status(state, "down").problem == ""
    assert found(blocked) == found(tmp_path / "copy") == rays(range(100))


def test_a_segment_without_rows_is_not_behind(state: StateDirectory, tmp_path: Path) -> None:
    name_sinks(state, chdb=NO_CHDB, copy=files(tmp_path / "copy"))
    put(state, range(100))
    with running(state):
        eventually(lambda: sink_status(state, "copy").rows == 100, "the sink has the rows")
        writer = SpoolWriter(state.spool)
        try:
            header = max(state.spool.glob("*.spool"))
            assert header.stat().st_size > 0
            eventually(lambda: sink_status(state, "copy").behind_bytes == 0, "there is nothing for the sink")
            writer.push("http_requests", request(100))
            eventually(lambda: sink_status(state, "copy").rows == 101, "it goes on behind the header")
            eventually(lambda: sink_status(state, "copy").behind_bytes == 0, "there is nothing for the sink")
        finally:
            writer.close()
    assert found(tmp_path / "copy") == rays(range(101))


def test_a_peer_is_left_alone_for_as_long_as_it_wants() -> None:
    assert 0.5 <= pause_s_after(SinkFailed("busy"), 1) <= 1
    assert 0.5 <= pause_s_after(OSError("gone"), 1) <= 1
    assert pause_s_after(SinkFailed("busy", wait_s=17), 1) == 17
    assert 15 <= pause_s_after(SinkFailed("busy", wait_s=1), 30) <= 30, "and never for less than by itself"


def test_changes_take_effect_at_once_and_lose_and_double_nothing(state: StateDirectory, tmp_path: Path) -> None:
    first, second, other = tmp_path / "first", tmp_path / "second", tmp_path / "other"
    name_sinks(state, chdb=NO_CHDB, copy=files(first))
    put(state, range(50))
    with running(state):
        eventually(lambda: sink_status(state, "copy").rows == 50, "the first directory has the rows")
        name_sinks(state, chdb=NO_CHDB, copy=files(second), other=files(other))
        total, deadline = 50, time.monotonic() + 60
        while not found(second):
            # Until the change is taken up they still go to the first.
            put(state, range(total, total + 10))
            total += 10
            time.sleep(0.2)
            assert time.monotonic() < deadline, "the change is never taken up"
        eventually(lambda: found(first, second) == rays(range(total)), "both directories have all, each row once")
        eventually(lambda: found(other) == rays(range(total)), "a new sink has all that the spool holds")
        name_sinks(state, chdb=NO_CHDB, copy=files(second, enabled=False), other=files(other))
        shipping = state.spool / "shipping"
        eventually(lambda: "copy" not in shipping.read_text(), "nothing waits for a sink that is switched off")
        put(state, range(total, total + 10))
        eventually(lambda: found(other) == rays(range(total + 10)), "the other one goes on")
        assert found(first, second) == rays(range(total))
        name_sinks(state, chdb=NO_CHDB, copy=files(second))
        eventually(lambda: found(first, second) == rays(range(total + 10)), "switched on, it goes on where it was")


def test_settings_that_cannot_be_understood_leave_those_before_in_effect(state: StateDirectory, tmp_path: Path) -> None:
    name_sinks(state, chdb=NO_CHDB, copy=files(tmp_path))
    with running(state):
        name_sinks(state, copy={"type": "pigeon"})
        eventually(lambda: "run: bartizan apply" in control.status(state.events_socket).problem, "it says so")
        put(state, range(3))
        eventually(lambda: sink_status(state, "copy").rows == 3, "the sink works on")


def test_a_sink_that_hangs_holds_no_other(state: StateDirectory, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # It takes the connection and never answers.
        hung = {"type": "https", "url": f"http://127.0.0.1:{listener.getsockname()[1]}", "timeout_s": 1}
        name_sinks(state, chdb=NO_CHDB, hung=hung, copy=files(tmp_path))
        put(state, range(100))
        with running(state):
            eventually(lambda: sink_status(state, "copy").rows == 100, "the sink that works has the rows")
            eventually(lambda: "gives no answer: timed out" in sink_status(state, "hung").problem, "the other is named")
            assert sink_status(state, "hung").rows == 0
    assert found(tmp_path) == rays(range(100))

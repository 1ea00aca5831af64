"""A disk that is full costs events, never requests: on a real file system of 8 MiB, filled by real requests."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.edge_process import EdgeProcess, document
from tests.events.support import eventually

from bartizan._native import SpoolReader
from bartizan.control import ask
from bartizan.edge.watch import spooled
from bartizan.layout import StateDirectory

ZONE = {
    "name": "shop",
    "hosts": [],
    "default": True,
    "origin": {"servers": [{"url": "http://127.0.0.1:1"}]},
    "phases": {"http_request_firewall_custom": [{"id": "0" * 31 + "1", "expression": "true", "action": "block"}]},
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "bartizan-test", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("there is no right to mount a file system; run as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class Client:
    """Asks the edge on one connection, and keeps the Ray of each answer."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.rays: list[str] = []

    def close(self) -> None:
        self._connection.close()

    def ask(self, times: int, *, query: str = "q=" + "x" * 3000) -> None:
        for _ in range(times):
            self._connection.request("GET", f"/p?{query}")
            answer = self._connection.getresponse()
            answer.read()
            assert answer.status == 403
            self.rays.append(answer.headers["CF-Ray"].partition("-")[0])


def counted(state: StateDirectory, name: str) -> int:
    status = ask(state.edge_socket, {"command": "status"}, timeout_s=30)
    assert status is not None
    return spooled(status)[f"bartizan_spool_{name}_total"]


def written(state: StateDirectory) -> int:
    status = ask(state.edge_socket, {"command": "status"}, timeout_s=30)
    assert status is not None
    names = {"bartizan_spool_written_rows_total", "bartizan_spool_refused_rows_total"}
    return sum(sample["value"] for sample in status["metrics"] if sample["name"] in names)


def fill(place: Path) -> Path:
    """Takes the last byte of a disk."""
    ballast = place / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return ballast


def test_requests_are_served_and_events_are_kept_again_when_there_is_room(tmp_path: Path, small_disk: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    spool = small_disk / "spool"
    settings = {"dir": str(spool), "segment_bytes": 262_144, "max_bytes": 1 << 30}
    policy = document(ZONE, spool, listen=[{"address": "127.0.0.1:0"}])
    policy["edge"]["spool"] = settings
    # What comes free in the end is more than segments that are being thinned take meanwhile.
    held = small_disk / "held"
    held.write_bytes(bytes(2 << 20))
    with EdgeProcess(state, policy) as edge, contextlib.closing(Client(edge.port)) as client:
        # The disk is full long before the spool may be: then the oldest rows are sampled away.
        while counted(state, "sampled_rows") == 0:
            client.ask(50)
            assert len(client.rays) < 20_000
        # Someone else takes what is left, again and again: now events are lost too, but no request.
        ballast = fill(small_disk)
        refused = counted(state, "refused_rows")
        while counted(state, "refused_rows") < refused + 100:
            client.ask(20)
            fill(small_disk)
            assert len(client.rays) < 40_000
        lost = len(client.rays)
        eventually(lambda: written(state) >= 2 * lost, "all rows were written or refused")
        held.unlink()
        ballast.unlink()
        # The next write may still have been tried before there was room.
        refused = counted(state, "refused_rows")
        client.ask(1)
        eventually(lambda: written(state) >= 2 * lost + 2, "the first event was written or refused")
        client.ask(100, query="again=1")
        eventually(lambda: written(state) >= 2 * len(client.rays), "the last events were written")
        assert counted(state, "refused_rows") <= refused + 2
        refused = counted(state, "refused_rows")
    rays: list[str] = []
    reader, gaps = SpoolReader(spool), 0
    while (batch := reader.next_batch()) is not None:
        rays += [str(row["RayID"]) for _, row in batch.rows("http_requests")]
        gaps += sum(count for reason, count, _ in batch.gaps if reason == "disk")
    assert reader.take_troubles() == [], "nothing was half-written, or it was cut off again"
    assert len(set(rays)) == len(rays)
    assert set(rays) <= set(client.rays)
    assert rays[-100:] == client.rays[-100:]
    # A gap that stands in a segment that was removed since tells of no rows any more.
    assert 0 < gaps <= refused

"""The private listener, first alone, then with everything behind it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.supervisor.conftest import PATIENCE_S, Up

from bartizan.failure import Failure
from bartizan.supervisor import measures
from bartizan.supervisor.monitor import Health, Monitor, Sources
from bartizan.supervisor.reference import PAGE

REPOSITORY = Path(__file__).parents[2]


class Told:
    """What the sources say in a test."""

    live = Health(well=True, problems={})
    ready = Health(well=False, problems={"edge": "does not serve"})


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor("127.0.0.1:0", Sources(lambda: "a 1\n", lambda: Told.live, lambda: Told.ready)) as listening:
        yield listening


def asked(port: int, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read().decode()
    finally:
        connection.close()


def test_each_path_answers_for_itself(monitor: Monitor) -> None:
    assert asked(monitor.port, "/metrics") == (200, "text/plain; version=0.0.4; charset=utf-8", "a 1\n")
    assert asked(monitor.port, "/metrics?x=1", "HEAD")[2] == ""
    assert asked(monitor.port, "/healthz") == (200, "application/json", '{"status": "ok", "problems": {}}\n')
    status, _, body = asked(monitor.port, "/readyz")
    assert (status, json.loads(body)) == (503, {"status": "failing", "problems": {"edge": "does not serve"}})
    assert asked(monitor.port, "/")[0] == 404
    assert asked(monitor.port, "/metrics", "POST")[0] == 501


def test_a_client_that_says_nothing_holds_no_other_up(monitor: Monitor) -> None:
    silent = [socket.create_connection(("127.0.0.1", monitor.port)) for _ in range(5)]
    assert asked(monitor.port, "/healthz")[0] == 200
    for connection in silent:
        connection.close()


def test_an_address_in_use_is_named_with_the_way_out(monitor: Monitor) -> None:
    sources = Sources(lambda: "", lambda: Told.live, lambda: Told.ready)
    with pytest.raises(Failure, match=rf"127.0.0.1:{monitor.port} of --monitor cannot be bound: .* in use"):
        Monitor(f"127.0.0.1:{monitor.port}", sources)


def test_the_numbers_of_a_process_are_those_of_proc() -> None:
    samples = {sample.measure: sample.value for sample in measures.of_process("me", os.getpid(), 3, answers=True)}
    assert samples[measures.UP] == 1
    assert samples[measures.RESTARTS] == 3
    assert samples[measures.RESIDENT] > 10_000_000
    assert samples[measures.THREADS] >= 1
    assert samples[measures.DESCRIPTORS] >= 3
    assert samples[measures.CPU] > 0


def test_of_a_process_that_ended_only_that_is_said() -> None:
    samples = measures.of_process("gone", 2**22 + 1, 0, answers=False)
    assert [sample.measure for sample in samples] == [measures.UP, measures.RESTARTS]


def test_a_label_cannot_leave_its_quotes() -> None:
    text = measures.text([measures.Sample(measures.UP, 'a"b\\c\nd', 1)])
    assert text.splitlines()[-1] == 'bartizan_process_up{process="a\\"b\\\\c\\nd"} 1'


def test_each_sink_of_the_event_owner_has_its_numbers() -> None:
    sink = {"name": "copy", "rows": 7, "rows_refused": 1, "behind_bytes": 300, "problem": "x", "last_shipped_ns": 2e9}
    lines = measures.text(measures.of_events({"sinks": [sink]})).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'bartizan_events_shipped_rows_total{sink="copy"} 7',
        'bartizan_events_refused_rows_total{sink="copy"} 1',
        'bartizan_events_behind_bytes{sink="copy"} 300',
        'bartizan_events_sink_failing{sink="copy"} 1',
        'bartizan_events_last_shipped_timestamp_seconds{sink="copy"} 2',
    ]


def test_all_of_it_while_bartizan_runs(up: Callable[..., Up], write_site: Callable[..., Path]) -> None:
    running = up(write_site(), options=["--monitor", "127.0.0.1:0"])
    said = running.said("watchers may ask")["message"]
    port = int(re.findall(r":(\d+)/metrics", said)[0])
    running.serving()
    assert asked(port, "/readyz")[0] == 200
    assert asked(port, "/healthz")[0] == 200
    text = asked(port, "/metrics")[2]
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    page = (REPOSITORY / PAGE).read_text()
    assert [name for name in exposed if f"| `{name}` |" not in page] == []
    assert {"bartizan_requests_total", "bartizan_process_up"} <= exposed
    assert 'bartizan_process_up{process="edge"} 1' in text
    # Without a policy it does not come back before it was asked about.
    running.state.current_policy.rename(running.state.path / "elsewhere")
    os.kill(running.processes()["edge"]["pid"], signal.SIGKILL)
    running.until(lambda line: "edge was killed" in line["message"])
    assert 'bartizan_process_up{process="edge"} 0' in asked(port, "/metrics")[2]
    status, _, body = asked(port, "/readyz")
    assert (status, json.loads(body)["problems"]) == (503, {"edge": "does not serve"})
    assert asked(port, "/healthz")[0] == 200

"""`bartizan up` keeps everything running, and says clearly why it cannot."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ports import reserved_port
from tests.supervisor.conftest import PATIENCE_S, Up

from bartizan.cli import app
from bartizan.control import Message, ask
from bartizan.layout import StateDirectory
from bartizan.lock import owner
from bartizan.supervisor.lines import Text
from bartizan.supervisor.supervisor import Supervisor
from bartizan.supervisor.systemd import Notifier

StartUp = Callable[..., Up]
WriteSite = Callable[..., Path]

BLOCK = """
[[zones.shop.rules]]
expression = 'http.request.uri.path eq "/admin"'
action = "block"
"""


def get(address: str, path: str = "/") -> int:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def eventually(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_it_serves_until_it_is_stopped(up: StartUp, write_site: WriteSite) -> None:
    running = up(write_site(listen=f"127.0.0.1:{reserved_port()}", extra=BLOCK))
    address = running.serving()
    assert (get(address), get(address, "/admin")) == (200, 403)
    both = {"edge": "running", "events": "running"}
    eventually(lambda: {name: process["state"] for name, process in running.processes().items()} == both)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_requests_come_before_their_events(up: StartUp, write_site: WriteSite) -> None:
    running = up(write_site())
    running.serving()
    eventually(lambda: running.processes()["events"]["state"] == "running")
    processes = running.processes()

    def nice(name: str) -> int:
        return os.getpriority(os.PRIO_PROCESS, processes[name]["pid"])

    eventually(lambda: nice("events") > nice("edge"))


def test_a_request_in_hand_is_finished_before_the_stop(
    up: StartUp, write_site: WriteSite, asked: threading.Event
) -> None:
    running = up(write_site())
    address = running.serving()
    answered: list[int] = []
    asking = threading.Thread(target=lambda: answered.append(get(address, "/slow")))
    asking.start()
    assert asked.wait(PATIENCE_S)
    running.send(signal.SIGINT)
    assert running.ended() == 0
    asking.join()
    assert answered == [200]


@pytest.mark.parametrize("name", ["edge", "events"])
def test_a_process_that_dies_starts_again_alone(name: str, up: StartUp, write_site: WriteSite) -> None:
    running = up(write_site())
    running.serving()
    eventually(lambda: running.processes()["events"]["state"] == "running")
    before = running.processes()
    os.kill(before[name]["pid"], signal.SIGKILL)
    line = running.said("was killed by SIGKILL")
    assert (line["process"], line["level"]) == ("supervisor", "error")
    eventually(lambda: running.processes()[name]["state"] == "running" and running.processes()[name]["restarts"] == 1)
    after = running.processes()
    (other,) = set(before) - {name}
    assert after[other]["pid"] == before[other]["pid"]
    assert after[other]["restarts"] == 0
    assert after[name]["last_end"] == "was killed by SIGKILL"


def test_sighup_applies_the_site_file_and_a_bad_one_changes_nothing(up: StartUp, write_site: WriteSite) -> None:
    site = write_site(listen=f"127.0.0.1:{reserved_port()}")
    running = up(site)
    address = running.serving()
    text = site.read_text()
    site.write_text(text + BLOCK)
    running.send(signal.SIGHUP)
    running.said("policy 2 is in effect")
    assert get(address, "/admin") == 403
    site.write_text(text + BLOCK.replace("http.request.uri.path", "http.request.uri.paht"))
    running.send(signal.SIGHUP)
    mistake = running.said("http.request.uri.paht")
    assert mistake["level"] == "error"
    assert mistake["message"].startswith(f"{site}:9:15:")
    running.said("has 1 error; the policy in effect stays")
    assert get(address, "/admin") == 403


def test_a_second_bartizan_in_the_same_state_directory_is_told(up: StartUp, write_site: WriteSite) -> None:
    site = write_site()
    first = up(site)
    first.serving()
    second = up(site)
    assert second.ended() == 1
    assert [(line["process"], line["level"], line["message"]) for line in second.lines] == [
        (
            "supervisor",
            "critical",
            (
                f"Bartizan runs here already (process {first.process.pid}, {first.state.supervisor_lock}); "
                "stop that one, or name another state directory with --state"
            ),
        )
    ]


def test_a_second_bartizan_on_the_same_port_is_told(up: StartUp, write_site: WriteSite, tmp_path: Path) -> None:
    site = write_site(listen=f"127.0.0.1:{reserved_port()}")
    address = up(site).serving()
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "bartizan.toml"
    other.write_text(site.read_text())
    second = up(other)
    assert second.ended() == 1
    complaints = [line["message"] for line in second.lines if line["level"] == "critical"]
    port = address.rpartition(":")[2]
    assert complaints == [
        (
            f"cannot listen on {address}: another program does; stop it (`ss -ltnp 'sport = :{port}'` names it) or "
            "choose another port in edge.listen"
        )
    ]
    assert get(address) == 200


def test_a_missing_right_to_bind_is_named(up: StartUp, write_site: WriteSite) -> None:
    """Without the capability, as anybody but root; by another address than others, so that the port is free."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    prefix = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"] if os.getuid() == 0 else []
    port = min(first, 1024) - 1
    assert port > 0, "this kernel lets everybody bind every port (net.ipv4.ip_unprivileged_port_start)"
    refused = up(write_site(listen=f"127.0.0.9:{port}"), prefix)
    assert refused.ended() == 1
    complaints = [line["message"] for line in refused.lines if line["level"] == "critical"]
    assert len(complaints) == 1
    assert complaints[0].startswith(
        f"cannot listen on 127.0.0.9:{port}: ports below 1024 need a right that this process"
    )
    assert "CAP_NET_BIND_SERVICE" in complaints[0]


def test_an_invalid_site_file_starts_nothing(up: StartUp, write_site: WriteSite) -> None:
    site = write_site(extra=BLOCK.replace("block", "blokc"))
    running = up(site)
    assert running.ended() == 1
    assert len(running.lines) == 2
    assert running.lines[0]["message"].startswith(f'{site}:9:10: zone "shop" rule 1:')
    assert running.lines[1]["message"] == f"{site} has 1 error; nothing was started"
    assert running.lines[1]["level"] == "critical"


def test_a_bad_certificate_starts_nothing(up: StartUp, write_site: WriteSite, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    extra = (
        f'[[zones.shop.tls.certificates]]\ncertificate_file = "{tmp_path}/bad.pem"\nkey_file = "{tmp_path}/bad.pem"\n'
    )
    running = up(write_site(extra=extra))
    assert running.ended() == 1
    said = [line["message"] for line in running.lines]
    assert any("bad.pem" in line and 'zone "shop"' in line for line in said), said
    assert said[-1].endswith("nothing was started")


def test_a_dead_origin_is_said_once_and_answered_with_a_page(up: StartUp, write_site: WriteSite) -> None:
    dead = f"http://127.0.0.1:{reserved_port()}"
    running = up(write_site(behind=dead))
    address = running.serving()
    assert [get(address) for _ in range(5)] == [502] * 5
    line = running.said("exchange")
    assert (line["process"], line["level"]) == ("edge", "error")
    assert "with an origin failed" in line["message"]
    assert dead.removeprefix("http://") in line["message"]
    assert [get(address) for _ in range(5)] == [502] * 5
    time.sleep(2.5)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    told = [line for line in running.lines if "with an origin failed" in line["message"]]
    assert len(told) == 1


def test_an_edge_that_outlived_its_supervisor_hands_over(up: StartUp, write_site: WriteSite) -> None:
    site = write_site(listen=f"127.0.0.1:{reserved_port()}")
    first = up(site)
    address = first.serving()
    edge = first.processes()["edge"]["pid"]
    eventually(lambda: owner(first.state.events_lock) is not None)
    first.process.kill()
    first.process.wait(PATIENCE_S)
    assert get(address) == 200
    second = up(site)
    second.said(f"an edge of an earlier Bartizan (process {edge}) serves until the new one takes its place")
    second.said("an event owner of an earlier Bartizan (process ")
    assert second.serving() == address
    assert get(address) == 200
    assert second.processes()["edge"]["pid"] != edge
    eventually(lambda: owner(second.state.events_lock) == second.processes()["events"]["pid"])
    assert second.processes()["events"]["restarts"] == 0
    second.send(signal.SIGTERM)
    assert second.ended() == 0
    assert [owner(lock) for lock in (second.state.edge_lock, second.state.events_lock)] == [None, None]


def test_an_edge_that_outlived_its_supervisor_finishes_what_it_has_in_hand(
    up: StartUp, write_site: WriteSite, asked: threading.Event
) -> None:
    site = write_site(listen=f"127.0.0.1:{reserved_port()}")
    first = up(site)
    address = first.serving()
    first.process.kill()
    first.process.wait(PATIENCE_S)
    answered: list[int] = []
    asking = threading.Thread(target=lambda: answered.append(get(address, "/slow")))
    asking.start()
    assert asked.wait(PATIENCE_S)
    up(site).serving()
    asking.join()
    assert answered == [200]


def test_a_full_disk_behind_the_log_ends_nothing(write_site: WriteSite) -> None:
    site = write_site()
    state = StateDirectory(site.parent / ".bartizan")
    words = [sys.executable, "-m", "bartizan.cli", "up", str(site), "--json"]

    def edge() -> dict[str, Any]:
        reply = ask(state.supervisor_socket, {"command": "status"}, timeout_s=PATIENCE_S) or {"processes": [{}]}
        status: dict[str, Any] = reply["processes"][0]
        return status

    with Path("/dev/full").open("w") as full, subprocess.Popen(words, stdout=full, stderr=subprocess.PIPE) as process:
        try:
            eventually(
                lambda: (
                    edge().get("pid") is not None
                    and ask(state.edge_socket, {"command": "status"}, timeout_s=PATIENCE_S)
                )
            )
            os.kill(edge()["pid"], signal.SIGKILL)
            eventually(
                lambda: (
                    edge().get("restarts") == 1 and ask(state.edge_socket, {"command": "status"}, timeout_s=PATIENCE_S)
                )
            )
        finally:
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (0, b"")
    assert [owner(lock) for lock in (state.edge_lock, state.events_lock)] == [None, None]


def test_an_apply_that_the_store_fails_ends_nothing(up: StartUp, write_site: WriteSite) -> None:
    running = up(write_site())
    address = running.serving()
    with sqlite3.connect(running.state.store) as store:
        store.execute("ALTER TABLE policy_versions RENAME TO gone")
    running.send(signal.SIGHUP)
    line = running.said("could not be applied")
    assert line["level"] == "error"
    assert "no such table: policy_versions" in line["message"]
    assert get(address) == 200


def test_without_its_store_it_serves_the_last_good_policy(up: StartUp, write_site: WriteSite) -> None:
    site = write_site()
    first = up(site)
    first.serving()
    first.send(signal.SIGTERM)
    assert first.ended() == 0
    first.state.store.write_bytes(b"no database")
    second = up(site)
    line = second.said("the last good policy is served")
    assert (line["process"], line["level"]) == ("supervisor", "error")
    assert get(second.serving()) == 200


def test_an_edge_that_gives_no_status_is_still_supervised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replies: list[Any] = [TimeoutError("timed out"), {"ok": True}]

    def reply(*_: object) -> Message:
        given = replies.pop(0)
        if isinstance(given, Exception):
            raise given
        return dict(given)

    monkeypatch.setattr("bartizan.supervisor.supervisor.ask", reply)
    announced: list[Message] = []
    lines = Text(sys.stdout, colour=False)
    supervisor = Supervisor(
        StateDirectory(tmp_path), lines, apply=lambda: None, announce=announced.append, notifier=Notifier({})
    )
    supervisor._edge_is_ready()
    assert announced == []
    assert "warning: the edge is ready and gives no status: timed out" in capsys.readouterr().out
    supervisor._edge_is_ready()
    assert announced == [{"ok": True}]


def test_the_edge_serves_on_while_the_event_owner_cannot_start(up: StartUp, write_site: WriteSite) -> None:
    site = write_site()
    analytics = site.parent / ".bartizan" / "analytics"
    analytics.parent.mkdir(mode=0o700)
    analytics.write_text("not a directory")
    running = up(site)
    address = running.serving()
    running.until(lambda line: line["process"] == "supervisor" and line["message"].startswith("events "))
    assert get(address) == 200


def test_the_control_socket_stops_it(up: StartUp, write_site: WriteSite) -> None:
    running = up(write_site())
    running.serving()
    assert ask(running.state.supervisor_socket, {"command": "stop"}, timeout_s=PATIENCE_S) == {"ok": True}
    assert running.ended() == 0
    assert ask(running.state.supervisor_socket, {"command": "status"}, timeout_s=PATIENCE_S) is None


def test_systemd_hears_that_it_serves_reloads_lives_and_stops(
    up: StartUp, write_site: WriteSite, tmp_path: Path
) -> None:
    site = write_site()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)

        def heard(word: str) -> str:
            while not (message := manager.recv(4096).decode()).startswith(word):
                pass
            return message

        variables = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"}
        running = up(site, variables=variables)
        ready = heard("READY=1").splitlines()
        assert ready[1:] == ["STATUS=Serving policy version 1, zones: 1", f"MAINPID={running.process.pid}"]
        address = running.serving()
        assert get(address) == 200
        heard("WATCHDOG=1")
        # Only the supervisor speaks: what it starts does not even know the socket.
        edge = running.processes()["edge"]["pid"]
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{edge}/environ").read_bytes()
        running.send(signal.SIGHUP)
        heard("RELOADING=1")
        heard("READY=1")
        running.send(signal.SIGTERM)
        heard("STOPPING=1")
        assert running.ended() == 0


def test_an_upgrade_fails_no_request(up: StartUp, write_site: WriteSite, capsys: pytest.CaptureFixture[str]) -> None:
    running = up(write_site(listen=f"127.0.0.1:{reserved_port()}"))
    address = running.serving()
    before = running.processes()
    over = threading.Event()
    answers: list[int] = []

    def ask_on_and_on() -> None:
        while not over.is_set():
            answers.append(get(address))

    clients = [threading.Thread(target=ask_on_and_on) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        assert app.run(["upgrade", "--state", str(running.state.path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["before"] == before["edge"]["pid"]
        now = running.processes()
        assert (now["edge"]["pid"], now["edge"]["restarts"]) == (told["now"], 0)
        eventually(lambda: not Path(f"/proc/{told['before']}").exists())
    finally:
        over.set()
        for client in clients:
            client.join()
    assert set(answers) == {200}
    # The supervisor's process is the same one, and can be stopped as before.
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert [owner(lock) for lock in (running.state.edge_lock, running.state.events_lock)] == [None, None]


def test_an_upgrade_without_a_supervisor_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["upgrade", "--state", str(tmp_path)]) == 1
    assert "no supervisor runs at" in capsys.readouterr().err

"""`bartizan.Edge` serves a policy from inside a Python process."""

from __future__ import annotations

import gc
import http.client
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from tests.edge.conftest import MakePolicy
from tests.ports import reserved_port

import bartizan
from bartizan.edge.data_plane import Edge, Policy, PolicyRefused


def get(edge: Edge, path: str) -> tuple[int, bytes]:
    host, _, port = edge.listening[0][0].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_serves_and_blocks(make_policy: MakePolicy) -> None:
    with bartizan.Edge(make_policy(block='http.request.uri.path eq "/admin"')) as edge:
        assert get(edge, "/") == (200, b"hello")
        status, page = get(edge, "/admin")
        assert status == 403
        assert b"Request blocked" in page
        assert edge.status()["policy_version"] == 1
        assert "bartizan_blocked_total 1\n" in edge.metrics()


@pytest.mark.parametrize("form", ["bytes", "path", "text"])
def test_a_policy_may_be_a_document_or_a_file(form: str, make_policy: MakePolicy, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(msgspec.json.encode(make_policy(7)))
    forms: dict[str, Policy] = {"bytes": file.read_bytes(), "path": file, "text": str(file)}
    with Edge(forms[form], events="off") as edge:
        assert edge.status()["policy_version"] == 7


def test_another_policy_takes_effect_at_once(make_policy: MakePolicy) -> None:
    with Edge(make_policy(1)) as edge:
        assert get(edge, "/admin")[0] == 200
        report = edge.apply(make_policy(2, block='http.request.uri.path eq "/admin"'))
        assert (report["version"], report["changed_zones"], report["warnings"]) == (2, 1, [])
        assert get(edge, "/admin")[0] == 403


def test_a_bad_policy_is_refused_and_the_good_one_stays(make_policy: MakePolicy) -> None:
    with Edge(make_policy(1, block='http.request.uri.path eq "/admin"')) as edge:
        with pytest.raises(PolicyRefused, match=r"http\.request\.uri\.path") as refused:
            edge.apply(make_policy(2, block='http.request.uri.paht eq "/admin"'))
        (diagnostic,) = msgspec.json.decode(refused.value.args[1])
        assert diagnostic["path"] == ["zones", 0, "phases", "http_request_firewall_custom", 0, "expression"]
        assert edge.status()["policy_version"] == 1
        assert get(edge, "/admin")[0] == 403


def test_a_bad_policy_does_not_start(make_policy: MakePolicy) -> None:
    edge = Edge(make_policy(1, block="nonsense"))
    with pytest.raises(PolicyRefused):
        edge.start()
    with Edge(make_policy(2)) as other:
        assert get(other, "/") == (200, b"hello")


def test_a_second_edge_in_the_process_is_refused_until_the_first_has_stopped(make_policy: MakePolicy) -> None:
    second = Edge(make_policy(2))
    with Edge(make_policy(1)) as first:
        with pytest.raises(RuntimeError, match="an edge runs in this process already; stop it with shutdown"):
            second.start()
        assert get(first, "/") == (200, b"hello")
    with second:
        assert get(second, "/") == (200, b"hello")


def test_who_waits_goes_on_when_the_requests_in_hand_have_ended(make_policy: MakePolicy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        policy = make_policy()
        policy["zones"][0]["origin"]["servers"] = [{"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}]
        edge = Edge(policy)
        edge.start()
        asking = threading.Thread(target=get, args=(edge, "/"))
        waiting = threading.Thread(target=edge.wait)
        stopping = threading.Thread(target=edge.stop, args=(60,))
        asking.start()
        asked, _ = listener.accept()
        with asked:
            assert asked.recv(4096).startswith(b"GET / ")
            waiting.start()
            stopping.start()
            waiting.join(1)
            assert waiting.is_alive()
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            for thread in (asking, waiting, stopping):
                thread.join(30)
                assert not thread.is_alive()
    with Edge(make_policy(2)) as other:
        assert get(other, "/") == (200, b"hello")


def test_a_dropped_edge_stops(make_policy: MakePolicy) -> None:
    edge = Edge(make_policy(1, listen=f"127.0.0.1:{reserved_port()}"))
    edge.start()
    address = edge.listening[0][0]
    del edge
    gc.collect()
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(host, int(port), timeout=30).connect()
    with Edge(make_policy(2)) as other:
        assert get(other, "/") == (200, b"hello")


def test_an_edge_that_does_not_run_says_so(make_policy: MakePolicy) -> None:
    edge = Edge(make_policy())
    for question in (edge.status, edge.metrics, lambda: edge.listening, lambda: edge.apply(make_policy())):
        with pytest.raises(RuntimeError, match=r"this edge is not running; call start\(\) or serve\(\) first"):
            question()
    edge.stop()


def test_a_port_in_use_is_named(make_policy: MakePolicy) -> None:
    with Edge(make_policy(1)) as edge:
        address = edge.listening[0][0]
        program = (
            "import sys, bartizan; from pathlib import Path; edge = bartizan.Edge(Path(sys.argv[1]), events='off'); "
            "edge.start()"
        )
        document = Path(make_policy()["edge"]["spool"]["dir"]).with_name("second.json")
        document.write_bytes(msgspec.json.encode(make_policy(listen=address)))
        ended = subprocess.run(
            [sys.executable, "-c", program, str(document)], capture_output=True, text=True, check=False, timeout=60
        )
    assert ended.returncode == 1
    assert f"OSError: cannot listen on {address}: another program does; stop it" in ended.stderr


def test_stop_in_another_thread_ends_serve(make_policy: MakePolicy) -> None:
    edge = Edge(make_policy())
    serving = threading.Thread(target=edge.serve)
    serving.start()
    while True:
        try:
            assert get(edge, "/") == (200, b"hello")
            break
        except RuntimeError:
            continue
    edge.stop(grace_s=5)
    serving.join(30)
    assert not serving.is_alive()


SERVE = """
import os, signal, sys, threading, time
from pathlib import Path
import bartizan
edge = bartizan.Edge(Path(sys.argv[1]))
def interrupt():
    while True:
        try:
            print(edge.listening[0][0], flush=True)
            break
        except RuntimeError:
            time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    edge.serve()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_ends_serve(make_policy: MakePolicy, tmp_path: Path) -> None:
    document = tmp_path / "policy.json"
    document.write_bytes(msgspec.json.encode(make_policy()))
    ended = subprocess.run(
        [sys.executable, "-c", SERVE, str(document)], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.splitlines()[1:] == ["interrupted"]


FORK = """
import os, sys
from pathlib import Path
import bartizan
edge = bartizan.Edge(Path(sys.argv[1]), events="off")
edge.start()
child = os.fork()
if child == 0:
    try:
        edge.status()
    except RuntimeError as error:
        print(error, flush=True)
    del edge
    print("child done", flush=True)
    os._exit(0)
_, code = os.waitpid(child, 0)
print("policy", edge.status()["policy_version"], code, flush=True)
edge.stop()
"""


def test_a_forked_child_is_told_and_ends_and_the_parent_serves_on(make_policy: MakePolicy, tmp_path: Path) -> None:
    document = tmp_path / "policy.json"
    document.write_bytes(msgspec.json.encode(make_policy()))
    with subprocess.Popen([sys.executable, "-c", FORK, str(document)], stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=60)
        pid = process.pid
    assert said.splitlines() == [
        f"this edge belongs to process {pid}, which forked: its threads are there; make a new Edge after the fork",
        "child done",
        "policy 1 0",
    ]


def test_options_that_nobody_knows_are_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(ValueError, match="the options of the edge cannot be read: unknown variant `loud`"):
        Edge(make_policy(), events="loud")  # type: ignore[arg-type]


def test_signals_of_this_process_are_left_as_they_were(make_policy: MakePolicy) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with Edge(make_policy()):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_a_client_keeps_its_server_when_the_edge_starts_anew(
    make_policy: MakePolicy, origin: str, other_origin: str, tmp_path: Path
) -> None:
    policy = make_policy()
    policy["zones"][0]["origin"] = {"servers": [{"url": origin}, {"url": other_origin}], "stickiness": "cookie"}

    def cookie(edge: Edge, sent: str = "") -> str | None:
        host, _, port = edge.listening[0][0].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/", headers={"Cookie": sent})
        response = connection.getresponse()
        assert response.read() == b"hello"
        connection.close()
        return response.headers["Set-Cookie"]

    key = tmp_path / "sticky.key"
    with Edge(policy, events="off", sticky_key=key) as edge:
        assigned = cookie(edge)
        assert assigned is not None
        sent = assigned.partition(";")[0]
        assert cookie(edge, sent) is None
    with Edge(policy, events="off", sticky_key=key) as edge:
        assert cookie(edge, sent) is None
    with Edge(policy, events="off") as edge:
        assert cookie(edge, sent) is not None, "another key: the cookie names no server"


def test_a_policy_file_is_read_when_the_edge_starts(make_policy: MakePolicy, tmp_path: Path) -> None:
    document = tmp_path / "policy.json"
    document.write_bytes(msgspec.json.encode(make_policy(1)))
    edge = Edge(document)
    document.write_bytes(msgspec.json.encode(make_policy(2)))
    with edge:
        assert edge.status()["policy_version"] == 2
        document.write_bytes(msgspec.json.encode(make_policy(3)))
        assert edge.apply(document)["version"] == 3

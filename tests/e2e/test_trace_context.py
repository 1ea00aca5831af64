"""What an origin learns of the trace that a request belongs to, by itself and by the rules of docs/guide/sinks.md."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tests.e2e.edge_process import EdgeProcess
from tests.e2e.origin import Origin, Visit
from tests.e2e.programs import run

from bartizan.layout import StateDirectory

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "sinks.md"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7-00"


def site(rules: str, origin: str) -> str:
    return f'[edge]\nlisten = ["127.0.0.1:0"]\n[zones.shop]\nhosts = ["shop.test"]\norigins = ["{origin}"]\n{rules}\n'


def rules_of_the_guide() -> str:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return next(str(block) for block in blocks if "cf.ray_id" in block)


def asked(tmp_path: Path, rules: str, *headers: str) -> tuple[str, dict[str, str]]:
    """The Ray ID of a request with these headers, and what the origin got of the trace."""
    seen: list[bytes] = []

    def answer(visit: Visit) -> None:
        while (request := visit.request()) is not None:
            seen.append(request)
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    state = StateDirectory(tmp_path / "state")
    with Origin(answer) as origin:
        file = tmp_path / "bartizan.toml"
        file.write_text(site(rules, origin.url))
        run(sys.executable, "-m", "bartizan.cli", "apply", file, "--state", state.path)
        with EdgeProcess(state, json.loads(state.current_policy.read_bytes())) as edge:
            options = [option for header in headers for option in ("-H", header)]
            url = f"http://127.0.0.1:{edge.port}/"
            said = run("curl", "--silent", "--include", "-H", "Host: shop.test", *options, url).stdout.decode()
    lines = seen[0].decode().partition("\r\n\r\n")[0].split("\r\n")[1:]
    got = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    ray = re.search(r"(?mi)^cf-ray: ([0-9a-f]{16})", said)
    assert ray is not None, said
    return ray[1], {name: value for name, value in got.items() if name.startswith("trace")}


def test_it_is_passed_on_as_it_came(tmp_path: Path) -> None:
    _, got = asked(tmp_path, "", f"traceparent: {SENT}", "tracestate: a=b,c=d")
    assert got == {"traceparent": SENT, "tracestate": "a=b,c=d"}


def test_none_is_made_up(tmp_path: Path) -> None:
    assert asked(tmp_path, "")[1] == {}


def test_the_rules_of_the_guide_make_the_request_the_parent(tmp_path: Path) -> None:
    ray, got = asked(tmp_path, rules_of_the_guide(), f"traceparent: {SENT}", "tracestate: a=b")
    assert got == {"traceparent": f"00-{TRACE}-{ray}-00", "tracestate": "a=b"}


def test_the_rules_of_the_guide_begin_a_trace_where_there_is_none(tmp_path: Path) -> None:
    ray, got = asked(tmp_path, rules_of_the_guide())
    assert got == {"traceparent": f"00-0000000000000000{ray}-{ray}-01"}

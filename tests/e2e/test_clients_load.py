"""wrk and h2load through the edge: many connections, no request lost or wrong. How fast is the business of benches/."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.e2e.authority import Authority, listen
from tests.e2e.client import PATIENCE_S
from tests.e2e.conftest import RunningEdge, StartEdge, zone
from tests.e2e.origin import Origin, echo
from tests.e2e.programs import run

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
REQUESTS = 4000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def serve(start_edge: StartEdge, authority: Authority, origin: Origin) -> RunningEdge:
    settings = listen() | {"threads": 2}
    return start_edge(zone(origin.url, hosts=["127.0.0.1"], tls=authority.tls("shop", "shop.test")), edge=settings)


@pytest.mark.parametrize(
    ("options", "tls"),
    [
        pytest.param(["--h1"], False, id="http1"),
        pytest.param(["--h1"], True, id="http1 tls"),
        pytest.param(["-m", "10"], True, id="http2 tls"),
        pytest.param(["-m", "10"], False, id="http2 prior knowledge"),
    ],
)
def test_h2load_loses_nothing(start_edge: StartEdge, authority: Authority, options: list[str], tls: bool) -> None:
    seen: list[bytes] = []
    with Origin(echo(seen, ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        address = f"https://127.0.0.1:{edge.tls_port}" if tls else f"http://127.0.0.1:{edge.port}"
        done = run("h2load", "-n", str(REQUESTS), "-c", "16", "-t", "1", *options, address + "/")
        output = done.stdout.decode()
        # The last one is counted once it is sent.
        end = time.monotonic() + PATIENCE_S
        while (counted := edge.metric("bartizan_responses_total", **{"class": "2xx"})) < REQUESTS:
            assert time.monotonic() < end, f"{counted} of {REQUESTS} are counted"
            time.sleep(0.01)
    assert (
        f"requests: {REQUESTS} total, {REQUESTS} started, {REQUESTS} done, {REQUESTS} succeeded, "
        "0 failed, 0 errored, 0 timeout"
    ) in output
    assert f"status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx" in output
    assert re.search(rf"\({REQUESTS * 1000}\) data", output)
    assert (counted, len(seen)) == (REQUESTS, REQUESTS)


@pytest.mark.parametrize("tls", [False, True], ids=["http1", "http1 tls"])
def test_wrk_sees_no_error(start_edge: StartEdge, authority: Authority, tls: bool) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = serve(start_edge, authority, origin)
        address = f"https://127.0.0.1:{edge.tls_port}" if tls else f"http://127.0.0.1:{edge.port}"
        output = run("wrk", "-t", "1", "-c", "16", "-d", "2s", address + "/").stdout.decode()
        refused = edge.metric("bartizan_responses_total", **{"class": "5xx"})
    made = re.search(r"(\d+) requests in", output)
    assert made is not None
    assert int(made.group(1)) > 100
    assert "Socket errors" not in output
    assert "Non-2xx" not in output
    assert refused == 0

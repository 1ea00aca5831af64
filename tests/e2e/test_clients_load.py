"""wrk and h2load through the edge: many connections, no request lost or wrong. How fast is the business of benches/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.e2e.authority import Authority, listen
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
        counted = edge.counted(REQUESTS, "bartizan_responses_total", **{"class": "2xx"})
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
        made = 0
        # How many are made in two seconds is the machine's business.
        while made <= 100:
            output = run("wrk", "-t", "1", "-c", "16", "-d", "2s", "--timeout", "60s", address + "/").stdout.decode()
            assert "Socket errors" not in output
            assert "Non-2xx" not in output
            (requests,) = re.findall(r"(\d+) requests in", output)
            made += int(requests)
        refused = edge.metric("bartizan_responses_total", **{"class": "5xx"})
    assert refused == 0

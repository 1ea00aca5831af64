"""A WebSocket server passes and fails the same cases of autobahntestsuite behind the edge as without it.

The quick groups: framing, control frames, reserved bits, opcodes, fragments, closing, a sample of compression. All 517
cases are `proofs/autobahn.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.autobahn import EchoServer, verdicts
from tests.e2e.conftest import StartEdge

CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "7.*", "10.*", "12.1.1", "13.1.1")
COUNT = 104


@pytest.mark.timeout(600)  # of which the first run spends minutes on installing the tester
def test_the_verdicts_are_those_of_the_server_alone(start_edge: StartEdge, tmp_path: Path) -> None:
    with EchoServer() as server:
        edge = start_edge(server.zone)
        servers = {"alone": server.address, "behind": f"ws://127.0.0.1:{edge.port}"}
        judged = verdicts(tmp_path, servers, CASES)
    assert len(judged["alone"]) == COUNT
    assert judged["behind"] == judged["alone"]
    assert {verdict.behavior for verdict in judged["behind"].values()} == {"OK", "INFORMATIONAL"}

"""What the edge takes, nginx and HAProxy take for the same request: nobody between us reads it in another way.

What the three make of the messages that the edge refuses is measured by `proofs/ambiguity.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e import peers
from tests.e2e.codec_cases import cases
from tests.e2e.recorder import Recorder

FENCE = b"GET /fence HTTP/1.1\r\nHost: a.example\r\n\r\n"
LONG_S = 5.0
"""Longer than a peer takes for an answer; what it is silent about it closes sooner."""
ANSWERED_BY_EDGE = {"CONNECT", "TRACE"}
WHOLE_SERVER = "an absolute OPTIONS without a path"
"""`*` by RFC 9112 §3.2.4; nginx asks for `/`."""


@pytest.mark.parametrize("name", sorted(peers.CONFIGURATIONS))
def test_a_peer_reads_what_the_edge_takes_in_the_same_way(name: str, tmp_path: Path) -> None:
    if peers.program(name) is None:
        pytest.skip(f"{name} is not installed")
    passed = 0
    with Recorder() as origin, peers.Peer(name, origin.port, tmp_path) as peer:
        for case in cases("request"):
            if case.expect != "ok" or case.method in ANSWERED_BY_EDGE or case.rest or case.name == WHOLE_SERVER:
                continue
            received, _ = peers.exchange(peer.port, case.data, LONG_S)
            peers.exchange(peer.port, FENCE, LONG_S)
            got = [request for arrival in origin.take() for request in arrival.requests if request.target != b"/fence"]
            if not received.startswith(b"HTTP/1.1 200 ") or not got:
                continue
            (request,) = got
            passed += 1
            assert request.method == case.method.encode(), case.name
            assert request.body == case.bytes(case.body), case.name
            assert request.target in {case.bytes(case.path), case.bytes(case.target)}, case.name
    assert passed > 40

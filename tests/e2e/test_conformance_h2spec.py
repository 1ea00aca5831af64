"""h2spec, the conformance tester of HTTP/2 and HPACK (RFC 9113, RFC 7541), against the edge."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.e2e.authority import Authority, listen
from tests.e2e.client import ask
from tests.e2e.conftest import StartEdge, zone
from tests.e2e.origin import Origin, echo
from tests.e2e.programs import h2spec, run

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n" + b"x" * 64
"""Not empty: the tests of flow control need DATA to be sent."""

CASES = 146
"""What h2spec 2.2.1 has with --strict; 145 without."""

ANSWERED_BY_HTTP_1 = ["http2/3.5 Sends invalid connection preface"]
"""In clear text the port speaks HTTP/1.1 too, so what is no HTTP/2 preface is answered as a bad HTTP/1.1 request and
closed. h2spec reads the `HTTP/1.1 ` of that answer as the head of a frame and misses its rest. The test below shows
that what RFC 9113 §3.4 asks for, the end of the connection, happens."""


@pytest.mark.parametrize(("tls", "known"), [(False, ANSWERED_BY_HTTP_1), (True, [])], ids=["cleartext", "tls"])
def test_h2spec_passes(start_edge: StartEdge, tmp_path: Path, tls: bool, known: list[str]) -> None:
    program = h2spec()
    authority = Authority(tmp_path)
    report = tmp_path / "report.xml"
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(zone(origin.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        port, options = (edge.tls_port, ("--tls", "--insecure")) if tls else (edge.port, ())
        command = (program, "--strict", "--timeout", "5", "--host", "127.0.0.1", "--port", str(port), *options)
        done = run(*command, "--junit-report", report, check=False, timeout_s=100)
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314  our own file
    outcomes = {f"{case.get('package')} {case.get('classname')}": {child.tag for child in case} for case in cases}
    assert [name for name, said in outcomes.items() if said & {"failure", "error", "skipped"}] == known, done.stdout
    assert f"{CASES} tests, {CASES - len(known)} passed, 0 skipped, {len(known)} failed" in done.stdout.decode()


def test_an_invalid_preface_ends_the_connection(start_edge: StartEdge) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(zone(origin.url))
        answer = ask(edge.port, b"INVALID CONNECTION PREFACE\r\n\r\n")
    assert (answer.raw[:13], answer.closed) == (b"HTTP/1.1 400 ", True)

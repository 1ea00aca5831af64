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


def failed_cases(port: int, directory: Path, *, tls: bool) -> list[str]:
    """The cases that did not pass in one run against the edge at `port`. AssertionError if the run is not whole."""
    report = directory / "report.xml"
    options = ("--tls", "--insecure") if tls else ()
    command = (h2spec(), "--strict", "--timeout", "5", "--host", "127.0.0.1", "--port", str(port), *options)
    said = run(*command, "--junit-report", report, check=False, timeout_s=100).stdout.decode()
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314  our own file
    failed = [
        f"{case.get('package')} {case.get('classname')}"
        for case in cases
        if {child.tag for child in case} & {"failure", "error", "skipped"}
    ]
    assert f"{CASES} tests, {CASES - len(failed)} passed, 0 skipped, {len(failed)} failed" in said, said
    return failed


@pytest.mark.parametrize(("tls", "known"), [(False, ANSWERED_BY_HTTP_1), (True, [])], ids=["cleartext", "tls"])
def test_h2spec_passes(start_edge: StartEdge, tmp_path: Path, tls: bool, known: list[str]) -> None:
    authority = Authority(tmp_path)
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(zone(origin.url, tls=authority.tls("shop", "shop.test")), edge=listen())
        assert failed_cases(edge.tls_port if tls else edge.port, tmp_path, tls=tls) == known


def test_an_invalid_preface_ends_the_connection(start_edge: StartEdge) -> None:
    with Origin(echo([], ANSWER)) as origin:
        edge = start_edge(zone(origin.url))
        answer = ask(edge.port, b"INVALID CONNECTION PREFACE\r\n\r\n")
    assert (answer.raw[:13], answer.closed) == (b"HTTP/1.1 400 ", True)

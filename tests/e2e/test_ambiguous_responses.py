"""Origin responses that could be read in two ways, and origins that lie about where a response ends.

The client gets 502, or an answer that is visibly cut off; and the connection that was lied on never serves another
client. Each case is asked for over HTTP/1.1 and over HTTP/2.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e import strict
from tests.e2e.codec_cases import Case, cases
from tests.e2e.conftest import RunningEdge
from tests.e2e.exchange import edge_of_one_thread, send
from tests.e2e.http2_frames import Http2
from tests.e2e.liar import Liar
from tests.e2e.origin import Origin

HOST = b"Host: shop.test\r\n"
RESPONSES = [case for case in cases("response") if case.request_method != "CONNECT"]
UNASKED = "101"
REFUSED = [case for case in RESPONSES if case.expect != "ok" or case.name == UNASKED]
READ = [case for case in RESPONSES if case.expect == "ok" and case.name != UNASKED]


class Bench:
    """An edge of one thread in front of an origin that lies."""

    def __init__(self, edge: RunningEdge, liar: Liar) -> None:
        self.edge = edge
        self.liar = liar

    def ask(self, target: bytes, method: bytes = b"GET", lines: bytes = b"") -> tuple[strict.Response | None, bool]:
        """The answer over HTTP/1.1, and whether the edge closed the connection."""
        data = method + b" " + target + b" HTTP/1.1\r\n" + HOST + lines + b"\r\n"
        received, closed = send(self.edge.port, data, method)
        return strict.response(received, method, closed=closed), closed

    def next_connection(self) -> int:
        """The number of the origin's connection that the next client's request goes over, its answer checked."""
        answer, _ = self.ask(b"/next")
        assert answer is not None
        assert (answer.status, answer.whole, answer.rest) == (200, True, b"")
        said, _, number = answer.body.partition(b" on ")
        assert said == b"/next"
        return int(number)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    liar = Liar()
    with Origin(liar.script) as origin:
        edge = edge_of_one_thread(origin.url, tmp_path_factory.mktemp("spool"), limits={"informational_responses": 4})
        yield Bench(edge, liar)
        edge.stop()


def assert_never_whole(answer: strict.Response | None) -> None:
    """A page of the edge, or nothing that a client would take for a whole answer."""
    assert answer is None or not answer.whole or answer.status == 502


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_response_that_can_be_read_in_two_ways_is_refused(bench: Bench, case: Case) -> None:
    target = bench.liar.tell(case)
    answer, closed = bench.ask(target, case.request_method.encode())
    assert_never_whole(answer)
    assert closed == (answer is None or answer.status != 502)
    assert bench.next_connection() != bench.liar.lied_on[target]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_it_is_refused_over_http2_too(bench: Bench, case: Case) -> None:
    target = bench.liar.tell(case)
    with Http2(bench.edge.port) as client:
        stream = client.ask(target, case.request_method.encode())
    assert stream.status == 502 or stream.reset is not None
    assert stream.status == 502 or not stream.ended
    assert bench.next_connection() != bench.liar.lied_on[target]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_response_that_is_read_arrives_once(bench: Bench, case: Case) -> None:
    target = bench.liar.tell(case)
    answer, _ = bench.ask(target, case.request_method.encode())
    assert answer is not None
    assert (answer.whole, answer.rest) == (True, b"")
    assert answer.status == (200 if case.interim else case.status)
    assert answer.interim == ([case.status] if case.interim and case.status != 100 else answer.interim)
    assert answer.body == case.bytes(case.body)
    reused = bench.next_connection() == bench.liar.lied_on[target]
    assert reused == (case.interim or (case.keep_alive and not case.rest))


def test_there_are_enough_cases() -> None:
    assert len(REFUSED) >= 40

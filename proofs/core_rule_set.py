"""The Core Rule Set's regression tests as bytes over a socket through the edge, the verdict read from the event.

Each stage goes over a connection of its own, from a port of its own, by which its row in the spool is known. Behind the
edge stands the origin of the tests, which answers as it is told to. The same bytes are judged in this process too:
where both disagree about the rules that match is printed, and so is what a strict edge refuses, with the reason.

A test whose request the edge refuses before any rule sees it passes if that is what it wants. Otherwise it is counted
as refused and not as failed: a request that two readers may read differently does not reach an origin, whatever rules
say of it.
"""

from __future__ import annotations

import argparse
import errno
import json
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e import spooled
from tests.e2e.conftest import RunningEdge
from tests.e2e.origin import Origin, Visit

from bartizan._native import request_refusal
from bartizan.layout import StateDirectory
from bartizan.waf import explained, ftw, regression
from bartizan.waf.ruleset import RuleSet
from bartizan.waf.verdict import Match
from proofs import _core_rules, tell

FIRST_PORT: Final = 20_000
"""Ports of clients from here on, below those that the system gives out: each is one request's alone."""
LAST_PORT: Final = 32_767

THREADS: Final = 8
QUIET_S: Final = 3.0
"""How long an answer is waited for: requests that announce more than they send get none."""

BAD_REQUEST: Final = 400

_EDGE: Final = """
listen = ["127.0.0.1:0"]

[events]
redact = false
"""
_ZONE: Final = """
default = true
normalization = {{ incoming = "none" }}
body = {{ inspection_limit = 1048576, wait_ms = {wait_ms} }}
"""
"""All hosts are one zone; bodies are held as far as the engine in this process reads them, and events keep values."""


@dataclass(frozen=True)
class Sent:
    """A stage that was sent, and what came back."""

    port: int
    answer: bytes


def reflect(visit: Visit) -> None:
    """The origin of the tests: each request, read by its length or in chunks, is answered by `regression.answer`."""
    visit.connection.settimeout(30)
    received = b""
    while True:
        request, received = _request(visit.connection, received)
        visit.send(regression.answer(request))


def _request(connection: socket.socket, received: bytes) -> tuple[bytes, bytes]:
    """The next request with its body, which the edge frames strictly, and what came after it."""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    body = b""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        size = -1
        while size != 0:
            while b"\r\n" not in rest:
                rest += _more(connection)
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            while len(rest) < size + 2:
                rest += _more(connection)
            body, rest = body + rest[:size], rest[size + 2 :]
    else:
        length = int(fields.get(b"content-length", b"0"))
        while len(rest) < length:
            rest += _more(connection)
        body, rest = rest[:length], rest[length:]
    return head + b"\r\n\r\n" + body, rest


def _more(connection: socket.socket) -> bytes:
    """What comes next. Raises ConnectionError at the end."""
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the edge has hung up")
    return data


def document(
    origin: str,
    rules: Path,
    folder: Path,
    *,
    setup: str = regression.SETUP,
    level: int = 4,
    overrides: str = "",
    wait_ms: int = 300,
) -> dict[str, Any]:
    """The policy that a site file asks for which has the rule set judge requests and responses.

    `overrides` stands behind the id of the rule set, in TOML.
    """
    judging = f"paranoia_level = {level}\nsetup = {json.dumps(setup)}"
    zone = _ZONE.format(wait_ms=wait_ms)
    made, _ = _core_rules.document(folder, rules, origin, edge=_EDGE, zone=zone, rule_set=judging, overrides=overrides)
    return made


def send(edge: int, request: bytes, ports: Iterator[int]) -> Sent:
    """Sends a request from the next port that is free and takes what comes until the edge has answered or is silent."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = _bound(connection, ports)
    connection.settimeout(QUIET_S)
    answer = b""
    with connection, suppress(OSError):
        connection.connect(("127.0.0.1", edge))
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        while data := connection.recv(1 << 16):
            answer += data
            if _is_whole(answer):
                break
    return Sent(port, answer)


def _bound(connection: socket.socket, ports: Iterator[int]) -> int:
    """Binds to the next port that nobody else has at the moment."""
    for port in ports:
        try:
            connection.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise OSError(errno.EADDRINUSE, "all ports for clients are taken")


def _is_whole(answer: bytes) -> bool:
    head, mark, body = answer.partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    if not mark or fields[0].startswith(b"http/1.1 1"):
        return False
    if b"transfer-encoding: chunked" in fields:
        return body.endswith(b"0\r\n\r\n")
    lengths = [int(line[15:]) for line in fields if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= lengths[0]


def send_all(edge: int, tests: Sequence[ftw.Test]) -> list[list[Sent]]:
    """Sends the stages of all tests, those of one test in their order, each from a port of its own."""
    ports = iter(range(FIRST_PORT, LAST_PORT + 1))

    def stages(test: ftw.Test) -> list[Sent]:
        return [send(edge, stage.request, ports) for stage in test.stages]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(stages, tests))


def status_of(answer: bytes) -> int | None:
    """The status of the final answer, None where there is none."""
    while answer.startswith(b"HTTP/1.1 1"):
        _, _, answer = answer.partition(b"\r\n\r\n")
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else None


def matches(row: dict[str, Any]) -> list[Match]:
    """The rules that an event says matched, as its log would have them."""
    told = {matched.id: matched for matched in explained.matched(row)}
    return [
        Match(
            id=int(number),
            message=told[number].message if number in told else "",
            logdata=(told[number].data or "") if number in told else "",
            severity_number=told[number].severity if number in told else None,
            tags=told[number].tags if number in told else [],
            phase=2,
            logged=True,
            file="",
            line=0,
            version="",
            hits=[],
        )
        for number in row.get("BartizanWAFRuleIDs", [])
    ]


def why_refused(request: bytes) -> str | None:
    """Why the edge's parser takes no request from these bytes; None where it does."""
    refusal = request_refusal(request)
    if refusal is not None:
        status, name, why = refusal
        return f"{status} {name}: {why}"
    return None if b"\r\n\r\n" in request else "no end: the head of the request is not whole"


@dataclass
class Tally:
    """What came of all tests."""

    counts: Counter[str]
    refused: list[tuple[str, str]]
    failed: list[tuple[str, str]]
    disagreements: list[tuple[str, str]]


def compare(
    rules: RuleSet, tests: Sequence[ftw.Test], sent: list[list[Sent]], rows: dict[int, dict[str, Any]]
) -> Tally:
    """Holds what came of each test against what it expects, and against what the engine says in this process."""
    exempted = regression.exemptions()
    tally = Tally(Counter(), [], [], [])
    for test, stages in zip(tests, sent, strict=True):
        wrong: list[str] = []
        refusal = ""
        for stage, over in zip(test.stages, stages, strict=True):
            row = rows.get(over.port)
            if row is None:
                reason = why_refused(stage.request)
                if reason is None:
                    wrong.append(f"there is no event; the answer has status {status_of(over.answer)}")
                elif stage.expected.status != BAD_REQUEST:
                    refusal = refusal or reason
                continue
            logged = matches(row)
            status = status_of(over.answer) or 0
            found = regression.compared(stage.expected, status, logged, over.answer)
            wrong += found
            here = rules.inspect(stage.request, regression.answer(stage.request), client=("127.0.0.1", over.port))
            in_process = sorted({match.id for match in here.matches if match.logged})
            at_edge = sorted({match.id for match in logged})
            if in_process != at_edge:
                missing, more = set(in_process) - set(at_edge), set(at_edge) - set(in_process)
                tally.disagreements.append(
                    (test.title, f"in this process alone {sorted(missing)}, at the edge alone {sorted(more)}")
                )
        if refusal:
            tally.counts["refused"] += 1
            tally.refused.append((test.title, refusal))
        elif wrong and test.title in exempted:
            tally.counts["exempted"] += 1
        elif wrong:
            tally.counts["failed"] += 1
            tally.failed.append((test.title, "; ".join(wrong)))
        else:
            tally.counts["passed"] += 1
    return tally


@contextmanager
def running(rules: Path) -> Iterator[tuple[RunningEdge, Path]]:
    """An edge that runs the rules in front of the origin of the tests, and its spool."""
    with tempfile.TemporaryDirectory() as folder:
        origin = Origin(reflect)
        edge = RunningEdge(document(origin.url, rules, Path(folder)))
        try:
            yield edge, StateDirectory(Path(folder) / "state").spool
        finally:
            edge.stop()
            origin.close()


def main() -> int:
    """Prints what is refused, what fails and where both ways disagree, then one line of JSON; 1 if a test fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="the beginning of the titles of the tests to run, such as 9421")
    arguments = parser.parse_args()
    folder = _core_rules.fetched()
    tests = [test for test in ftw.read(folder / "tests") if test.title.startswith(arguments.only)]
    with running(folder) as (edge, spool):
        sent = send_all(edge.port, tests)
        edge.stop(10.0)
        rows = {int(row["ClientSrcPort"]): row for row in spooled.rows(spool, "http_requests")}
    tally = compare(regression.rule_set(folder), tests, sent, rows)
    for heading, lines in (
        ("refused before any rule", tally.refused),
        ("failed", tally.failed),
        ("in process and at the edge disagree", tally.disagreements),
    ):
        for title, why in lines:
            sys.stderr.write(f"{heading}: {title}: {why}\n")
    reasons = Counter(why.split(":")[0] for _, why in tally.refused)
    tell(
        {
            "proof": "core_rule_set",
            "tests": len(tests),
            **{kind: tally.counts[kind] for kind in ("passed", "refused", "exempted", "failed")},
            "refused_for": dict(reasons.most_common()),
            "disagreements": len(tally.disagreements),
        }
    )
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())

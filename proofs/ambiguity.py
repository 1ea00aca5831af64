"""The edge beside nginx and HAProxy on ambiguous messages: the same bytes, the same origin, one JSON line.

Three tables: HTTP/1 requests and origin responses of the codec's case tables, and HTTP/2 requests in raw frames. What
reached the origin (or, for responses, the client) is read again by `tests/e2e/strict.py`, and counted in one of four
ways: *refused*, *passed* (written anew into something that can be read in one way only), *ambiguous* (what went on
breaks the grammar, so that readers may differ over it) and *more* (one message became several). A response counts as
*poisoned* where the next client did not get its own answer.

A peer that passes a case is not thereby wrong: to repair what can be repaired is a choice that RFC 9112 often allows.
The edge made the other one. What is wrong is *ambiguous*, *more* and *poisoned*.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import peers, strict
from tests.e2e.codec_cases import Case, cases
from tests.e2e.exchange import edge_of_one_thread
from tests.e2e.http2_cases import BODY_CASES, HEAD_CASES, in_frames
from tests.e2e.http2_frames import Http2, block
from tests.e2e.liar import Liar
from tests.e2e.origin import Origin
from tests.e2e.recorder import Arrival, Recorder

from proofs import ROOT, tell

REPORT = ROOT / "docs" / "measurements" / "ambiguity.md"
REFUSED, PASSED, AMBIGUOUS, MORE, POISONED = "refused", "passed", "ambiguous", "more", "poisoned"
OWN_ANSWER_S = 60.0
"""How long the next client waits for its own answer: to be late is not to be poisoned."""
FENCE = b"GET /fence HTTP/1.1\r\nHost: shop.test\r\n\r\n"


@dataclass(frozen=True)
class Outcome:
    """What a proxy made of a case."""

    kind: str
    said: str
    """The status that the client saw, or how the connection ended."""

    why: str = ""

    def __str__(self) -> str:
        """A cell of the table."""
        mark = {AMBIGUOUS: " **ambiguous**", MORE: " **more**", POISONED: " **poisoned**", PASSED: " passed"}.get(
            self.kind, ""
        )
        return f"{self.said}{mark}" + (f": {self.why}" if self.why else "")


@contextlib.contextmanager
def proxy(name: str, origin: Recorder | Origin, folder: Path, *, http2: bool = False) -> Iterator[int]:
    """The port of a running proxy in front of `origin`."""
    if name != "bartizan":
        with peers.Peer(name, origin.port, folder / name, http2=http2) as peer:
            yield peer.port
        return
    edge = edge_of_one_thread(origin.url, folder / "spool")
    try:
        yield edge.port
    finally:
        edge.stop()


def said(received: bytes, *, closed: bool) -> str:
    """The status that a client sees, or what it sees instead."""
    match = re.match(rb"(?:HTTP/1\.1 1[0-9]{2}.*?\r\n\r\n)*HTTP/1\.[01] ([0-9]{3})", received, re.DOTALL)
    if match:
        return match[1].decode()
    if received:
        return "bytes"
    return "closed" if closed else "silent"


def judge(arrivals: list[Arrival], status: str) -> Outcome:
    """What reached the origin for one request."""
    faults = [arrival.fault for arrival in arrivals if arrival.fault]
    requests = sum(len(arrival.requests) for arrival in arrivals)
    if faults:
        return Outcome(AMBIGUOUS, status, faults[0])
    if requests > 1:
        return Outcome(MORE, status, f"{requests} requests")
    return Outcome(PASSED if requests else REFUSED, status)


def arrived(port: int, origin: Recorder) -> list[Arrival]:
    """What reached the origin up to a request that is sent now and left out."""
    peers.exchange(port, FENCE)
    arrivals = origin.take(1.5)
    for arrival in arrivals:
        arrival.requests = [got for got in arrival.requests if got.target != b"/fence"]
    return arrivals


def http1_requests(name: str, folder: Path) -> dict[str, Outcome]:
    """Every request of the codec's table."""
    outcomes = {}
    with Recorder() as origin, proxy(name, origin, folder) as port:
        for case in cases("request"):
            received, closed = peers.exchange(port, case.data)
            outcomes[case.name] = judge(arrived(port, origin), said(received, closed=closed))
    return outcomes


def http2_requests(name: str, folder: Path) -> dict[str, Outcome]:
    """Every HTTP/2 head and body that HTTP/1.1 could not carry."""
    table = {key: [in_frames(block(fields))] for key, fields in HEAD_CASES.items()} | BODY_CASES
    outcomes = {}
    with tempfile.TemporaryDirectory() as place, Recorder() as origin:
        beside = contextlib.nullcontext(0) if name == "bartizan" else peers.Peer(name, origin.port, Path(place))
        with beside as plain, proxy(name, origin, folder / "http2", http2=True) as port:
            fence = plain.port if isinstance(plain, peers.Peer) else port
            for key, frames in table.items():
                with Http2(port) as client:
                    client.connection.settimeout(peers.PATIENCE_S)
                    client.send(*frames)
                    stream = client.stream(1)
                    with contextlib.suppress(TimeoutError):
                        stream = client.wait(1)
                ended = (
                    f"GOAWAY {client.goaway}" if client.goaway is not None else "closed" if client.closed else "silent"
                )
                ended = f"RST {stream.reset}" if stream.reset is not None else ended
                outcomes[key] = judge(arrived(fence, origin), ended if stream.status is None else str(stream.status))
    return outcomes


def responses(name: str, folder: Path) -> dict[str, Outcome]:
    """Every origin response of the codec's table, asked for over HTTP/1.1."""
    liar, outcomes = Liar(), {}
    with Origin(liar.script) as origin, proxy(name, origin, folder) as port:
        for case in cases("response"):
            if case.request_method != "CONNECT":
                outcomes[case.name] = ask(port, liar, case)
    return outcomes


def ask(port: int, liar: Liar, case: Case) -> Outcome:
    """What a client saw of a response, and the next client of its own."""
    target, method = liar.tell(case), case.request_method.encode()
    received, closed = peers.exchange(port, method + b" " + target + b" HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    status = said(received, closed=closed)
    after, _ = peers.exchange(port, b"GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n", OWN_ANSWER_S)
    try:
        answer = strict.response(received, method, closed=closed)
    except strict.Ambiguous as ambiguous:
        return Outcome(AMBIGUOUS, status, str(ambiguous))
    if b"\r\n\r\n/next on " not in after:
        return Outcome(POISONED, status, repr(after[:40])[2:-1])
    if answer is None or answer.status == 502 or not answer.whole:
        return Outcome(REFUSED, status if answer is None or answer.whole else f"{status} cut")
    return Outcome(PASSED, status)


SUBJECTS = {"requests": http1_requests, "http2": http2_requests, "responses": responses}
TITLES = {"requests": "HTTP/1 requests", "http2": "HTTP/2 requests", "responses": "Origin responses"}


def expected(subject: str) -> dict[str, str]:
    """What the codec's table says of each case."""
    if subject == "http2":
        return dict.fromkeys([*HEAD_CASES, *BODY_CASES], "refused")
    return {case.name: case.expect for case in cases(subject.removesuffix("s"))}


def cell(text: str) -> str:
    """Text that ends no cell and opens no tag."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def report(results: dict[str, dict[str, dict[str, Outcome]]], names: list[str]) -> str:
    """The page: a summary, and one row a case."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    today = dt.datetime.now(dt.UTC).date().isoformat()
    versions = ", ".join(["this commit", *(peers.version(name) for name in names if name != "bartizan")])
    lines = [
        "# Ambiguous messages, beside nginx and HAProxy",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].splitlines(),
        "",
    ]
    lines += [f"`python -m proofs.ambiguity`, {today}, commit {commit.stdout.strip()}; {versions}.", ""]
    for subject, by_name in results.items():
        told = expected(subject)
        lines += [f"## {TITLES[subject]}", "", f"| | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
        refusable = [case for case in by_name[names[0]] if told[case] != "ok"]
        lines.append(f"| cases that the codec refuses | {' | '.join([str(len(refusable))] * len(names))} |")
        for kind in (REFUSED, PASSED, AMBIGUOUS, MORE, POISONED):
            counts = [sum(by_name[name][case].kind == kind for case in refusable) for name in names]
            lines.append(f"| {kind} | {' | '.join(map(str, counts))} |")
        lines += ["", f"| case | codec | {' | '.join(names)} |", f"| --- | --- |{' --- |' * len(names)}"]
        for case in by_name[names[0]]:
            row = [case, told[case], *(str(by_name[name][case]) for name in names)]
            lines.append(f"| {' | '.join(map(cell, row))} |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Run, write the page, print the line. Returns 1 if the edge passed on anything ambiguous."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(SUBJECTS), help="one table, and no page written")
    only: str | None = parser.parse_args().only
    names = ["bartizan", *peers.installed()]
    results: dict[str, dict[str, dict[str, Outcome]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for subject, measure in SUBJECTS.items():
            if only not in {None, subject}:
                continue
            results[subject] = {}
            for name in names:
                print(f"{TITLES[subject]}: {name}", file=sys.stderr)
                results[subject][name] = measure(name, Path(folder) / subject / name)
    if only is None:
        REPORT.write_text(report(results, names))
    summary: dict[str, object] = {"proof": "ambiguity"}
    wrong = 0
    for subject, by_name in results.items():
        told = expected(subject)
        counted = {
            name: dict(Counter(outcome.kind for case, outcome in outcomes.items() if told[case] != "ok"))
            for name, outcomes in by_name.items()
        }
        summary[subject] = {"cases": len(by_name["bartizan"]), "refusable": counted}
        wrong += sum(outcome.kind in {AMBIGUOUS, MORE, POISONED} for outcome in by_name["bartizan"].values())
    tell(summary)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

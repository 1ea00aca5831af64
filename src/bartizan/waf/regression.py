"""The regression tests of a rule set, run in this process: no server, no sockets.

What the Core Rule Set's own test setup has around the engine is here: an origin that answers as a request tells it to,
the settings that its tests expect (tests/regression/README.md), and the log that they look into.

A test that wants 400 and no more wants its request refused before any rule sees it. Here the edge's codec is asked: one
that it refuses passes, and the outcome says for which reason and with which status, since that may be a better one (505
for HTTP/0.9).
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

import msgspec

from bartizan._native import request_refusal
from bartizan.waf import ftw
from bartizan.waf.ruleset import RuleSet
from bartizan.waf.verdict import Match, Verdict

SETUP: Final = (
    'SecAction "id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,'
    "setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,"
    "setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,"
    'setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"'
)
"""What the tests of the Core Rule Set expect to be set."""

_EXEMPTIONS: Final = Path(__file__).with_name("exemptions.toml")
_THREADS: Final = 4
_BAD_REQUEST: Final = 400
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Outcome(msgspec.Struct, frozen=True):
    """What came of a test."""

    title: str
    result: Literal["pass", "fail", "skip"]
    reason: str | None = None
    """What was missing or too much; of one that is skipped, why it is exempted; of one that passed because the codec
    refuses its request, why it does."""


def rule_set(path: Path) -> RuleSet:
    """The rule set that lies at a path, set up for its tests. Raises Failure where it cannot be loaded."""
    return RuleSet.load(path, paranoia_level=4, mode="detect", setup=SETUP)


def run(rules: RuleSet, tests: Sequence[ftw.Test]) -> Iterator[Outcome]:
    """Runs tests, and gives what came of each in their order."""
    exempted = exemptions()
    with ThreadPoolExecutor(_THREADS) as pool:
        for outcome in pool.map(lambda test: _outcome(rules, test), tests):
            exemption = exempted.get(outcome.title) if outcome.result == "fail" else None
            yield outcome if exemption is None else Outcome(outcome.title, "skip", exemption)


def exemptions() -> dict[str, str]:
    """The tests that need not pass, each with the reason."""
    listed = tomllib.loads(_EXEMPTIONS.read_text(encoding="utf-8"))
    return {title: entry["reason"] for title, entry in listed.items()}


def answer(request: bytes) -> bytes:
    """What the origin of the tests answers: what a `POST /reflect` says in JSON, and 200 without a body to all else."""
    head, _, body = request.partition(b"\r\n\r\n")
    if not head.startswith(b"POST /reflect"):
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
    try:
        said = msgspec.json.decode(body, type=_Reflection)
        content = said.body.encode() or base64.b64decode(said.encodedBody)
    except (msgspec.MsgspecError, binascii.Error):
        return b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis is no JSON that says what to answer"
    headers = dict(said.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    lines = [f"HTTP/1.1 {said.status} Reflected", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content


def log_line(match: Match) -> str:
    """A match as the error log of ModSecurity has it."""

    def quoted(text: str) -> str:
        return _CONTROL.sub(lambda byte: f"\\x{ord(byte[0]):02x}", text.replace('"', '\\"'))

    parts = [("file", match.file), ("line", str(match.line)), ("id", str(match.id)), ("msg", match.message)]
    parts.append(("data", match.logdata))
    if match.severity_number is not None:
        parts.append(("severity", str(match.severity_number)))
    parts += [("ver", match.version), *(("tag", tag) for tag in match.tags)]
    return "ModSecurity: Warning. " + " ".join(f'[{name} "{quoted(text)}"]' for name, text in parts)


class _Reflection(msgspec.Struct, frozen=True):
    status: int = 200
    headers: dict[str, str] = {}
    body: str = ""
    encodedBody: str = ""  # noqa: N815  the name in the protocol of the tests


def _outcome(rules: RuleSet, test: ftw.Test) -> Outcome:
    reasons = []
    for number, stage in enumerate(test.stages, 1):
        which = f"stage {number}: " if len(test.stages) > 1 else ""
        refusal = request_refusal(stage.request) if stage.expected.status == _BAD_REQUEST else None
        if refusal is not None:
            status, _, why = refusal
            reasons.append(f"{which}refused with {status}: {why}")
            wrong = compared(stage.expected, _BAD_REQUEST, [], b"")
        else:
            wrong = _wrong(rules, stage)
        if wrong:
            return Outcome(test.title, "fail", which + "; ".join(wrong))
    return Outcome(test.title, "pass", "; ".join(reasons) or None)


def _wrong(rules: RuleSet, stage: ftw.Stage) -> list[str]:
    """What is not as expected where rules see the request."""
    response = answer(stage.request)
    verdict = rules.inspect(stage.request, response)
    status = verdict.status if verdict.status is not None else int(response.split(b" ")[1])
    return compared(stage.expected, status, _logged(verdict), response)


def _logged(verdict: Verdict) -> list[Match]:
    return [match for match in verdict.matches if match.logged]


def compared(expected: ftw.Expectation, status: int, logged: list[Match], response: bytes) -> list[str]:
    """What of a stage is not as expected: the status, the rules that said so in the log, and the response."""
    wrong = []
    ids = {match.id for match in logged}
    log = expected.log or ftw.Log()
    missing = [number for number in log.expect_ids if number not in ids]
    if missing:
        wrong.append(f"not logged: {_listed(missing)}")
    extra = [number for number in log.no_expect_ids if number in ids]
    if expected.isolated:
        extra += sorted(ids - {*log.expect_ids, *extra})
    if extra:
        wrong.append(f"logged, and should not be: {_listed(extra)}")
    if expected.status is not None and status != expected.status:
        wrong.append(f"status {status}, expected {expected.status}")
    lines = "\n".join(map(log_line, logged))
    wrong += [
        f"nothing in the log is like {pattern}"
        for pattern in _patterns(log.match_regex, expected.log_contains)
        if not re.search(pattern, lines)
    ]
    wrong += [
        f"the log has {pattern}"
        for pattern in _patterns(log.no_match_regex, expected.no_log_contains)
        if re.search(pattern, lines)
    ]
    wrong += [
        f"nothing in the response is like {pattern}"
        for pattern in _patterns(expected.response_contains)
        if not re.search(pattern.encode(), response)
    ]
    return wrong


def _patterns(*given: str | None) -> list[str]:
    return [pattern for pattern in given if pattern]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))

"""What a rule set says of a request: the rules that matched, what they saw, the scores, and how it ends."""

from __future__ import annotations

from typing import Final

import msgspec

_SEVERITIES: Final = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")

_SCORES: Final = {
    "inbound": ("blocking_inbound_anomaly_score", "inbound_anomaly_score", "anomaly_score"),
    "outbound": ("blocking_outbound_anomaly_score", "outbound_anomaly_score"),
    "sql_injection": ("sql_injection_score",),
    "xss": ("xss_score",),
    "lfi": ("lfi_score",),
    "rfi": ("rfi_score",),
    "rce": ("rce_score",),
    "php_injection": ("php_injection_score",),
    "http_violation": ("http_violation_score",),
    "session_fixation": ("session_fixation_score",),
}
"""Where the Core Rule Set keeps each score in `TX`; version 4 says `blocking_inbound_anomaly_score`, version 3
`anomaly_score`."""

SCORE_NAMES: Final = [name for names in _SCORES.values() for name in names]
"""The names in `TX` that hold scores."""


class Hit(msgspec.Struct, frozen=True):
    """A value in which a rule matched."""

    link: int
    """Which rule of its chain, from 0."""
    variable: str
    """With its name where it is one of many: `ARGS:id`."""
    value: str
    """As it came; bytes that are no UTF-8 as `\\xNN`."""
    transformed: str
    """As the operator saw it."""
    range: tuple[int, int] | None
    """Where in that the match lies, in bytes, if a rule captures."""


class Match(msgspec.Struct, frozen=True):
    """A rule that matched."""

    id: int
    message: str
    """With its macros expanded."""
    logdata: str
    """What it tells beside that."""
    severity_number: int | None = msgspec.field(name="severity")
    """From 0, an emergency, to 7."""
    tags: list[str]
    phase: int
    """From 1 to 5."""
    logged: bool
    """Whether it says so in a log; rules that prepare or skip do not."""
    file: str
    """Where it stands."""
    line: int
    version: str
    """Of its rule set."""
    hits: list[Hit]
    """The values in which it matched, in the order in which they were looked at; none for a `SecAction`."""

    @property
    def severity(self) -> str | None:
        """`CRITICAL`, or None where the rule names none."""
        return None if self.severity_number is None else _SEVERITIES[self.severity_number]

    @property
    def variable(self) -> str | None:
        """The variable that it matched last, as `MATCHED_VAR_NAME` says it; None for a `SecAction`."""
        return self.hits[-1].variable if self.hits else None

    @property
    def value(self) -> str | None:
        """The value of that variable as it came."""
        return self.hits[-1].value if self.hits else None


class Verdict(msgspec.Struct, frozen=True):
    """What a rule set says of a request."""

    blocked: bool
    """Whether it is not to be served. In mode `detect` nothing is."""
    status: int | None
    """The status to answer with instead; None where the request passes, or its connection is to be closed."""
    action: str | None
    """What is to be done instead of serving it: `deny`, `drop` or `redirect`. In mode `detect` what would be."""
    location: str | None
    """Where a redirect leads."""
    rule: int | None
    """The rule that says so, or would in mode `block`; 0 where a limit of the engine does."""
    matches: list[Match]
    """Every rule that matched, in the order in which they did, whether it logs or not."""
    scores: dict[str, int]
    """`inbound`, `outbound`, and of a Core Rule Set each category, such as `sql_injection`."""
    audit_entry: bytes | None = None
    """What the audit log is to hold of the request, in the format of the rules, where `SecAuditEngine` wants it."""


class _Ending(msgspec.Struct, frozen=True):
    rule: int
    action: str
    status: int | None
    location: str | None


class _Told(msgspec.Struct, frozen=True):
    """A verdict as the native module tells it."""

    interruption: _Ending | None
    would_interrupt: _Ending | None
    matches: list[Match]
    scores: dict[str, int]


_DECODER: Final = msgspec.json.Decoder(_Told)


def of_native(told: bytes, audit_entry: bytes | None, own_ids: range) -> Verdict:
    """The verdict that the native module told; rules of our own that only prepare are left out."""
    read = _DECODER.decode(told)
    ending = read.interruption or read.would_interrupt
    return Verdict(
        blocked=read.interruption is not None,
        status=read.interruption.status if read.interruption else None,
        action=ending.action if ending else None,
        location=ending.location if ending else None,
        rule=ending.rule if ending else None,
        matches=[match for match in read.matches if match.logged or match.id not in own_ids],
        scores=_scores(read.scores),
        audit_entry=audit_entry,
    )


def _scores(numbers: dict[str, int]) -> dict[str, int]:
    scores = {"inbound": 0, "outbound": 0}
    for name, places in _SCORES.items():
        known = [numbers[place] for place in places if place in numbers]
        if known:
            scores[name] = known[0]
    return scores

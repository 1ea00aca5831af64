"""A policy over recorded requests: what the edge would do with each, asked of the edge's own code, and nothing is sent.

The policy is a site file or a stored version, with all that it reads: rules, lists, rule sets, databases of addresses.
What a recording does not say is not guessed: each rule that would have to know it is named with the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bartizan._native import PolicyRefused, PolicyReplay
from bartizan.config.document import Parts
from bartizan.config.load import load
from bartizan.config.native import Diagnostic
from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy import diagnostics
from bartizan.policy.build import policy_of
from bartizan.policy.effect import has_versions, open_versions
from bartizan.policy.skeleton import Skeleton, restore

__all__ = ["OfflinePolicy", "Recording", "RuleActed", "RuleUndecided", "Unreadable", "Verdict", "of_site", "of_version"]


_ANSWERS: Final = frozenset({"block", "redirect"})
"""The actions after which a request goes no further."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded request as the native module reads it."""

    message: bytes
    """As HTTP/1.1."""
    http2: bool = False
    client_ip: str = "127.0.0.1"
    client_port: int = 0
    server_ip: str = "127.0.0.1"
    server_port: int
    https: bool
    tls: Any = None
    """What the handshake showed: an object as `bartizan.rules.request.Tls`, or None."""
    http2_fingerprint: str | None = None
    may_be_proxied: bool = False
    """Whether `client_ip` is that of the connection, which may be a proxy that the policy trusts."""
    received: float
    """In seconds since 1970."""
    response: bytes | None = None
    """What the origin answered, as HTTP/1.1."""
    unknown: list[str] = []
    """The fields that are not known."""


class RuleActed(msgspec.Struct, frozen=True):
    """A rule that acted."""

    id: str
    reference: str
    description: str
    action: str
    phase: str
    account: bool
    ruleset: str
    """The ruleset that it stands in or runs, by name; empty where it is none."""
    metadata: Any = None
    """By what a rule set decided, as in its event."""


class RuleUndecided(msgspec.Struct, frozen=True):
    """A rule that the request came by and that reads what the recording does not say."""

    id: str
    reference: str
    description: str
    phase: str
    account: bool
    ruleset: str
    fields: list[str]


class Verdict(msgspec.Struct, frozen=True):
    """What the edge does with a request."""

    outcome: str
    """`ok` where it goes to the origin, `blocked`, `redirected`, `refused` before it is a request, or why else the edge
    answers itself, as `Outcome` of an event says it."""
    status: int | None = None
    """What the client is sent; None where that is the origin's answer, which is not recorded, or nothing is sent."""
    zone: str | None = None
    location: str | None = None
    """Where the client is sent."""
    rules: list[RuleActed] = []
    waf_score: int = 0
    waf_outbound_score: int = 0
    waf_rule_ids: list[str] = []
    waf_matches: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    """What rules change of the request on its way to the origin."""
    has_response: bool = False
    """Whether there was an answer of the origin for rules to see."""
    lacks_response: bool = False
    """Whether rules on the response had nothing to see."""
    undecided: list[RuleUndecided] = []
    reason: str | None = None
    """Why it is refused."""

    @property
    def by(self) -> RuleActed | None:
        """The rule that answers, unless it is one that is not logged."""
        last = self.rules[-1] if self.rules else None
        return last if last is not None and last.action in _ANSWERS and self.outcome != "ok" else None


class Unreadable(msgspec.Struct, frozen=True):
    """No verdict: what was recorded is no request, and why."""

    reason: str


class _Refused(msgspec.Struct):
    status: int
    name: str
    reason: str


class _Judged(msgspec.Struct):
    replayed: Verdict | None = None
    refused: _Refused | None = None
    unreadable: str = ""


class _Ruleset(msgspec.Struct):
    name: str


class OfflinePolicy:
    """A policy that judges recorded requests.

    Raises SiteError or Failure where the edge would refuse it.
    """

    def __init__(self, title: str, policy: Parts) -> None:
        self.title = title
        """What people call it: a file, or a version."""
        self._native = PolicyReplay(policy.document(0))
        self._rulesets = {
            identifier: msgspec.json.decode(part, type=_Ruleset).name for identifier, part in policy.rulesets.items()
        }

    def judge(self, requests: Iterable[Recording]) -> Iterator[Verdict | Unreadable]:
        """What becomes of each of the requests, in their order; they are judged at once."""
        for judged in msgspec.json.decode(self._native.judge(list(requests)), type=list[_Judged]):
            if judged.replayed is not None:
                yield self._named(judged.replayed)
            elif judged.refused is not None:
                yield Verdict("refused", judged.refused.status, reason=judged.refused.reason)
            else:
                yield Unreadable(judged.unreadable)

    def _named(self, verdict: Verdict) -> Verdict:
        """The verdict with the names of rulesets in the place of their ids."""
        names = self._rulesets
        rules = [msgspec.structs.replace(rule, ruleset=names.get(rule.ruleset, "")) for rule in verdict.rules]
        undecided = [msgspec.structs.replace(rule, ruleset=names.get(rule.ruleset, "")) for rule in verdict.undecided]
        return msgspec.structs.replace(verdict, rules=rules, undecided=undecided)


def of_site(site: Path, state: StateDirectory) -> OfflinePolicy:
    """The policy of a site file. Raises SiteError with all its mistakes."""
    loaded = load(site, state.rule_sets)
    if loaded.site is None or loaded.problems:
        raise SiteError(loaded.problems)
    try:
        return OfflinePolicy(str(site), policy_of(loaded, loaded.site, state))
    except PolicyRefused as refused:
        said = msgspec.json.decode(refused.args[1], type=list[Diagnostic])
        raise SiteError(diagnostics.problems(said, loaded)) from refused


def of_version(version: int, state: StateDirectory) -> OfflinePolicy:
    """The policy of a stored version. Raises Failure where there is none, or this release would refuse it."""
    if not has_versions(state):
        raise Failure(f"nothing was applied in {state.path}, so there is no version {version}; name it with --state")
    with open_versions(state) as versions:
        document, acme = versions.document(version)
        skeleton = msgspec.json.decode(document, type=Skeleton)
        policy = restore(skeleton, acme, versions.parts(skeleton.digests()))
    try:
        return OfflinePolicy(f"version {version}", policy)
    except PolicyRefused as refused:
        raise Failure(f"version {version} would be refused now: {refused.args[0]}") from refused

"""Recorded requests through a policy, and through another to see what differs. Nothing is sent anywhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from bartizan.policy.replay import OfflinePolicy, Recording, RuleActed, RuleUndecided, Unreadable, Verdict
from bartizan.waf.recorded import ADDRESS, SCHEME, Broken, Recorded

_AT_ONCE: Final = 64
"""Requests that cross the border together: as many as are in memory, unless they are large."""
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""What requests and responses hold that cross it together; a larger one goes alone."""
_PORTS: Final = {True: 443, False: 80}


class Assumed(msgspec.Struct, frozen=True):
    """What holds for requests whose recording does not say it."""

    client_ip: str | None = None
    """The address that they come from; None where nobody said, and rules that read it are named."""
    https: bool = False
    """Whether they came over TLS; rules that read it are named unless that was said."""


class Replayed(msgspec.Struct, frozen=True):
    """A recorded request with what becomes of it."""

    title: str
    verdict: Verdict


class Compared(msgspec.Struct, frozen=True):
    """A recorded request with what becomes of it by two policies."""

    title: str
    first: Verdict
    second: Verdict
    why: list[str]
    """What differs, in words; nothing where both say the same."""


def replay(
    recorded: Iterable[Recorded | Broken], policy: OfflinePolicy, assumed: Assumed
) -> Iterator[Replayed | Broken]:
    """What a policy makes of each request."""
    for some in _lots(recorded):
        for each, judged in zip(some, _judged(some, policy, assumed), strict=True):
            yield judged if isinstance(judged, Broken) else Replayed(_title(each), judged)


def compare(
    recorded: Iterable[Recorded | Broken], first: OfflinePolicy, second: OfflinePolicy, assumed: Assumed
) -> Iterator[Compared | Broken]:
    """What two policies make of each request."""
    for some in _lots(recorded):
        both = (_judged(some, policy, assumed) for policy in (first, second))
        for each, one, other in zip(some, *both, strict=True):
            if isinstance(one, Broken):
                yield one
            elif isinstance(other, Broken):
                yield other
            else:
                yield Compared(_title(each), one, other, list(differences(one, other)))


def _lots(recorded: Iterable[Recorded | Broken]) -> Iterator[list[Recorded | Broken]]:
    some: list[Recorded | Broken] = []
    held = 0
    for each in recorded:
        size = len(each.request) + len(each.response or b"") if isinstance(each, Recorded) else 0
        if some and (len(some) == _AT_ONCE or held + size > _BYTES_AT_ONCE):
            yield some
            some, held = [], 0
        some.append(each)
        held += size
    if some:
        yield some


def differences(first: Verdict, second: Verdict) -> Iterator[str]:
    """What the verdicts of two policies say differently, in words."""
    for name, one, other in (
        ("zone", first.zone, second.zone),
        ("outcome", first.outcome, second.outcome),
        ("status", first.status, second.status),
        ("location", first.location, second.location),
        ("changes", first.changes, second.changes),
    ):
        if one != other:
            yield f"{name}: {_word(one)} by the first, {_word(other)} by the second"
    yield from _alone(_acts(first), _acts(second), "the first")
    yield from _alone(_acts(second), _acts(first), "the second")
    yield from _alone(_matches(first), _matches(second), "the first")
    yield from _alone(_matches(second), _matches(first), "the second")


def called(rule: RuleActed | RuleUndecided) -> str:
    """A rule as people know it: its name, and where it stands."""
    level = "account, " if rule.account else ""
    ruleset = f', ruleset "{rule.ruleset}"' if rule.ruleset else ""
    return f'rule "{rule.reference or rule.description or rule.id}" ({level}{rule.phase}{ruleset})'


def _alone(own: dict[object, str], others: dict[object, str], where: str) -> Iterator[str]:
    yield from (f"{said} in {where} alone" for key, said in own.items() if key not in others)


def _acts(verdict: Verdict) -> dict[object, str]:
    return {(rule.id, rule.action): f"{called(rule)} acts with {rule.action}" for rule in verdict.rules}


def _matches(verdict: Verdict) -> dict[object, str]:
    return {number: f"rule {number} of a rule set matches" for number in verdict.waf_rule_ids}


def _word(value: object) -> str:
    if value is None or value == {}:
        return "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _judged(some: Sequence[Recorded | Broken], policy: OfflinePolicy, assumed: Assumed) -> Iterator[Verdict | Broken]:
    verdicts = policy.judge([_recording(each, assumed) for each in some if isinstance(each, Recorded)])
    for each in some:
        if isinstance(each, Broken):
            yield each
            continue
        verdict = next(verdicts)
        yield Broken(f"{each.title}: {verdict.reason}") if isinstance(verdict, Unreadable) else verdict


def _title(each: Recorded | Broken) -> str:
    return each.title if isinstance(each, Recorded) else each.reason


def _recording(each: Recorded, assumed: Assumed) -> Recording:
    https = assumed.https if each.https is None else each.https
    unknown = each.lacks
    if each.client is None and assumed.client_ip is not None:
        unknown -= ADDRESS
    if each.https is None and assumed.https:
        unknown -= SCHEME
    return Recording(
        message=each.request,
        http2=each.http2,
        client_ip=each.client or assumed.client_ip or "127.0.0.1",
        client_port=each.client_port,
        server_port=each.server_port or _PORTS[https],
        https=https,
        tls=each.tls,
        http2_fingerprint=each.http2_fingerprint,
        may_be_proxied=each.client is None,
        received=time.time() if each.received is None else each.received,
        response=each.response if each.is_response_whole else None,
        unknown=sorted(unknown),
    )

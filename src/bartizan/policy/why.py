"""Why a rule acted: its expression, in the version of the policy that decided."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.skeleton import Skeleton

if TYPE_CHECKING:
    from bartizan.store.versions import Versions


def expressions(state: StateDirectory, version: int, rules: Collection[str]) -> dict[str, str]:
    """The expressions of those rules, by identifier, as they were in that version.

    From the policy in effect if it is that one, else from the store; a rule of neither is left out.
    """
    current = _current(state)
    documents = [current] if current.get("version") == version else _stored(state, version)
    wanted = set(rules)
    return {rule["id"]: rule["expression"] for rule in _rules(documents) if rule["id"] in wanted}


class _List(msgspec.Struct):
    kind: str


class Considered(NamedTuple):
    """A rule that a request came by, where its phase ran."""

    phase: str
    of: str
    """`account`, the zone's name, or the name of a ruleset that another rule executes."""
    id: str
    action: str
    description: str
    expression: str


class Rules(NamedTuple):
    """The rules of a zone in one version, and the kinds of the lists that they may name."""

    rules: list[Considered]
    lists: dict[str, str]


def considered(state: StateDirectory, version: int, zone: str) -> Rules | None:
    """The rules of that version that requests of the zone come by, the account's first, in the order of the policy.

    Those that were switched off are left out. None where neither the policy in effect nor the store has that version.
    """
    current = _current(state)
    if current.get("version") != version:
        return _considered_in_store(state, version, zone)
    own = next((each for each in current.get("zones", []) if each.get("name") == zone), None)
    if own is None:
        return None
    rules = list(_considered(current.get("account", {}), own, current.get("rulesets", {})))
    return Rules(rules, {name: source["kind"] for name, source in current.get("lists", {}).items()})


def client_addresses(state: StateDirectory, version: int) -> str:
    """How events of that version keep the addresses of clients: `full`, also where it is not known, or otherwise."""
    current = _current(state)
    if current.get("version") == version:
        return _addresses(current.get("edge"))
    try:
        with _versions(state) as versions:
            if versions is None:
                return "full"
            skeleton = msgspec.json.decode(versions.document(version)[0], type=Skeleton)
            edge = versions.parts([skeleton.edge])[skeleton.edge]
    except Failure:
        return "full"
    return _addresses(msgspec.json.decode(edge))


def _addresses(edge: object) -> str:
    match edge:
        case {"events": {"client_ip": str() as kept}}:
            return kept
        case _:
            return "full"


def _considered_in_store(state: StateDirectory, version: int, zone: str) -> Rules | None:
    try:
        with _versions(state) as versions:
            if versions is None:
                return None
            skeleton = msgspec.json.decode(versions.document(version)[0], type=Skeleton)
            if zone not in skeleton.zones:
                return None
            parts = versions.parts(sorted({skeleton.account, skeleton.zones[zone], *skeleton.rulesets.values()}))
            read = {digest: msgspec.json.decode(body) for digest, body in parts.items()}
            rulesets = {name: read[digest] for name, digest in skeleton.rulesets.items()}
            rules = list(_considered(read[skeleton.account], read[skeleton.zones[zone]], rulesets))
            # Only those that are named: a list may be large.
            named = {name for rule in rules for name in re.findall(r"\$([a-z0-9_]+)", rule.expression)}
            digests = {name: digest for name, digest in skeleton.lists.items() if name in named}
            lists = versions.parts(sorted(set(digests.values())))
    except Failure:
        return None
    kinds = {name: msgspec.json.decode(lists[digest], type=_List).kind for name, digest in digests.items()}
    return Rules(rules, kinds)


def _considered(account: dict[str, Any], zone: dict[str, Any], rulesets: dict[str, Any]) -> Iterator[Considered]:
    for of, phases in (("account", account.get("phases", {})), (zone["name"], zone.get("phases", {}))):
        for phase, rules in phases.items():
            for rule in _enabled(rules):
                yield _rule(phase, of, rule)
                executed = rulesets.get(str((rule.get("action_parameters") or {}).get("id")))
                if rule["action"] == "execute" and executed is not None:
                    for inner in _enabled(executed.get("rules", [])):
                        yield _rule(phase, executed["name"], inner)


def _enabled(rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (rule for rule in rules if rule.get("enabled", True))


def _rule(phase: str, of: str, rule: dict[str, Any]) -> Considered:
    return Considered(phase, of, rule["id"], rule["action"], rule.get("description", ""), rule["expression"])


def _current(state: StateDirectory) -> dict[str, Any]:
    try:
        return msgspec.json.decode(state.current_policy.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}


@contextmanager
def _versions(state: StateDirectory) -> Iterator[Versions | None]:
    """The versions in the store, in PostgreSQL too; none where there is no store, and asking makes none."""
    # Only here: it takes longer to import than all the rest of `bartizan ray` takes to run.
    from bartizan.policy.effect import has_versions, open_versions

    if not has_versions(state):
        yield None
        return
    with open_versions(state) as versions:
        yield versions


def _stored(state: StateDirectory, version: int) -> list[Any]:
    try:
        with _versions(state) as versions:
            if versions is None:
                return []
            document, _ = versions.document(version)
            skeleton = msgspec.json.decode(document, type=Skeleton)
            # Without the lists, which may be large and hold no rules.
            digests = {skeleton.account, *skeleton.rulesets.values(), *skeleton.zones.values()}
            parts = versions.parts(sorted(digests))
    except Failure:
        # A version of another store, one that was removed, or a store that cannot be read now.
        return []
    return [msgspec.json.decode(body) for body in parts.values()]


def _rules(value: object) -> Iterator[dict[str, str]]:
    match value:
        case {"id": str(), "expression": str()}:
            yield value  # type: ignore[misc]
        case dict():
            for inner in value.values():
                yield from _rules(inner)
        case list():
            for inner in value:
                yield from _rules(inner)

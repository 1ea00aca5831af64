"""Why a rule acted: its expression, in the version of the policy that decided."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.skeleton import Skeleton


def expressions(state: StateDirectory, version: int, rules: Collection[str]) -> dict[str, str]:
    """The expressions of those rules, by identifier, as they were in that version.

    From the policy in effect if it is that one, else from the store; a rule of neither is left out.
    """
    current = _current(state)
    documents = [current] if current.get("version") == version else _stored(state, version)
    wanted = set(rules)
    return {rule["id"]: rule["expression"] for rule in _rules(documents) if rule["id"] in wanted}


def _current(state: StateDirectory) -> dict[str, Any]:
    try:
        return msgspec.json.decode(state.current_policy.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}


def _stored(state: StateDirectory, version: int) -> list[Any]:
    if not state.store.is_file():
        return []
    # Only here: it takes longer to import than all the rest of `bartizan ray` takes to run.
    from bartizan.policy.effect import open_versions

    try:
        with open_versions(state) as versions:
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

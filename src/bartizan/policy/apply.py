"""A site file becomes the policy in effect."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Literal

import msgspec

from bartizan.config.load import Loaded, load
from bartizan.config.problem import Problem
from bartizan.config.site import Site
from bartizan.layout import StateDirectory
from bartizan.policy import diagnostics
from bartizan.policy.build import policy_of, provide_certificates
from bartizan.policy.check import check
from bartizan.policy.effect import Effect, current_version, lock, open_versions, put_into_effect, settle, take
from bartizan.policy.skeleton import take_apart

__all__ = ["Applied", "apply", "author"]


class Applied(msgspec.Struct, frozen=True):
    """What became of an apply or a rollback.

    `invalid`: the site file has mistakes, nothing was stored. `refused`: the edge refused the version, which is stored
    as such. `unchanged`: the policy is in effect already. `problems` says why, and holds warnings of what was applied.
    """

    outcome: Literal["applied", "unchanged", "refused", "invalid"]
    version: int | None
    live: bool
    changed_zones: int | None
    compile_ms: float | None
    problems: list[Problem]


def apply(site: Path, state: StateDirectory, *, message: str = "", author: str) -> Applied:
    """Stores the site file as a new version and puts it into effect, or says what stands in the way.

    Raises Failure where the store or a running edge cannot be used, OSError where the state directory cannot be
    written.
    """
    with lock(state):
        loaded = load(site)
        if loaded.problems or loaded.site is None:
            return Applied("invalid", None, False, None, None, check(site, state).problems)  # noqa: FBT003
        return _apply(loaded, loaded.site, state, message, author)


def author() -> str:
    """Who is at the keyboard, as versions and the audit log name them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _apply(loaded: Loaded, site: Site, state: StateDirectory, message: str, by: str) -> Applied:
    from bartizan.store.versions import NewVersion

    policy = policy_of(loaded, site, state)
    provide_certificates(policy, state)
    skeleton, bodies = take_apart(policy)
    document = msgspec.json.encode(skeleton)
    acme = msgspec.json.encode(policy.acme, order="deterministic")
    with open_versions(state) as versions:
        settle(versions, state)
        before = versions.in_effect()
        if (
            before is not None
            and before.id == current_version(state)
            and versions.document(before.id) == (document, acme)
        ):
            effect = put_into_effect(before.id, policy, state)
            return _outcome("unchanged" if effect.accepted else "refused", before.id, effect, loaded)
        new = NewVersion(by, message, loaded.source.text, document, acme, bodies)
        version, effect = take(new, policy, versions, state)
    return _outcome("applied" if effect.accepted else "refused", version, effect, loaded)


def _outcome(
    outcome: Literal["applied", "unchanged", "refused"], version: int, effect: Effect, loaded: Loaded
) -> Applied:
    problems = diagnostics.problems(effect.diagnostics, loaded)
    return Applied(outcome, version, effect.live, effect.changed_zones, effect.compile_ms, problems)

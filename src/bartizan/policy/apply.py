"""A site file becomes the policy in effect."""

from __future__ import annotations

import gc
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from bartizan.background import Background
from bartizan.config.document import Parts
from bartizan.config.load import Loaded, load
from bartizan.config.problem import Problem
from bartizan.layout import StateDirectory
from bartizan.policy import diagnostics
from bartizan.policy.build import made_here, policy_of, provide_certificates
from bartizan.policy.check import check
from bartizan.policy.effect import (
    Effect,
    current_version,
    import_store,
    lock,
    open_versions,
    put_into_effect,
    settle,
    take,
)
from bartizan.policy.skeleton import take_apart
from bartizan.store.packed import pack

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


def apply(site: Path, state: StateDirectory, *, message: str = "", author: str, ask_edge: bool = True) -> Applied:
    """Stores the site file as a new version and puts it into effect, or says what stands in the way.

    Without `ask_edge` it is for an edge that is started next, whichever runs now.

    Raises Failure where the store or a running edge cannot be used, OSError where the state directory cannot be
    written.
    """
    with lock(state), without_collection():
        # Both take as long as the parsing of a large file, which lets them run.
        store = Background(import_store)
        packed: list[Background[bytes]] = []
        loaded = load(site, state.rule_sets, as_read=lambda data: packed.append(Background(lambda: pack(data))))
        if loaded.problems or loaded.site is None:
            return Applied("invalid", None, False, None, None, check(site, state).problems)  # noqa: FBT003
        policy = policy_of(loaded, loaded.site, state)
        provide_certificates(policy, made_here(loaded.site, state), state)
        store.result()
        return _apply(loaded, policy, packed[0].result, state, message, author, ask_edge=ask_edge)


def author() -> str:
    """Who is at the keyboard, as versions and the audit log name them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@contextmanager
def without_collection() -> Iterator[None]:
    """Keeps the search for garbage in cycles from looking through a million settings that are none, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _apply(
    loaded: Loaded,
    policy: Parts,
    packed: Callable[[], bytes],
    state: StateDirectory,
    message: str,
    by: str,
    *,
    ask_edge: bool,
) -> Applied:
    from bartizan.store.versions import NewVersion

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
            effect = put_into_effect(before.id, policy, state, ask_edge=ask_edge)
            return _outcome("unchanged" if effect.accepted else "refused", before.id, effect, loaded)
        new = NewVersion(by, message, packed(), document, acme, bodies)
        version, effect = take(new, policy, versions, state, ask_edge=ask_edge)
    return _outcome("applied" if effect.accepted else "refused", version, effect, loaded)


def _outcome(
    outcome: Literal["applied", "unchanged", "refused"], version: int, effect: Effect, loaded: Loaded
) -> Applied:
    problems = diagnostics.problems(effect.diagnostics, loaded)
    return Applied(outcome, version, effect.live, effect.changed_zones, effect.compile_ms, problems)

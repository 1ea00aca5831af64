"""Putting a policy into effect: candidate file, the edge's verdict, `current.json`.

Both `apply` and `rollback` end here, under one lock per state directory, so that two commands cannot cross.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from bartizan.background import Background
from bartizan.config.document import Parts
from bartizan.config.native import Diagnostic, check_policy
from bartizan.durable import remove_abandoned, replace, sync, sync_directory, write
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import in_turn
from bartizan.policy import edge_control

if TYPE_CHECKING:
    from bartizan.store.versions import NewVersion, Versions

__all__ = [
    "Effect",
    "create",
    "current_version",
    "has_versions",
    "import_store",
    "lock",
    "open_versions",
    "put_into_effect",
    "settle",
    "take",
]


class Effect(msgspec.Struct, frozen=True):
    """What became of a policy. `live` says whether a running edge has it; else the next start will."""

    accepted: bool
    live: bool
    changed_zones: int | None
    compile_ms: float | None
    diagnostics: list[Diagnostic]


def create(state: StateDirectory) -> None:
    """Makes the state directory. Raises Failure where it cannot be used."""
    try:
        state.create()
    except OSError as error:
        raise Failure(
            f"cannot use the state directory {state.path}: {error.strerror}; name another one with --state"
        ) from error


@contextmanager
def lock(state: StateDirectory) -> Iterator[None]:
    """Keeps other applies and rollbacks of this state directory waiting. Raises Failure where it cannot be used."""
    create(state)
    with in_turn(state.policy / "lock"):
        # Nobody else is here, so what is there was left by a command that was killed.
        for candidate in state.policy.glob("candidate-*.json"):
            candidate.unlink()
        remove_abandoned(state.policy)
        yield


def import_store() -> None:
    """Imports what `open_versions` does: 0.2 s, in which somebody with a thread to spare may do something else."""
    import bartizan.store.database
    import bartizan.store.versions  # noqa: F401


def has_versions(state: StateDirectory) -> bool:
    """Whether there is a store to ask, so that asking makes none; one in PostgreSQL may have versions of other nodes.

    Raises Failure where `BARTIZAN_STORE_URL` names none that can be used.
    """
    from bartizan.store.database import has_store, store_url

    return has_store(store_url(state.store))


@contextmanager
def open_versions(state: StateDirectory) -> Iterator[Versions]:
    """The versions in the store. Makes the state directory where that is in it; raises Failure where it is unusable."""
    from bartizan.store.database import open_database, store_failures, store_url
    from bartizan.store.versions import Versions

    url = store_url(state.store)
    if url.database == str(state.store):
        create(state)
    engine = open_database(url)
    try:
        with store_failures(url):
            yield Versions(engine)
    finally:
        engine.dispose()


def current_version(state: StateDirectory) -> int | None:
    """The version that the edge starts from; None where there is none yet."""
    return state.policy_version


def settle(versions: Versions, state: StateDirectory) -> None:
    """Notes a version as applied whose command ended between the rename and the note."""
    current = current_version(state)
    in_effect = versions.in_effect()
    if current is not None and (in_effect is None or in_effect.id != current) and versions.is_pending(current):
        versions.applied(current)


def take(
    new: NewVersion, parts: Parts, versions: Versions, state: StateDirectory, *, ask_edge: bool = True
) -> tuple[int, Effect]:
    """Stores a version, puts it into effect and notes what became of it. The caller holds the lock."""
    version = versions.add(new).id
    effect = put_into_effect(version, parts, state, ask_edge=ask_edge)
    said = msgspec.json.encode(effect.diagnostics)
    if effect.accepted:
        versions.applied(version, said)
    else:
        versions.refused(version, said)
    return version, effect


def put_into_effect(version: int, parts: Parts, state: StateDirectory, *, ask_edge: bool = True) -> Effect:
    """Offers a policy to the edge and makes it the one to start from, if it is accepted. The caller holds the lock.

    Without `ask_edge` this release judges it alone, for an edge that it is about to start: one that still runs may be
    of a release that does not understand the policy, and is about to leave.
    """
    candidate = state.policy / f"candidate-{version}.json"
    write(candidate, parts.pieces(version))
    try:
        # The disk is written to while the edge compiles; only what is started from must be durable.
        durable = Background(lambda: sync(candidate))
        effect = _verdict(version, parts, state, ask_edge=ask_edge)
        durable.result()
        if effect.accepted:
            # Beside those of the version before: the policy says whose are in effect, and one rename changes both.
            replace(state.sinks_of(version), parts.sinks)
            replace(state.transparency_of(version), parts.transparency)
            replace(state.acme / "zones.json", msgspec.json.encode(parts.acme, order="deterministic"))
            candidate.rename(state.current_policy)
            sync_directory(state.policy)
            for older in (*state.sinks.glob("sinks*.json"), *state.policy.glob("transparency-*.json")):
                if older not in (state.sinks_of(version), state.transparency_of(version)):
                    older.unlink()
    finally:
        candidate.unlink(missing_ok=True)
    return effect


def _verdict(version: int, parts: Parts, state: StateDirectory, *, ask_edge: bool) -> Effect:
    candidate = state.policy / f"candidate-{version}.json"
    reply = edge_control.apply(state.edge_socket, candidate, version) if ask_edge else None
    if reply is not None:
        return Effect(reply.ok, reply.ok, reply.changed_zones, reply.compile_ms, reply.diagnostics)
    diagnostics = check_policy(parts.document(version))
    accepted = not any(diagnostic.severity == "error" for diagnostic in diagnostics)
    return Effect(accepted, live=False, changed_zones=None, compile_ms=None, diagnostics=diagnostics)

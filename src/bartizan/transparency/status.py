"""How an auditor is: each namespace with what is signed, proved, refused and in hand, for people and for metrics."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Engine

from bartizan.transparency.epochs import Epochs
from bartizan.transparency.models import PROOF_STATES
from bartizan.transparency.namespaces import Namespaces, Stated

__all__ = ["InHand", "NamespaceStatus", "Status", "status_of"]


class InHand(msgspec.Struct, frozen=True):
    """An epoch that a worker is at, or that could not be checked when it was tried."""

    epoch: int
    worker: str | None
    progress: str | None
    problem: str | None
    attempts: int


class NamespaceStatus(msgspec.Struct, frozen=True):
    """A namespace; `epochs` counts them by the state of their proof."""

    name: str
    status: str
    last_epoch: int | None
    verified_to: int | None
    verified_at: int | None
    epochs: dict[str, int]
    in_hand: list[InHand]


class Status(msgspec.Struct, frozen=True):
    """An auditor. `refused` counts the requests since it started, by reason."""

    process: int
    listening: list[tuple[str, bool]]
    workers: int
    refused: dict[str, int]
    namespaces: list[NamespaceStatus]


def status_of(
    engine: Engine, process: int, listening: list[tuple[str, bool]], workers: int, refused: Mapping[str, int]
) -> Status:
    """The status of the auditor on this database, as this process sees it."""
    namespaces = Namespaces(engine)
    epochs = Epochs(engine, namespaces)
    shown = [_namespace(namespace, namespaces, epochs) for namespace in namespaces.all()]
    return Status(process, listening, workers, dict(refused), shown)


def _namespace(namespace: Stated, namespaces: Namespaces, epochs: Epochs) -> NamespaceStatus:
    verified = namespaces.verified_to(namespace)
    counts = epochs.counts(namespace)
    return NamespaceStatus(
        namespace.name,
        namespace.status,
        namespace.last_epoch,
        verified,
        None if verified is None else epochs.last_verified(namespace.name).timestamp,
        {proof: counts.get(proof, 0) for proof in PROOF_STATES},
        [
            InHand(each.epoch, each.worker, each.progress, each.problem, each.attempts)
            for each in epochs.in_hand(namespace)
        ],
    )

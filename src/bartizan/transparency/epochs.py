"""What was signed, and how far it is proved."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import CursorResult, Engine, func, select, update
from sqlalchemy.orm import Session

from bartizan.transparency.models import Epoch
from bartizan.transparency.namespaces import Namespaces, Stated
from bartizan.transparency.refusal import Refused

__all__ = ["Epochs", "LastVerified"]

_ROOTS = UUID("9d1f6d9e-6f0b-5a5e-8b5a-3f1c4c8f6d20")
"""The name space of the jobs of roots, which nobody verified: their id follows from what they are."""


class LastVerified(msgspec.Struct, frozen=True):
    """The newest epoch up to which every proof is good, as `GET .../last-verified-epoch` answers it."""

    job_id: str
    epoch: int
    start_hash: str
    end_hash: str
    timestamp: int


class Epochs:
    """The epochs of one auditor."""

    def __init__(self, engine: Engine, namespaces: Namespaces) -> None:
        self._engine = engine
        self._namespaces = namespaces

    def find(self, name: str, epoch: int) -> Epoch:
        """An epoch of a namespace. Raises Refused where there is none."""
        namespace = self._namespaces.find(name)
        with Session(self._engine) as session:
            row = session.get(Epoch, (namespace.id, epoch))
        if row is None:
            raise Refused(404, "not_found", f"{name} has no epoch {epoch}")
        return row

    def newest(self, namespace: Stated, before: int | None, most: int) -> Sequence[Epoch]:
        """At most so many epochs, the newest first, those before one of them."""
        rows = select(Epoch).where(Epoch.namespace_id == namespace.id).order_by(Epoch.epoch.desc()).limit(most)
        if before is not None:
            rows = rows.where(Epoch.epoch < before)
        with Session(self._engine) as session:
            return session.scalars(rows).all()

    def last_verified(self, name: str) -> LastVerified:
        """The newest epoch up to which every proof is good. Raises Refused where there is none."""
        namespace = self._namespaces.find(name)
        verified = self._namespaces.verified_to(namespace)
        if verified is None:
            raise Refused(404, "not_found", f"{name} has no epoch yet")
        row = self.find(name, verified)
        return LastVerified(
            job_id=row.job or str(uuid5(_ROOTS, f"{name}/{row.epoch}/{row.digest}")),
            epoch=row.epoch,
            start_hash=row.previous or row.digest,
            end_hash=row.digest,
            timestamp=row.judged_ms or row.signed_ms,
        )

    def counts(self, namespace: Stated) -> dict[str, int]:
        """How many epochs are in each state of their proof."""
        counted = select(Epoch.proof, func.count()).where(Epoch.namespace_id == namespace.id).group_by(Epoch.proof)
        with Session(self._engine) as session:
            return {row[0]: row[1] for row in session.execute(counted)}

    def in_hand(self, namespace: Stated) -> Sequence[Epoch]:
        """The epochs that a worker is at, or that could not be checked when they were tried."""
        rows = (
            select(Epoch)
            .where(
                Epoch.namespace_id == namespace.id,
                (Epoch.proof == "claimed") | ((Epoch.proof == "waiting") & (Epoch.attempts > 0)),
            )
            .order_by(Epoch.epoch)
            .limit(20)
        )
        with Session(self._engine) as session:
            return session.scalars(rows).all()

    def verify_again(self, name: str, first: int | None, last: int | None, *, refused_only: bool) -> int:
        """Has epochs wait for verification once more, from `first` to `last`; how many.

        Raises Refused where the namespace has no log directory to take proofs from.
        """
        namespace = self._namespaces.find(name)
        if namespace.log_directory is None:
            raise Refused(400, "malformed", f"{name} has no log directory; name one with --log-directory")
        states = ("refused",) if refused_only else ("signed", "verified", "refused")
        chosen = update(Epoch).where(Epoch.namespace_id == namespace.id, Epoch.proof.in_(states))
        tried = update(Epoch).where(Epoch.namespace_id == namespace.id, Epoch.proof == "waiting")
        if first is not None:
            chosen, tried = chosen.where(Epoch.epoch >= first), tried.where(Epoch.epoch >= first)
        if last is not None:
            chosen, tried = chosen.where(Epoch.epoch <= last), tried.where(Epoch.epoch <= last)
        with Session(self._engine) as session, session.begin():
            session.execute(tried.values(not_before_ms=0))
            changed = session.execute(
                chosen.values(proof="waiting", not_before_ms=0, attempts=0, check=None, problem=None)
            )
            assert isinstance(changed, CursorResult)  # noqa: S101  what an UPDATE gives
            return changed.rowcount

"""Epochs that wait for their proof, handed to workers one by one.

A claim is a row changed from what it was, so that of two workers one has it; it ends with a moment, which its worker
moves on while it lives. A worker that is killed leaves a claim that runs out, and its epoch is verified by the next:
nothing is lost, and as a verdict is written only by the job that holds the claim, nothing is counted twice.
"""

from __future__ import annotations

import uuid
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, CursorResult, Engine, select, update
from sqlalchemy.orm import Session

from bartizan.transparency.database import now_ms
from bartizan.transparency.models import Epoch, Namespace

__all__ = ["CLAIM_MS", "Claim", "Proved", "Queue"]

CLAIM_MS: Final = 30_000
"""How long a claim holds without a word from its worker."""

_WAIT_MS: Final = 1_000
_LONGEST_WAIT_MS: Final = 300_000
"""Between two attempts to fetch a proof that the log does not serve yet."""


class Claim(msgspec.Struct, frozen=True):
    """An epoch that a worker is to verify."""

    namespace_id: int
    namespace: str
    epoch: int
    previous: str
    digest: str
    log_directory: str
    job: str
    attempts: int

    @property
    def name(self) -> str:
        """What its proof is called in the directory of the log."""
        return f"{self.epoch}/{self.previous}/{self.digest}"


class Proved(msgspec.Struct, frozen=True):
    """What was found in a proof that is good."""

    proof_bytes: int
    inserted: int
    unchanged: int
    took_ms: int


class Queue:
    """The queue as one worker sees it. `worker` is its name."""

    def __init__(self, engine: Engine, worker: str) -> None:
        self._engine = engine
        self._worker = worker

    def claim(self) -> Claim | None:
        """The next epoch for this worker; None where none waits that may be tried now."""
        while True:
            now = now_ms()
            with Session(self._engine) as session:
                found = session.execute(
                    select(Epoch, Namespace)
                    .join(Namespace, Namespace.id == Epoch.namespace_id)
                    .where(_free(now), Namespace.log_directory.is_not(None))
                    .order_by(Epoch.epoch)
                    .limit(1)
                ).first()
                if found is None:
                    return None
                claim = _claim(found[0], found[1])
            if self._take(claim, now):
                return claim

    def keep(self, claim: Claim, progress: str) -> bool:
        """Says that the worker is still at it; whether the claim is still its own."""
        return self._write(claim, not_before_ms=now_ms() + CLAIM_MS, progress=progress)

    def verified(self, claim: Claim, proved: Proved) -> bool:
        """Notes that the proof is good; whether the claim was still its own."""
        return self._write(
            claim,
            proof="verified",
            worker=None,
            progress=None,
            check=None,
            problem=None,
            judged_ms=now_ms(),
            **msgspec.structs.asdict(proved),
        )

    def refused(self, claim: Claim, check: str, problem: str, proof_bytes: int | None) -> bool:
        """Notes that the proof is not good, and by which check; whether the claim was still its own."""
        return self._write(
            claim,
            proof="refused",
            worker=None,
            progress=None,
            check=check,
            problem=problem,
            proof_bytes=proof_bytes,
            judged_ms=now_ms(),
        )

    def put_off(self, claim: Claim, problem: str) -> float:
        """Has it wait, as nothing could be checked; for how many seconds."""
        wait_ms = min(_WAIT_MS << min(claim.attempts, 20), _LONGEST_WAIT_MS)
        self._write(
            claim,
            proof="waiting",
            worker=None,
            progress=None,
            check="unavailable",
            problem=problem,
            attempts=claim.attempts + 1,
            not_before_ms=now_ms() + wait_ms,
        )
        return wait_ms / 1000

    def give_back(self, claim: Claim) -> None:
        """Has it wait for the next worker: this one is to stop."""
        self._write(claim, proof="waiting", worker=None, progress=None, not_before_ms=0)

    def release(self, workers: str) -> int:
        """Frees what workers whose name begins so have claimed, as they are known to be gone; how many epochs."""
        with Session(self._engine) as session, session.begin():
            freed = session.execute(
                update(Epoch)
                .where(Epoch.proof == "claimed", Epoch.worker.startswith(workers, autoescape=True))
                .values(proof="waiting", not_before_ms=0, worker=None, progress=None)
            )
            assert isinstance(freed, CursorResult)  # noqa: S101  what an UPDATE gives
            return freed.rowcount

    def _take(self, claim: Claim, now: int) -> bool:
        with Session(self._engine) as session, session.begin():
            taken = session.execute(
                update(Epoch)
                .where(Epoch.namespace_id == claim.namespace_id, Epoch.epoch == claim.epoch, _free(now))
                .values(proof="claimed", job=claim.job, worker=self._worker, not_before_ms=now + CLAIM_MS)
            )
            assert isinstance(taken, CursorResult)  # noqa: S101  what an UPDATE gives
            return taken.rowcount == 1

    def _write(self, claim: Claim, **values: object) -> bool:
        with Session(self._engine) as session, session.begin():
            written = session.execute(
                update(Epoch)
                .where(
                    Epoch.namespace_id == claim.namespace_id,
                    Epoch.epoch == claim.epoch,
                    Epoch.proof == "claimed",
                    Epoch.job == claim.job,
                )
                .values(**values)
            )
            assert isinstance(written, CursorResult)  # noqa: S101  what an UPDATE gives
            return written.rowcount == 1


def _free(now: int) -> ColumnElement[bool]:
    """Whether an epoch may be claimed: it waits, or its worker has not been heard of."""
    return Epoch.proof.in_(("waiting", "claimed")) & (Epoch.not_before_ms <= now)


def _claim(epoch: Epoch, namespace: Namespace) -> Claim:
    assert epoch.previous is not None  # noqa: S101  only a root has none, and it does not wait
    assert namespace.log_directory is not None  # noqa: S101  asked for
    return Claim(
        epoch.namespace_id,
        namespace.name,
        epoch.epoch,
        epoch.previous,
        epoch.digest,
        namespace.log_directory,
        str(uuid.uuid4()),
        epoch.attempts,
    )

"""An epoch is asked for, and signed at once: what an auditor vouches for is that it signed one digest for it.

Whether the digest follows from the one before is for the proof to show, later. Two publishers at once: the namespace's
newest epoch is moved from what both saw, and the epoch is a key of its table, so that one of them wins.
"""

from __future__ import annotations

from sqlalchemy import CursorResult, Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bartizan.transparency.keys import Keys
from bartizan.transparency.models import Epoch, Namespace
from bartizan.transparency.namespaces import Namespaces, Stated, parse_root
from bartizan.transparency.refusal import DISABLED, Refused
from bartizan.transparency.statement import DIGEST, LARGEST_EPOCH

__all__ = ["Publishing"]


class Publishing:
    """Signs epochs."""

    def __init__(self, engine: Engine, namespaces: Namespaces, keys: Keys) -> None:
        self._engine = engine
        self._namespaces = namespaces
        self._keys = keys

    def publish(self, name: str, epoch: int, digest: str) -> Epoch:
        """Signs an epoch and stores it, durably, before anybody sees the signature. Raises Refused."""
        _check(epoch, digest)
        namespace = self._namespaces.find(name)
        if namespace.status == "Disabled":
            raise Refused(400, "disabled", DISABLED)
        previous = self._previous(namespace, epoch, digest)
        statement, public_key = self._keys.sign(namespace.ciphersuite, name, epoch, digest)
        proof = "root" if previous is None else "waiting" if namespace.log_directory is not None else "signed"
        row = Epoch(
            namespace_id=namespace.id,
            epoch=epoch,
            digest=digest,
            previous=previous,
            signed_ms=statement.timestamp,
            ciphersuite=statement.ciphersuite,
            signature=statement.signature,
            public_key=public_key,
            proof=proof,
            not_before_ms=0,
            attempts=0,
        )
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                self._move_on(session, namespace, epoch, digest)
                session.add(row)
        except IntegrityError:
            raise self._overtaken(name, epoch, digest) from None
        return row

    def _previous(self, namespace: Stated, epoch: int, digest: str) -> str | None:
        """The digest of the epoch before; None for the first. Raises Refused where the epoch cannot come next."""
        if namespace.last_epoch is None:
            if namespace.root is not None and (epoch, digest) != parse_root(namespace.root):
                raise Refused(409, "root", f"the first epoch of {namespace.name} must be its root, {namespace.root}")
            return None
        with Session(self._engine) as session:
            newest = session.get_one(Epoch, (namespace.id, namespace.last_epoch))
            same = select(Epoch.epoch).where(Epoch.namespace_id == namespace.id, Epoch.digest == digest)
            holder = session.scalar(same)
        if epoch <= namespace.last_epoch:
            raise Refused(
                409, "republished", f"the newest epoch is {namespace.last_epoch}; {epoch} cannot be published again"
            )
        if epoch != namespace.last_epoch + 1:
            raise Refused(409, "order", f"the newest epoch is {namespace.last_epoch}; the next is one more")
        if holder is not None:
            raise Refused(409, "digest", f"epoch {holder} has this digest already; each epoch has one of its own")
        return newest.digest

    def _move_on(self, session: Session, namespace: Stated, epoch: int, digest: str) -> None:
        """Makes the epoch the newest, if nobody else did or disabled the namespace since it was looked at.

        The first is the root from then on, where none was asked for: clients trust from there.
        """
        moved = session.execute(
            update(Namespace)
            .where(
                Namespace.id == namespace.id,
                Namespace.last_epoch == namespace.last_epoch
                if namespace.last_epoch is not None
                else Namespace.last_epoch.is_(None),
                Namespace.status != "Disabled",
            )
            .values(last_epoch=epoch, status="Online", root=namespace.root or f"{epoch}/{digest}")
        )
        assert isinstance(moved, CursorResult)  # noqa: S101  what an UPDATE gives
        if moved.rowcount != 1:
            raise self._overtaken_by_another(namespace.name, epoch)

    def _overtaken_by_another(self, name: str, epoch: int) -> Refused:
        if self._namespaces.find(name).status == "Disabled":
            return Refused(400, "disabled", DISABLED)
        return Refused(409, "republished", f"epoch {epoch} was published by another request at the same time")

    def _overtaken(self, name: str, epoch: int, digest: str) -> Refused:
        """What to say where the tables refused: of two at once, the other was first."""
        namespace = self._namespaces.find(name)
        try:
            self._previous(namespace, epoch, digest)
        except Refused as refused:
            return refused
        return self._overtaken_by_another(name, epoch)


def _check(epoch: int, digest: str) -> None:
    if not 0 <= epoch <= LARGEST_EPOCH:
        raise Refused(400, "malformed", f"epoch is {epoch}; it must be from 0 to {LARGEST_EPOCH}")
    if not DIGEST.fullmatch(digest):
        raise Refused(400, "malformed", "digest must be 32 bytes as 64 small hex digits")

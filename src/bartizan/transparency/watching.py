"""The monitor's look at auditors and logs: whether all of them tell everybody the same.

One look at an auditor asks for the newest epoch that was seen before once more, and for all that follow. What it signed
is kept, whatever it says later, as evidence. Findings are what no honest auditor and log can bring about:

* `split_view`: two digests of one epoch were signed, by two auditors or by one;
* `signature`: a statement that none of the auditor's keys has signed, or one before its time;
* `chain`: what an auditor says it has verified does not begin or end with what it signed;
* `not_served`: the log does not serve the proof between two digests that were signed;
* `gone`: an epoch that was signed is not there any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bartizan.transparency.database import now_ms
from bartizan.transparency.download import Unavailable
from bartizan.transparency.models import Finding, Seen
from bartizan.transparency.namespaces import parse_root
from bartizan.transparency.peer import Described, Peer, PublishedKey, is_served
from bartizan.transparency.refusal import Refused
from bartizan.transparency.statement import Statement

__all__ = ["KINDS", "Look", "Watch"]

KINDS: Final = ("split_view", "signature", "chain", "not_served", "gone")

_AT_ONCE: Final = 1000
"""Epochs of one namespace in one look; the rest comes in the next."""


class Look(msgspec.Struct):
    """What one look came to: how many statements were read, what was found that is new, and who could not be asked."""

    statements: int = 0
    found: list[Finding] = msgspec.field(default_factory=list)
    failures: list[str] = msgspec.field(default_factory=list)


class Watch:
    """Looks at auditors. `log_delay_ms` is how long after a signature its proof may be missing."""

    def __init__(
        self,
        engine: Engine,
        peers: Sequence[tuple[Peer, frozenset[str]]],
        namespaces: Sequence[str],
        *,
        log_delay_ms: int,
        log_ca_file: str | None,
    ) -> None:
        self._engine = engine
        self._peers = peers
        self._namespaces = namespaces
        self._log_delay_ms = log_delay_ms
        self._log_ca_file = log_ca_file

    def look(self) -> Look:
        """Looks at every auditor once."""
        look = Look()
        for peer, pinned in self._peers:
            try:
                keys = [key for key in peer.published_keys() if not pinned or key.public_key in pinned]
                for name in self._namespaces or peer.namespaces():
                    self._follow(look, peer, keys, name)
            except Unavailable as error:
                look.failures.append(str(error))
        return look

    def _follow(self, look: Look, peer: Peer, keys: Sequence[PublishedKey], name: str) -> None:
        described = peer.namespace(name)
        if described is None:
            return
        newest = self._newest(peer, name)
        first = newest if newest is not None else _root(described)
        if first is None:
            return
        for epoch in range(first, first + _AT_ONCE):
            found = peer.statement(name, epoch)
            if found is None:
                if epoch == newest:
                    self._find(look, "gone", name, epoch, peer, "the epoch was signed, and is not there any more")
                break
            look.statements += 1
            self._judge(look, peer, keys, described, epoch, *found)
        self._check_chain(look, peer, name)

    def _judge(
        self,
        look: Look,
        peer: Peer,
        keys: Sequence[PublishedKey],
        described: Described,
        epoch: int,
        statement: Statement,
        key_id: int | None,
    ) -> None:
        name = described.name
        if (statement.namespace, statement.epoch) != (name, epoch):
            message = f"the statement is about {statement.namespace} epoch {statement.epoch}"
            self._find(look, "signature", name, epoch, peer, message)
            return
        signer = _signer(statement, keys, key_id)
        if signer is None:
            message = "none of the auditor's keys signed the statement, or the one that did had not begun to sign"
            self._find(look, "signature", name, epoch, peer, message)
            return
        self._keep(peer, statement, signer)
        digests = self._digests(name, epoch)
        message = f"{len(digests)} digests of the epoch were signed: {', '.join(digests)}"
        # Whichever auditor is asked next shows the same split.
        if len(digests) > 1 and not self._is_known("split_view", name, epoch, message):
            self._find(look, "split_view", name, epoch, peer, message)
        self._check_log(look, peer, described, statement)

    def _check_log(self, look: Look, peer: Peer, described: Described, statement: Statement) -> None:
        """The log must serve the proof between two digests that one auditor signed, once it has had the time to."""
        name, epoch = described.name, statement.epoch
        before = self._digests(name, epoch - 1, peer)
        if described.log_directory is None or len(before) != 1 or now_ms() - statement.timestamp < self._log_delay_ms:
            return
        proof = f"{epoch}/{before[0]}/{statement.digest}"
        try:
            served = is_served(described.log_directory, proof, self._log_ca_file)
        except Unavailable as error:
            look.failures.append(str(error))
            return
        if not served:
            self._find(look, "not_served", name, epoch, peer, f"{described.log_directory} does not serve {proof}")

    def _check_chain(self, look: Look, peer: Peer, name: str) -> None:
        verified = peer.last_verified(name)
        if verified is None:
            return
        ends, begins = self._digests(name, verified.epoch, peer), self._digests(name, verified.epoch - 1, peer)
        if ends and verified.end_hash not in ends:
            message = f"it says that it verified the epoch to {verified.end_hash}, and signed {', '.join(ends)}"
            self._find(look, "chain", name, verified.epoch, peer, message)
        elif begins and verified.start_hash not in begins:
            message = (
                f"it says that it verified the epoch from {verified.start_hash}; the end before is {', '.join(begins)}"
            )
            self._find(look, "chain", name, verified.epoch, peer, message)

    def _newest(self, peer: Peer, name: str) -> int | None:
        with Session(self._engine) as session:
            return session.scalar(select(func.max(Seen.epoch)).where(Seen.auditor == peer.url, Seen.namespace == name))

    def _digests(self, name: str, epoch: int, peer: Peer | None = None) -> list[str]:
        """The digests that were signed of an epoch, by one auditor or by any."""
        seen = select(Seen.digest).where(Seen.namespace == name, Seen.epoch == epoch).distinct()
        if peer is not None:
            seen = seen.where(Seen.auditor == peer.url)
        with Session(self._engine) as session:
            return sorted(session.scalars(seen))

    def _keep(self, peer: Peer, statement: Statement, signer: str) -> None:
        row = Seen(
            namespace=statement.namespace,
            epoch=statement.epoch,
            auditor=peer.url,
            digest=statement.digest,
            ciphersuite=statement.ciphersuite,
            signed_ms=statement.timestamp,
            signature=statement.signature,
            public_key=signer,
            seen_ms=now_ms(),
        )
        # What was seen before is not written again: the first signature is the evidence.
        with Session(self._engine) as session, session.begin():
            if session.get(Seen, (row.namespace, row.epoch, row.auditor, row.digest)) is None:
                session.add(row)

    def _is_known(self, kind: str, name: str, epoch: int, message: str) -> bool:
        known = select(Finding.id).where(
            Finding.kind == kind, Finding.namespace == name, Finding.epoch == epoch, Finding.message == message
        )
        with Session(self._engine) as session:
            return session.scalar(known.limit(1)) is not None

    def _find(self, look: Look, kind: str, name: str, epoch: int, peer: Peer, message: str) -> None:
        """Notes a finding once, with all that was signed of the epoch as evidence."""
        with Session(self._engine) as session:
            seen = session.scalars(select(Seen).where(Seen.namespace == name, Seen.epoch == epoch)).all()
        finding = Finding(
            kind=kind,
            namespace=name,
            epoch=epoch,
            auditor=peer.url,
            message=message,
            evidence=msgspec.json.encode(list(map(_evidence, seen))).decode(),
            found_ms=now_ms(),
        )
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                session.add(finding)
        except IntegrityError:
            return
        look.found.append(finding)


def _signer(statement: Statement, keys: Sequence[PublishedKey], key_id: int | None) -> str | None:
    """The key that signed, if it had begun to."""
    for key in keys:
        meant = key_id is None or bytes.fromhex(key.public_key)[-1] == key_id
        if meant and statement.refusal(key.public_key) is None:
            return key.public_key if key.not_before <= statement.timestamp else None
    return None


def _root(described: Described) -> int | None:
    """The first epoch of a namespace; None where it has none yet, or says nonsense."""
    if described.root is None:
        return None
    try:
        return parse_root(described.root)[0]
    except Refused:
        return None


def _evidence(seen: Seen) -> dict[str, object]:
    return {
        "auditor": seen.auditor,
        "ciphersuite": seen.ciphersuite,
        "namespace": seen.namespace,
        "timestamp": seen.signed_ms,
        "epoch": seen.epoch,
        "digest": seen.digest,
        "signature": seen.signature,
        "public_key": seen.public_key,
    }


def findings(engine: Engine) -> Iterator[Finding]:
    """Everything that was ever found, the newest first."""
    with Session(engine) as session:
        yield from session.scalars(select(Finding).order_by(Finding.found_ms.desc(), Finding.id.desc()))

"""The versions of the policy, kept so that any of them can be compared with another and brought back.

A document is kept as its skeleton and its parts, and a part once, under its digest: a version that changes one zone of
a thousand adds one zone. What a part is, and how a document is put together, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec
from sqlalchemy import Engine, Insert, delete, select, text, update
from sqlalchemy.orm import Session

from bartizan.failure import Failure
from bartizan.store.models import AuditEntry, PolicyPart, PolicyVersion
from bartizan.store.packed import pack, unpack

__all__ = ["NewVersion", "Version", "Versions"]

_Item = TypeVar("_Item")

_GIVEN_UP = ""
"""The document of a version whose content is no longer kept."""

_LOOKUP = 500
"""Digests looked up by one statement: SQLite's oldest limit is 999 parameters."""


class NewVersion(msgspec.Struct, frozen=True):
    """A policy about to be stored. `parts` are bodies by digest; `document` names them; `source` is packed already."""

    author: str
    message: str
    source: bytes
    document: bytes
    acme: bytes
    parts: dict[str, bytes]


class Version(msgspec.Struct, frozen=True):
    """A stored version, without source and parts. `diagnostics` is JSON."""

    id: int
    created_at: datetime
    author: str
    message: str
    digest: str
    status: str
    diagnostics: str


class Versions:
    """The policy versions of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, new: NewVersion) -> Version:
        """Stores a version as `pending`, durably, with those of its parts that no earlier one has."""
        row = PolicyVersion(
            created_at=datetime.now(UTC),
            author=new.author,
            message=new.message,
            source=new.source,
            document=new.document.decode(),
            acme=new.acme.decode(),
            digest=sha256(new.document).hexdigest(),
            status="pending",
            diagnostics="[]",
        )
        with Session(self._engine) as session, session.begin():
            missing = self._missing(session, list(new.parts))
            if missing:
                bodies = [{"digest": each, "body": pack(new.parts[each])} for each in missing]
                session.execute(self._insert_new(PolicyPart), bodies)
            session.add(row)
            session.flush()
            return _version(row)

    def applied(self, version: int, diagnostics: bytes = b"[]") -> None:
        """Notes that a version is in effect, and that the one before no longer is."""
        with Session(self._engine) as session, session.begin():
            in_effect = (PolicyVersion.status == "applied") & (PolicyVersion.id != version)
            session.execute(update(PolicyVersion).where(in_effect).values(status="superseded"))
            change = update(PolicyVersion).where(PolicyVersion.id == version)
            session.execute(change.values(status="applied", diagnostics=diagnostics.decode()))

    def refused(self, version: int, diagnostics: bytes) -> None:
        """Notes that the edge refused a version, and why."""
        with Session(self._engine) as session, session.begin():
            change = update(PolicyVersion).where(PolicyVersion.id == version)
            session.execute(change.values(status="refused", diagnostics=diagnostics.decode()))

    def all(self) -> list[Version]:
        """Every version, newest first."""
        columns = [getattr(PolicyVersion, name) for name in Version.__struct_fields__]
        with Session(self._engine) as session:
            rows = session.execute(select(*columns).order_by(PolicyVersion.id.desc()))
            return [Version(*row) for row in rows]

    def in_effect(self) -> Version | None:
        """The version that was applied last."""
        columns = [getattr(PolicyVersion, name) for name in Version.__struct_fields__]
        with Session(self._engine) as session:
            newest = (
                select(*columns).where(PolicyVersion.status == "applied").order_by(PolicyVersion.id.desc()).limit(1)
            )
            row = session.execute(newest).first()
            return None if row is None else Version(*row)

    def is_pending(self, version: int) -> bool:
        """Whether there is such a version, and nothing has become of it yet."""
        with Session(self._engine) as session:
            return session.scalar(select(PolicyVersion.status).where(PolicyVersion.id == version)) == "pending"

    def with_content(self) -> list[int]:
        """The versions whose content has not been given up, newest first."""
        with Session(self._engine) as session:
            whole = select(PolicyVersion.id).where(PolicyVersion.document != _GIVEN_UP)
            return list(session.scalars(whole.order_by(PolicyVersion.id.desc())))

    def give_up(self, versions: list[int], named: set[str]) -> int:
        """Forgets source and document of versions, and the parts that are not `named`; how many those were."""
        with Session(self._engine) as session, session.begin():
            stored = list(session.scalars(select(PolicyPart.digest)))
            lost = [digest for digest in stored if digest not in named]
            empty = {"source": pack(b""), "document": _GIVEN_UP, "acme": "{}"}
            for ids in _slices(versions):
                session.execute(update(PolicyVersion).where(PolicyVersion.id.in_(ids)).values(empty))
            for some in _slices(lost):
                session.execute(delete(PolicyPart).where(PolicyPart.digest.in_(some)))
        if self._engine.dialect.name == "sqlite":
            # PostgreSQL gives the room back by itself.
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM"))
        return len(lost)

    def source(self, version: int) -> str:
        """The site file of a version. Raises Failure where there is no such version, or its content was given up."""
        return unpack(self._row(version).source).decode()

    def document(self, version: int) -> tuple[bytes, bytes]:
        """Skeleton and ACME zones of a version, as they were added. Raises Failure as `source` does."""
        row = self._row(version)
        return row.document.encode(), row.acme.encode()

    def parts(self, digests: list[str]) -> dict[str, bytes]:
        """The bodies of parts by digest. Raises Failure where the store has lost one."""
        found: dict[str, bytes] = {}
        with Session(self._engine) as session:
            for some in _slices(digests):
                rows = session.execute(select(PolicyPart.digest, PolicyPart.body).where(PolicyPart.digest.in_(some)))
                found.update((digest, unpack(body)) for digest, body in rows)
        lost = [digest for digest in digests if digest not in found]
        if lost:
            raise Failure(
                f"the store has lost {len(lost)} parts of this version; restore the store, or apply a site file"
            )
        return found

    def about_to(self, actor: str, action: str, target: str, details: dict[str, object]) -> None:
        """Writes down, durably, what somebody is about to do."""
        entry = AuditEntry(
            at=datetime.now(UTC),
            actor=actor,
            action=action,
            target=target,
            details=msgspec.json.encode(details, order="deterministic").decode(),
        )
        with Session(self._engine) as session, session.begin():
            session.add(entry)

    def _row(self, version: int) -> PolicyVersion:
        with Session(self._engine) as session:
            row = session.get(PolicyVersion, version)
        if row is None:
            raise Failure(f"there is no version {version}; `bartizan versions` lists those that there are")
        if row.document == _GIVEN_UP:
            raise Failure(f"the content of version {version} was given up (`bartizan prune`); go to a newer one")
        return row

    def _insert_new(self, table: type[PolicyPart]) -> Insert:
        """An insert that leaves rows alone which another command has just added; SQL itself has no word for it."""
        if self._engine.dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql

            return postgresql.insert(table).on_conflict_do_nothing()
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing()

    @staticmethod
    def _missing(session: Session, digests: list[str]) -> list[str]:
        known: set[str] = set()
        for some in _slices(digests):
            known.update(session.scalars(select(PolicyPart.digest).where(PolicyPart.digest.in_(some))))
        return [digest for digest in digests if digest not in known]


def _slices(whole: list[_Item]) -> Iterator[list[_Item]]:
    return (whole[start : start + _LOOKUP] for start in range(0, len(whole), _LOOKUP))


def _version(row: PolicyVersion) -> Version:
    return Version(*(getattr(row, name) for name in Version.__struct_fields__))

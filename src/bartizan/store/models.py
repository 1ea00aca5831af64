"""The tables of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Dialect, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = ["STATUSES", "AuditEntry", "Base", "PolicyPart", "PolicyVersion"]

STATUSES = ("pending", "applied", "refused", "superseded")
"""What can become of a version. `pending` is one whose apply was cut short: it never took effect."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is given back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Base(DeclarativeBase):
    """The tables known to the migrations."""


class PolicyVersion(Base):
    """One policy that somebody asked for.

    Rows are never deleted; only `status` and `diagnostics` change, and the content of old ones may be given up.
    """

    __tablename__ = "policy_versions"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'applied', 'refused', 'superseded')", name="known_status"),
        Index("policy_versions_by_status", "status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    source: Mapped[bytes] = mapped_column(LargeBinary)
    """The site file as it was, compressed (zlib)."""
    document: Mapped[str] = mapped_column(Text)
    """The canonical document, JSON, with each zone, list and ruleset replaced by the digest of its part.

    Empty where the content was given up.
    """
    acme: Mapped[str] = mapped_column(Text)
    """JSON: the zones whose certificates an ACME authority issues."""
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of `document`."""
    status: Mapped[str] = mapped_column(String(16))
    diagnostics: Mapped[str] = mapped_column(Text)
    """JSON: what the edge said about it."""


class PolicyPart(Base):
    """A part of policy documents, kept once for all versions that have it."""

    __tablename__ = "policy_parts"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the part."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, compressed (zlib)."""


class AuditEntry(Base):
    """Something that somebody is about to do. Written, and on disk, before it is done."""

    __tablename__ = "audit_log"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    target: Mapped[str] = mapped_column(String(200))
    details: Mapped[str] = mapped_column(Text)
    """JSON."""

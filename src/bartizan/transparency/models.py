"""The tables of the auditor and of the monitor.

Hashes, keys and signatures are small hexadecimal digits, moments milliseconds since 1970. Epochs are never changed but
for what their verification found, and never deleted: that is what the auditor is for.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["PROOF_STATES", "STATUSES", "Base", "Epoch", "Finding", "Namespace", "PublicKey", "Report", "Seen"]

STATUSES = ("Online", "Initialization", "Disabled")
"""The states of a namespace, as Plexi spells them."""

PROOF_STATES = ("root", "signed", "waiting", "claimed", "verified", "refused")
"""What is known of the proof of an epoch.

`root`: the first epoch, from which trust begins; there is none. `signed`: the log has no directory of proofs.
`waiting`: for a worker, or for the directory to serve it. `claimed`: a worker is at it. `verified` and `refused`: the
verdict.
"""


class Base(DeclarativeBase):
    """The tables known to the migrations."""


class Namespace(Base):
    """A log that is audited."""

    __tablename__ = "transparency_namespaces"
    __table_args__ = (
        CheckConstraint("status IN ('Online', 'Initialization', 'Disabled')", name="known_namespace_status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    status: Mapped[str] = mapped_column(String(16))
    root: Mapped[str | None] = mapped_column(String(90))
    """`epoch/digest` of the first epoch; None as long as the first that comes is taken."""
    ciphersuite: Mapped[int] = mapped_column(Integer)
    log_directory: Mapped[str | None] = mapped_column(Text)
    public: Mapped[bool] = mapped_column(Boolean)
    publishers: Mapped[str] = mapped_column(Text)
    """JSON: names in certificates of those who may publish."""
    log_keys: Mapped[str] = mapped_column(Text)
    """JSON: public keys with which the log signs what it shows to users."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    last_epoch: Mapped[int | None] = mapped_column(BigInteger)
    """The newest epoch that was signed. It is changed in the transaction that adds the epoch, from what it was."""


class Epoch(Base):
    """An epoch that was signed, and what is known of its proof."""

    __tablename__ = "transparency_epochs"
    __table_args__ = (
        UniqueConstraint("namespace_id", "digest", name="one_epoch_for_a_digest"),
        CheckConstraint(
            "proof IN ('root', 'signed', 'waiting', 'claimed', 'verified', 'refused')", name="known_proof_state"
        ),
        Index("transparency_epochs_by_proof", "namespace_id", "proof", "epoch"),
        Index("transparency_epochs_to_verify", "proof", "not_before_ms"),
    )

    namespace_id: Mapped[int] = mapped_column(ForeignKey("transparency_namespaces.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str | None] = mapped_column(String(64))
    """The digest of the epoch before; None for the first."""
    signed_ms: Mapped[int] = mapped_column(BigInteger)
    ciphersuite: Mapped[int] = mapped_column(Integer)
    signature: Mapped[str] = mapped_column(String(128))
    public_key: Mapped[str] = mapped_column(ForeignKey("transparency_keys.public_key"))
    proof: Mapped[str] = mapped_column(String(16))
    job: Mapped[str | None] = mapped_column(String(36))
    """The verification that came, or will come, to the verdict."""
    worker: Mapped[str | None] = mapped_column(String(100))
    """Who has claimed it."""
    not_before_ms: Mapped[int] = mapped_column(BigInteger)
    """`waiting`: not to be tried before. `claimed`: for others again from then on."""
    attempts: Mapped[int] = mapped_column(Integer)
    progress: Mapped[str | None] = mapped_column(String(100))
    """What its worker is at, for people."""
    check: Mapped[str | None] = mapped_column("failed_check", String(40))
    """The check that refused, by the names of the crate, or `unavailable` where nothing could be checked."""
    problem: Mapped[str | None] = mapped_column(Text)
    proof_bytes: Mapped[int | None] = mapped_column(BigInteger)
    inserted: Mapped[int | None] = mapped_column(BigInteger)
    unchanged: Mapped[int | None] = mapped_column(BigInteger)
    judged_ms: Mapped[int | None] = mapped_column(BigInteger)
    took_ms: Mapped[int | None] = mapped_column(BigInteger)


class PublicKey(Base):
    """A key of the auditor. Its private half is in a file of the state directory, never here."""

    __tablename__ = "transparency_keys"

    public_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[int] = mapped_column(Integer, unique=True)
    """Its last byte, by which clients find it: two keys with the same one could not be told apart."""
    not_before_ms: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Report(Base):
    """What somebody saw signed: kept only where the signature is good."""

    __tablename__ = "transparency_reports"
    __table_args__ = (
        UniqueConstraint("namespace_id", "epoch", "digest", "signer", name="one_report_of_what_was_seen"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    namespace_id: Mapped[int] = mapped_column(ForeignKey("transparency_namespaces.id"))
    epoch: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    signer: Mapped[str] = mapped_column(String(64))
    """The public key that signed it."""
    ciphersuite: Mapped[int] = mapped_column(Integer)
    signed_ms: Mapped[int] = mapped_column(BigInteger)
    signature: Mapped[str] = mapped_column(String(128))
    received_ms: Mapped[int] = mapped_column(BigInteger)
    conflict: Mapped[bool] = mapped_column(Boolean)
    """Whether this auditor has signed another digest for the epoch: a split view."""


class Seen(Base):
    """A statement that the monitor was given by an auditor: evidence, whatever the auditor says later."""

    __tablename__ = "transparency_seen"

    namespace: Mapped[str] = mapped_column(String(255), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    auditor: Mapped[str] = mapped_column(String(500), primary_key=True)
    """Its URL."""
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    ciphersuite: Mapped[int] = mapped_column(Integer)
    signed_ms: Mapped[int] = mapped_column(BigInteger)
    signature: Mapped[str] = mapped_column(String(128))
    public_key: Mapped[str] = mapped_column(String(64))
    seen_ms: Mapped[int] = mapped_column(BigInteger)


class Finding(Base):
    """Something that no honest auditor and log can bring about."""

    __tablename__ = "transparency_findings"
    __table_args__ = (
        UniqueConstraint("kind", "namespace", "epoch", "auditor", name="one_finding_of_a_kind"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    namespace: Mapped[str] = mapped_column(String(255))
    epoch: Mapped[int] = mapped_column(BigInteger)
    auditor: Mapped[str] = mapped_column(String(500))
    message: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(Text)
    """JSON: every statement about the epoch that was seen, with its signature."""
    found_ms: Mapped[int] = mapped_column(BigInteger)
    told_ms: Mapped[int | None] = mapped_column(BigInteger)
    """When the webhook took it."""

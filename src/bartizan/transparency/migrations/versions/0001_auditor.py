"""Namespaces, epochs, keys and reports of the auditor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transparency_keys",
        sa.Column("public_key", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.Integer, nullable=False, unique=True),
        sa.Column("not_before_ms", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "transparency_namespaces",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("root", sa.String(90)),
        sa.Column("ciphersuite", sa.Integer, nullable=False),
        sa.Column("log_directory", sa.Text),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("publishers", sa.Text, nullable=False),
        sa.Column("log_keys", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("last_epoch", sa.BigInteger),
        sa.CheckConstraint("status IN ('Online', 'Initialization', 'Disabled')", name="known_namespace_status"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "transparency_epochs",
        sa.Column("namespace_id", sa.Integer, sa.ForeignKey("transparency_namespaces.id"), primary_key=True),
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64)),
        sa.Column("signed_ms", sa.BigInteger, nullable=False),
        sa.Column("ciphersuite", sa.Integer, nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("public_key", sa.String(64), sa.ForeignKey("transparency_keys.public_key"), nullable=False),
        sa.Column("proof", sa.String(16), nullable=False),
        sa.Column("job", sa.String(36)),
        sa.Column("worker", sa.String(100)),
        sa.Column("not_before_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("progress", sa.String(100)),
        sa.Column("failed_check", sa.String(40)),
        sa.Column("problem", sa.Text),
        sa.Column("proof_bytes", sa.BigInteger),
        sa.Column("inserted", sa.BigInteger),
        sa.Column("unchanged", sa.BigInteger),
        sa.Column("judged_ms", sa.BigInteger),
        sa.Column("took_ms", sa.BigInteger),
        sa.UniqueConstraint("namespace_id", "digest", name="one_epoch_for_a_digest"),
        sa.CheckConstraint(
            "proof IN ('root', 'signed', 'waiting', 'claimed', 'verified', 'refused')", name="known_proof_state"
        ),
    )
    op.create_index("transparency_epochs_by_proof", "transparency_epochs", ["namespace_id", "proof", "epoch"])
    op.create_index("transparency_epochs_to_verify", "transparency_epochs", ["proof", "not_before_ms"])
    op.create_table(
        "transparency_reports",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("namespace_id", sa.Integer, sa.ForeignKey("transparency_namespaces.id"), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("signer", sa.String(64), nullable=False),
        sa.Column("ciphersuite", sa.Integer, nullable=False),
        sa.Column("signed_ms", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("conflict", sa.Boolean, nullable=False),
        sa.UniqueConstraint("namespace_id", "epoch", "digest", "signer", name="one_report_of_what_was_seen"),
    )


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only; restore a copy of the store to go back")

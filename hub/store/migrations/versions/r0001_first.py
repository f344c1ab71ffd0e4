"""The first tables: schemas and subjects, leases, connector states, tokens, consumer groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _registry()
    _operation()
    _groups()


def _registry() -> None:
    op.create_table(
        "schemas",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("refs", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subjects",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("level", sa.String(32)),
    )
    op.create_table(
        "subject_versions",
        sa.Column("subject", sa.Text, sa.ForeignKey("subjects.subject"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_id", sa.Integer, sa.ForeignKey("schemas.id"), nullable=False, index=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )


def _operation() -> None:
    op.create_table(
        "leases",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "connector_states",
        sa.Column("connector", sa.Text, primary_key=True),
        sa.Column("desired", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(32), primary_key=True),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )


def _groups() -> None:
    op.create_table(
        "group_offsets",
        *_group_key(),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("committed", sa.BigInteger),
        sa.Column("committed_at", sa.BigInteger),
        sa.Column("selection", sa.String(64)),
        sa.Column("delivered", sa.BigInteger),
        sa.Column("delivered_selection", sa.String(64)),
    )
    op.create_table(
        "group_leases",
        *_group_key(),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )


def _group_key() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in ("agency", "grant_name", "group_name", "topic")]

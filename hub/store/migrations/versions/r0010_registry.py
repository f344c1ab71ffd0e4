"""The whole registry: modes, metadata, references, ids from a counter, what other registries said."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"

Rows = list[dict[str, Any]]


def upgrade() -> None:
    """Make the three old tables anew with what they held, and add the others."""
    held = {name: _rows(f"SELECT * FROM {name}") for name in ("schemas", "subjects", "subject_versions")}  # noqa: S608
    given = _last_id(held["schemas"])
    for name in ("subject_versions", "subjects", "schemas"):
        op.drop_table(name)
    _schemas()
    _subjects()
    _remote()
    references = [
        {"schema_id": schema["id"], "subject": subject, "version": version}
        for schema in held["schemas"]
        for subject, version in {(s, v) for _name, s, v in json.loads(schema["refs"])}
    ]
    _fill("schemas", [{**row, "twin": 0} for row in held["schemas"]])
    _fill("schema_references", references)
    _fill("subjects", held["subjects"])
    _fill("subject_versions", [{**row, "deleted": bool(row["deleted"])} for row in held["subject_versions"]])
    _fill("counters", [{"name": "schema_id", "value": given}, {"name": "removals", "value": 0}])


def _rows(query: str) -> Rows:
    return [dict(row) for row in op.get_bind().execute(sa.text(query)).mappings()]


def _last_id(schemas: Rows) -> int:
    """The last id that was given, also when its schema is gone."""
    highest = max((row["id"] for row in schemas), default=0)
    if op.get_bind().dialect.name == "sqlite":
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'schemas'"
    else:
        query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS seq FROM schemas_id_seq"
    return int(max([highest, *(row["seq"] for row in _rows(query))]))


def _fill(table: str, rows: Rows) -> None:
    if rows:
        columns = ", ".join(rows[0])
        values = ", ".join(f":{name}" for name in rows[0])
        op.get_bind().execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), rows)  # noqa: S608


def _schemas() -> None:
    op.create_table(
        "schemas",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("twin", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("refs", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text),
        sa.Column("rule_set", sa.Text),
        sa.UniqueConstraint("fingerprint", "twin"),
    )
    op.create_table(
        "schema_references",
        sa.Column("schema_id", sa.Integer, sa.ForeignKey("schemas.id"), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Index("ix_schema_references_subject", "subject", "version"),
    )


def _subjects() -> None:
    op.create_table(
        "subjects",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("level", sa.String(32)),
        sa.Column("mode", sa.String(32)),
        sa.Column("normalise", sa.Boolean),
    )
    op.create_table(
        "subject_versions",
        sa.Column("subject", sa.Text, sa.ForeignKey("subjects.subject"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_id", sa.Integer, sa.ForeignKey("schemas.id"), nullable=False, index=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def _remote() -> None:
    op.create_table(
        "remote_schemas",
        sa.Column("registry", sa.String(64), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("refs", sa.Text, nullable=False),
    )
    op.create_table(
        "remote_versions",
        sa.Column("registry", sa.String(64), primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_id", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )

"""Why the source of a run under way does not answer, so that every node can say so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column. Nodes of the version before leave it as it is, also when they take a task over."""
    op.add_column("tasks", sa.Column("away", sa.Text, nullable=False, server_default=sa.text("''")))

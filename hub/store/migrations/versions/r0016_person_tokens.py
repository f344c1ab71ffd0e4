"""Tokens that belong to a person, so that what is done through the API has somebody's name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; null for all tokens that there are. A person's have no agency, so nodes of the version before take
    them for nobody's."""
    op.add_column("tokens", sa.Column("person", sa.String(64)))

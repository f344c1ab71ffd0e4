"""Real databases, as the sources have them."""

from tests.sources.conftest import mortal, new_database, pg

__all__ = ["mortal", "new_database", "pg"]

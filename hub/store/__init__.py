"""Everything relational: registry, leases, states, tokens, cursors. SQLite or PostgreSQL through the same code."""

from hub.store.store import Store

__all__ = ["Store"]

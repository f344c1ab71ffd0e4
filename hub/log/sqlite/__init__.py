"""The log in one SQLite file: for a laptop, an agency's own machine, and every test."""

from __future__ import annotations

from hub.log.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]

"""Stores on both databases."""

from tests.support.stores import empty_url, now, sqlite_store, sqlite_url, store, url

__all__ = ["empty_url", "now", "sqlite_store", "sqlite_url", "store", "url"]

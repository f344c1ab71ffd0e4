"""From settings to the store: which database, and with which secrets. Light: the registry alone starts with it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from hub.errors import ConfigurationInvalid
from hub.secrets import Secrets
from hub.settings import Settings
from hub.store import Store
from hub.urls import filled


def is_postgres(settings: Settings) -> bool:
    """Is the store one that several machines may share?"""
    return store_url(settings, Path()).get_backend_name() == "postgresql"


def open_store(settings: Settings, directory: Path) -> Store:
    """The store that `store.url` names. Raises ConfigurationInvalid, DirectoryTooNew, Retry."""
    store = Store.open(store_url(settings, directory), connections=settings.store.connections)
    if not settings.store.url:
        store.leases.abandon()  # the directory is locked: no other process uses this file
    return store


def store_url(settings: Settings, directory: Path) -> sa.URL:
    """With its secrets. A password that is a reference may have any characters."""
    text, secrets = settings.store.url, Secrets(settings.root)
    if not text:
        return sa.URL.create("sqlite", database=str(directory / "store.db"))
    try:
        return filled(text, secrets.fill)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigurationInvalid(
            "not a database URL",
            where="store.url",
            remedy="postgresql+psycopg://user:${secret:NAME}@host:5432/database",
        ) from error

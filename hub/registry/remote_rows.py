"""What another registry said, kept in the hub's own store: it outlives outages of that registry and restarts of the hub."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Row

from hub.registry.identity import dump_references, load_references
from hub.registry.model import Registered, SchemaVersion, StoredSchema
from hub.store.engine import insert, reading, writing
from hub.store.tables import remote_schemas, remote_versions

SCHEMAS, VERSIONS = remote_schemas.c, remote_versions.c


class Remembered:
    """Schemas and versions of one registry, by its address."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._registry = hashlib.sha256(url.encode()).hexdigest()

    def schema(self, schema_id: int) -> StoredSchema | None:
        """By id."""
        query = sa.select(remote_schemas).where(SCHEMAS.registry == self._registry, SCHEMAS.id == schema_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return StoredSchema(id=row.id, text=row.text, references=load_references(row.refs))

    def version(self, subject: str, version: int | None = None) -> SchemaVersion | None:
        """A version, or without number the highest that was ever seen."""
        query = self._of(subject).order_by(VERSIONS.version.desc()).limit(1)
        if version is not None:
            query = query.where(VERSIONS.version == version)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else self._version(row)

    def registered(self, subject: str, fingerprint: str) -> Registered | None:
        """What a registration of this schema gave."""
        query = self._of(subject).where(VERSIONS.fingerprint == fingerprint).order_by(VERSIONS.version.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Registered(row.schema_id, row.version)

    def keep(self, stored: StoredSchema) -> None:
        """A schema under its id; the first that was seen stays."""
        refs = dump_references(stored.references)
        new = insert(self._engine, remote_schemas).values(
            registry=self._registry, id=stored.id, text=stored.text, refs=refs
        )
        with writing(self._engine) as connection:
            connection.execute(new.on_conflict_do_nothing())

    def keep_version(self, subject: str, registered: Registered, fingerprint: str) -> None:
        """Which schema a version of a subject is."""
        values = {"schema_id": registered.id, "fingerprint": fingerprint}
        new = insert(self._engine, remote_versions).values(
            registry=self._registry, subject=subject, version=registered.version, **values
        )
        with writing(self._engine) as connection:
            connection.execute(new.on_conflict_do_update(index_elements=list(remote_versions.primary_key), set_=values))

    def _of(self, subject: str) -> sa.Select[Any]:
        return sa.select(remote_versions).where(VERSIONS.registry == self._registry, VERSIONS.subject == subject)

    def _version(self, row: Row[Any]) -> SchemaVersion | None:
        schema = self.schema(row.schema_id)
        return None if schema is None else SchemaVersion(subject=row.subject, version=row.version, schema=schema)

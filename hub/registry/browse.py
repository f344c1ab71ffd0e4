"""What there is: subjects, versions, ids, and who refers to what (registry-api §4)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hub.registry import rows
from hub.registry.errors import SchemaNotFound, SubjectNotFound, VersionNotFound
from hub.registry.model import EVERYTHING, LATEST, Page, SchemaVersion, storable
from hub.registry.rows import JOINED, LIVE, VERSIONS
from hub.store.engine import reading
from hub.store.tables import subject_versions

ALL_SUBJECTS = ":*:"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Which versions count: live ones; with `deleted`, softly deleted ones too; with `deleted_only`, those alone."""

    deleted: bool = False
    deleted_only: bool = False

    def has(self, gone: bool) -> bool:
        """Does a version count?"""
        return gone if self.deleted_only else self.deleted or not gone


LIVE_ONLY = Shown()


class Browse:
    """Lists of a store. Nothing here changes anything."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def subjects(self, prefix: str = "", shown: Shown = LIVE_ONLY, page: Page = EVERYTHING) -> list[str]:
        """Sorted. `deleted_only`: those without a live version."""
        query = sa.select(VERSIONS.subject, sa.func.min(sa.cast(VERSIONS.deleted, sa.Integer)).label("gone"))
        query = _prefixed(query, prefix).group_by(VERSIONS.subject)
        if prefix and not storable(prefix):
            return []
        with reading(self._engine) as connection:
            found = [row.subject for row in connection.execute(query) if shown.has(bool(row.gone))]
        return page.of(sorted(found))

    def versions(self, subject: str, shown: Shown = LIVE_ONLY, page: Page = EVERYTHING) -> list[int]:
        """Ascending. Raises SubjectNotFound when none counts."""
        found = [number for number, gone in self._numbers(subject).items() if shown.has(gone)]
        if not found:
            raise SubjectNotFound(subject)
        return page.of(found)

    def version(self, subject: str, version: int, *, deleted: bool = False) -> SchemaVersion:
        """One version; LATEST is the highest live one. Raises SubjectNotFound, VersionNotFound."""
        with reading(self._engine) as connection:
            if version == LATEST:
                latest = rows.live_versions(connection, subject, newest=True) if storable(subject) else []
                found = latest[0] if latest else None
            else:
                found = rows.any_version(connection, subject, version) if storable(subject) else None
        if found is not None and (deleted or not found.deleted):
            return found
        self.versions(subject, Shown(deleted=deleted))
        raise VersionNotFound("latest" if version == LATEST else version)

    def newest(self, subject: str) -> SchemaVersion | None:
        """The highest live version, if there is one."""
        with reading(self._engine) as connection:
            found = rows.live_versions(connection, subject, newest=True) if storable(subject) else []
        return found[0] if found else None

    def schemas(
        self, prefix: str = "", shown: Shown = LIVE_ONLY, page: Page = EVERYTHING, *, latest: bool = False
    ) -> list[SchemaVersion]:
        """By subject, then version; `latest`: the highest of each subject."""
        if prefix and not storable(prefix):
            return []
        query = _prefixed(JOINED, prefix)
        if not shown.deleted:
            query = query.where(LIVE)
        if latest:
            other = subject_versions.alias()
            higher = sa.select(sa.literal(1)).where(
                other.c.subject == VERSIONS.subject, other.c.version > VERSIONS.version
            )
            query = query.where(~(higher if shown.deleted else higher.where(other.c.deleted.is_(False))).exists())
        with reading(self._engine) as connection:
            query = query.order_by(rows.in_order(VERSIONS.subject, connection), VERSIONS.version).offset(page.offset)
            if page.limit > 0:
                query = query.limit(page.limit)
            return [rows.version_of(row) for row in connection.execute(query)]

    def places(self, schema_id: int, *, deleted: bool = False) -> list[tuple[str, int]]:
        """Subjects and versions that have a schema, sorted. Raises SchemaNotFound when none ever had."""
        query = sa.select(VERSIONS.subject, VERSIONS.version, VERSIONS.deleted).where(VERSIONS.schema_id == schema_id)
        with reading(self._engine) as connection:
            found = [tuple(row) for row in connection.execute(query)]
        if not found:
            raise SchemaNotFound(schema_id)
        return sorted((subject, version) for subject, version, gone in found if deleted or not gone)

    def referring(self, subject: str, version: int, *, deleted: bool = False) -> list[int]:
        """Ids of schemas that refer to a version, softly deleted or not. Raises SubjectNotFound, VersionNotFound."""
        number = self.version(subject, version, deleted=True).version
        with reading(self._engine) as connection:
            return rows.referring_ids(connection, subject, number, deleted=deleted)

    def _numbers(self, subject: str) -> dict[int, bool]:
        if not storable(subject):
            return {}
        with reading(self._engine) as connection:
            return rows.numbers(connection, subject)


def _prefixed(query: sa.Select[tuple[object, ...]], prefix: str) -> sa.Select[tuple[object, ...]]:
    if not prefix or prefix == ALL_SUBJECTS:
        return query
    # not LIKE, which folds case in SQLite
    return query.where(sa.func.substr(VERSIONS.subject, 1, len(prefix)) == prefix)

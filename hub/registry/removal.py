"""Taking versions away: softly first, then for good (registry-api §4). Every step is one transaction."""

from __future__ import annotations

from sqlalchemy.engine import Connection, Engine

from hub.registry import rows
from hub.registry.errors import (
    ReferenceExists,
    SubjectNotFound,
    SubjectNotSoftDeleted,
    SubjectSoftDeleted,
    VersionNotFound,
    VersionNotSoftDeleted,
    VersionSoftDeleted,
)
from hub.registry.model import LATEST, storable
from hub.registry.settings import effective, read_only
from hub.store.engine import writing


class Removal:
    """Deletes versions and subjects. An id keeps its meaning for ever, also when nothing has it any more (G10)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.done = 0  # how often this process deleted for good: what was kept of before may be wrong

    def version(self, subject: str, version: int, *, permanent: bool = False) -> int:
        """Delete one version and return its number. Raises what is refused: not there, softly deleted already, or not
        yet, read-only, or referred to by another schema."""
        with writing(self._engine) as connection:
            known = self._locked(connection, subject)
            number = max((n for n, gone in known.items() if not gone), default=0) if version == LATEST else version
            if number not in known:
                raise VersionNotFound("latest" if version == LATEST else version)
            if permanent and not known[number]:
                raise VersionNotSoftDeleted(subject, number)
            if not permanent and known[number]:
                raise VersionSoftDeleted(subject, number)
            self._may_change(connection, subject)
            if rows.referring_ids(connection, subject, number, deleted=permanent):
                raise ReferenceExists(subject, number)
            if permanent:
                rows.remove(connection, subject, [number])
            else:
                rows.mark_deleted(connection, subject, [number])
        self.done += permanent
        return number

    def subject(self, subject: str, *, permanent: bool = False) -> list[int]:
        """Delete all versions that are live, or with `permanent` all there are; returns their numbers."""
        with writing(self._engine) as connection:
            known = self._locked(connection, subject)
            live = [n for n, gone in known.items() if not gone]
            if permanent and live:
                raise SubjectNotSoftDeleted(subject)
            if not permanent and not live:
                raise SubjectSoftDeleted(subject)
            self._may_change(connection, subject)
            those = list(known) if permanent else live
            held = set(rows.referred_versions(connection, subject, deleted=permanent)) & set(those)
            if held:
                raise ReferenceExists(subject, min(held))
            if permanent:
                rows.remove(connection, subject, those)
            else:
                rows.mark_deleted(connection, subject, those)
        self.done += permanent
        return those

    def _locked(self, connection: Connection, subject: str) -> dict[int, bool]:
        """Version → softly deleted?, held against other changes. Raises SubjectNotFound."""
        known = rows.numbers(connection, subject) if storable(subject) else {}
        if not known:
            raise SubjectNotFound(subject)
        rows.lock(connection, self._engine, subject)
        return rows.numbers(connection, subject)

    def _may_change(self, connection: Connection, subject: str) -> None:
        if effective(connection, subject).read_only:
            raise read_only(subject)

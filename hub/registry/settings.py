"""Levels, modes and normalisation, of subjects and everywhere (registry-api §5 and §6)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from hub.registry import rows
from hub.registry.errors import LevelNotSet, ModeNotSet, NotPermitted, SubjectNotFound
from hub.registry.model import DEFAULT_LEVEL, DEFAULT_MODE, Effective, Level, Mode, Own, check_subject, storable
from hub.store.engine import insert, reading, writing
from hub.store.tables import GLOBAL_SUBJECT, subjects


class Settings:
    """What is set for a subject, or globally where the subject is None. A change counts from the next request on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def effective(self, subject: str | None) -> Effective:
        """In force: the subject's own, else the global ones, else the defaults."""
        with reading(self._engine) as connection:
            return effective(connection, subject)

    def own_level(self, subject: str) -> Own:
        """Level and normalisation of the subject itself. Raises LevelNotSet."""
        own = self.effective(subject).own
        if own.level is None and own.normalise is None:
            raise LevelNotSet(subject)
        return own

    def own_mode(self, subject: str) -> Mode:
        """The subject's own. Raises ModeNotSet."""
        mode = self.effective(subject).own.mode
        if mode is None:
            raise ModeNotSet(subject)
        return mode

    def set_level(self, subject: str | None, level: Level | None, normalise: bool | None = None) -> None:
        """None leaves the one there is. Does not make a subject exist. Raises SubjectInvalid, NotPermitted."""
        changes = {"level": level, "normalise": normalise}
        if subject is not None:
            check_subject(subject)
        with writing(self._engine) as connection:
            self._may_configure(connection, subject)
            self._put(connection, subject, {k: v for k, v in changes.items() if v is not None})

    def clear_level(self, subject: str | None) -> Level:
        """Back to the global level, or to BACKWARD; returns the old one. Raises SubjectNotFound when there was none."""
        with writing(self._engine) as connection:
            self._may_configure(connection, subject)
            found = effective(connection, subject)
            if subject is not None and found.own.level is None and found.own.normalise is None:
                raise SubjectNotFound(subject)
            self._put(connection, subject, {"level": None, "normalise": None})
        return (found.own if subject is not None else found.everywhere).level or DEFAULT_LEVEL

    def set_mode(self, subject: str | None, mode: Mode, *, force: bool = False) -> None:
        """Raises NotPermitted: what has live versions does not become an import without `force`."""
        with writing(self._engine) as connection:
            if subject is not None:
                check_subject(subject)
            switches = mode == "IMPORT" and effective(connection, subject).mode != "IMPORT"
            if switches and not force and rows.any_live(connection, subject):
                where = "the registry" if subject is None else f"subject {subject}"
                raise NotPermitted(f"Cannot import since found existing subjects: {where} has live versions")
            self._put(connection, subject, {"mode": mode})

    def clear_mode(self, subject: str | None) -> Mode:
        """Back to the global mode, or to READWRITE; returns the old one. Raises SubjectNotFound when there was none."""
        with writing(self._engine) as connection:
            found = effective(connection, subject)
            if subject is not None and found.own.mode is None:
                raise SubjectNotFound(subject)
            self._put(connection, subject, {"mode": None})
        return (found.own if subject is not None else found.everywhere).mode or DEFAULT_MODE

    def _may_configure(self, connection: Connection, subject: str | None) -> None:
        if effective(connection, subject).read_only:
            raise read_only(subject)

    def _put(self, connection: Connection, subject: str | None, values: dict[str, Any]) -> None:
        if values:
            new = insert(self._engine, subjects).values(subject=subject or GLOBAL_SUBJECT, **values)
            connection.execute(new.on_conflict_do_update(index_elements=[subjects.c.subject], set_=values))


def effective(connection: Connection, subject: str | None) -> Effective:
    """What is in force, as this transaction sees it."""
    name = GLOBAL_SUBJECT if subject is None or not storable(subject) else subject
    query = sa.select(subjects).where(subjects.c.subject.in_((name, GLOBAL_SUBJECT)))
    found = {
        row.subject: Own(level=row.level, mode=row.mode, normalise=row.normalise) for row in connection.execute(query)
    }
    own = Own() if name == GLOBAL_SUBJECT else found.get(name, Own())
    return Effective(own=own, everywhere=found.get(GLOBAL_SUBJECT, Own()))


def read_only(subject: str | None) -> NotPermitted:
    """The refusal of a change."""
    if subject is None:
        return NotPermitted("The registry in context . is in read-only mode")
    return NotPermitted(f"Subject {subject} in context . is in read-only mode")

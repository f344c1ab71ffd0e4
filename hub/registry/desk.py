"""Schemas for people: what changes between two versions, whether a new one would be taken, who uses a subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hub.avro.differences import Change, differences
from hub.avro.types import Schema
from hub.registry.errors import Break
from hub.registry.model import LATEST, Draft, Level
from hub.registry.schemas import Schemas

BREAKING = ("REMOVED", "RENAMED")  # a grant that names the field finds it no more, whatever Avro says


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A grant on the subject's topic, and the groups that read under it."""

    agency: str
    grant: str
    fields: tuple[str, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Uses:
    """Who has to do with a subject."""

    topic: str | None = None
    connectors: tuple[str, ...] = ()  # that publish with it
    subscriptions: tuple[Subscription, ...] = ()


Touched = Callable[[str, Sequence[str]], tuple[Subscription, ...]]
"""Subscriptions of a subject that read one of some field paths."""


@dataclass(frozen=True, kw_only=True)
class Users:
    """What only the hub around a registry knows; a registry alone knows nobody."""

    of: Callable[[str], Uses] = lambda _subject: Uses()
    touched: Touched = lambda _subject, _paths: ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """From one version to another, or to a schema that is not registered (`new` None)."""

    subject: str
    old: int
    new: int | None
    changes: tuple[Change, ...]
    breaks: tuple[Subscription, ...]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What would happen to a schema that is registered now."""

    subject: str
    level: Level
    reasons: tuple[Break, ...]  # empty: it would be taken
    difference: Difference | None  # from the latest version; None: there is none
    breaks: tuple[Subscription, ...]


class Desk:
    """Answers about a registry's subjects. Nothing here registers."""

    def __init__(self, registry: Schemas, users: Users) -> None:
        self._registry, self._users = registry, users

    def diff(self, subject: str, old: int | None, new: int = LATEST) -> Difference:
        """Between two versions; without the old one, from the live one before the new. Raises NotFound."""
        after = self._registry.any_version(subject, new)
        if old is None:
            earlier = [v for v in self._registry.versions(subject) if v < after.version]
            old = earlier[-1] if earlier else after.version
        before = self._registry.any_version(subject, old)
        trees = (self._registry.parsed(before.schema.id), self._registry.parsed(after.schema.id))
        return self._difference(subject, before.version, after.version, trees)

    def check(self, subject: str, draft: Draft) -> Judgement:
        """Would it be taken, what would change, and whom would it break? Raises SchemaInvalid."""
        reasons = self._registry.compare(subject, draft)
        level, new = self._registry.level(subject), self._registry.tree(draft)
        difference = None
        latest = self._registry.newest(subject)
        if latest is not None:
            trees = (self._registry.parsed(latest.schema.id), new)
            difference = self._difference(subject, latest.version, None, trees)
        broken = self._users.touched(subject, [b.reason.path for b in reasons]) if reasons else ()
        if difference is not None:
            broken = tuple(dict.fromkeys((*broken, *difference.breaks)))
        return Judgement(subject=subject, level=level, reasons=tuple(reasons), difference=difference, breaks=broken)

    def uses(self, subject: str) -> Uses:
        """Who publishes and who reads with it."""
        return self._users.of(subject)

    def _difference(self, subject: str, old: int, new: int | None, trees: tuple[Schema, Schema]) -> Difference:
        changes = tuple(differences(*trees))
        paths = [c.was or c.path for c in changes if c.kind in BREAKING or not c.new_reads_old]
        breaks = self._users.touched(subject, paths) if paths else ()
        return Difference(subject=subject, old=old, new=new, changes=changes, breaks=breaks)

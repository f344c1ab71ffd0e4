"""Values of the registry (registry-api §2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from hub.registry.errors import LevelInvalid, ModeInvalid, SubjectInvalid, VersionInvalid

Level = Literal[
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]
Mode = Literal["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"]
DEFAULT_LEVEL: Level = "BACKWARD"
DEFAULT_MODE: Mode = "READWRITE"
MAX_SUBJECT = 1_000  # characters
REFUSED_SUBJECTS = ("__GLOBAL", "__EMPTY")
MAX_INT = 2**31 - 1  # of ids and versions
LATEST = -1
NUMBER = re.compile(r"-?[0-9]{1,19}")


class Registered(NamedTuple):
    """What a registration gives: the schema's id, the same in every subject, and the version in this one."""

    id: int
    version: int


class Submitted(NamedTuple):
    """The same, and whether anything changed."""

    id: int
    version: int
    new: bool


@dataclass(frozen=True, kw_only=True, order=True)
class Reference:
    """Named types of another subject's version, known to a schema under `name`."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A schema as somebody sends it."""

    text: str
    references: tuple[Reference, ...] = ()
    metadata: Mapping[str, Any] | None = None  # kept and returned, part of the identity
    rule_set: Mapping[str, Any] | None = None
    normalise: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Numbers that a registration asks for: an id only in mode IMPORT, else at most the next version."""

    id: int | None = None
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredSchema:
    """A schema under its id, for ever."""

    id: int
    text: str  # canonical
    references: tuple[Reference, ...] = ()
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None
    fingerprint: str = ""

    @property
    def guid(self) -> str:
        """A name that is the same in every registry: the first half of the fingerprint, spelled like a UUID."""
        parts = (slice(0, 8), slice(8, 12), slice(12, 16), slice(16, 20), slice(20, 32))
        return "-".join(self.fingerprint[p] for p in parts)


@dataclass(frozen=True, kw_only=True)
class SchemaVersion:
    """One version of a subject."""

    subject: str
    version: int
    schema: StoredSchema
    deleted: bool = False  # softly: hidden, its id still resolves
    created_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Own:
    """Settings of one subject, or the global ones; None = not set here."""

    level: Level | None = None
    mode: Mode | None = None
    normalise: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What is in force for a subject: its own, else the global, else the default."""

    own: Own
    everywhere: Own

    @property
    def level(self) -> Level:
        """Of compatibility."""
        return self.own.level or self.everywhere.level or DEFAULT_LEVEL

    @property
    def mode(self) -> Mode:
        """Global READONLY_OVERRIDE wins over all."""
        if self.everywhere.mode == "READONLY_OVERRIDE":
            return "READONLY_OVERRIDE"
        return self.own.mode or self.everywhere.mode or DEFAULT_MODE

    @property
    def normalise(self) -> bool:
        """Normalise what is sent, asked or not."""
        own, everywhere = self.own.normalise, self.everywhere.normalise
        return bool(everywhere if own is None else own)

    @property
    def read_only(self) -> bool:
        """Nothing may change but the mode."""
        return self.mode in ("READONLY", "READONLY_OVERRIDE")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list: skip `offset`, then at most `limit`; a limit of 0 or less is none."""

    offset: int = 0
    limit: int = 0

    def of(self, items: list[Any]) -> list[Any]:
        """The part."""
        end = self.offset + self.limit if self.limit > 0 else None
        return items[self.offset : end]


EVERYTHING = Page()


def level_of(text: str) -> Level:
    """A compatibility level in any case. Raises LevelInvalid."""
    for level in get_args(Level):
        if text.upper() == level:
            found: Level = level
            return found
    raise LevelInvalid(text)


def mode_of(text: str) -> Mode:
    """A mode in any case. Raises ModeInvalid."""
    for mode in get_args(Mode):
        if text.upper() == mode:
            found: Mode = mode
            return found
    raise ModeInvalid(text)


def version_of(text: str) -> int:
    """A version parameter: 1 … 2^31-1, or LATEST for `latest` and -1. Raises VersionInvalid."""
    if text.lower() == "latest":
        return LATEST
    number = int(text) if NUMBER.fullmatch(text) else 0
    if number == LATEST or 1 <= number <= MAX_INT:
        return number
    raise VersionInvalid(text)


def check_subject(subject: str) -> None:
    """Raises SubjectInvalid unless a subject may have this name (registry-api §1)."""
    if not subject or len(subject) > MAX_SUBJECT or subject in REFUSED_SUBJECTS or not storable(subject):
        raise SubjectInvalid(subject)


def storable(text: str) -> bool:
    """No control character, and Unicode: nothing else was ever stored, so nothing else can be found."""
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or 0xD800 <= ord(c) <= 0xDFFF for c in text)

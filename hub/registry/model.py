"""Values of the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from hub.errors import ConfigurationInvalid, SchemaInvalid

Level = Literal[
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]
DEFAULT_LEVEL: Level = "BACKWARD"
MAX_SUBJECT = 1_000  # characters
REFUSED_SUBJECTS = ("__GLOBAL", "__EMPTY")


class Registered(NamedTuple):
    """What a registration gives: the schema's id, the same in every subject, and the version in this one."""

    id: int
    version: int


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Named types of another subject's version, known to a schema under `name`."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, kw_only=True)
class StoredSchema:
    """A schema under its id, for ever."""

    id: int
    text: str  # canonical
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SchemaVersion:
    """One live version of a subject."""

    subject: str
    version: int
    schema: StoredSchema


def level_of(text: str) -> Level:
    """A compatibility level in any case. Raises ConfigurationInvalid."""
    for level in get_args(Level):
        if text.upper() == level:
            found: Level = level
            return found
    names = ", ".join(level.lower() for level in get_args(Level))
    raise ConfigurationInvalid(f"{text[:40]!r} is no compatibility level", remedy=f"one of {names}")


def check_subject(subject: str) -> None:
    """Raises SchemaInvalid unless a subject may have this name (registry-api §1)."""
    control = any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in subject)
    if not subject or len(subject) > MAX_SUBJECT or control or subject in REFUSED_SUBJECTS:
        raise SchemaInvalid("not a subject's name", where=repr(subject[:80]))

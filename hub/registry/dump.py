"""A whole registry as values and as JSON lines: what is exported, imported, and compared. Pure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.errors import ConfigurationInvalid
from hub.registry.model import Level, Mode, Reference, level_of, mode_of

FORMAT = {"datong": "schema registry", "format": 1}
Place = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class DumpedVersion:
    """One version with everything that hangs on it."""

    subject: str
    version: int
    id: int
    text: str
    references: tuple[Reference, ...] = ()
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None
    deleted: bool = False  # softly
    created_ms: int | None = None

    @property
    def place(self) -> Place:
        """Where it belongs."""
        return self.subject, self.version


@dataclass(frozen=True, kw_only=True)
class DumpedSettings:
    """Of a subject, or global where it is None. What is not set is None."""

    subject: str | None
    level: Level | None = None
    normalise: bool | None = None
    mode: Mode | None = None


@dataclass(frozen=True, kw_only=True)
class Dump:
    """Everything of a registry; `left_out` says what its source had that a registry of Avro schemas cannot hold."""

    versions: tuple[DumpedVersion, ...] = ()
    settings: tuple[DumpedSettings, ...] = ()
    left_out: tuple[str, ...] = field(default=())


def in_order(versions: Iterable[DumpedVersion]) -> list[DumpedVersion]:
    """Each after those it refers to; else by id, so that the first that had a schema keeps it."""
    waiting = {v.place: v for v in sorted(versions, key=lambda v: (v.id, v.subject, v.version))}
    done: dict[Place, DumpedVersion] = {}
    for start in list(waiting.values()):
        ahead = [start]
        while ahead:
            version = ahead[-1]
            below = [
                waiting[p] for p in _targets(version) if p in waiting and p not in done and waiting[p] not in ahead
            ]
            if below and version.place not in done:
                ahead.append(below[0])
            else:
                done.setdefault(version.place, ahead.pop())
    return list(done.values())


def refused_target(version: DumpedVersion, refused: Container[Place]) -> str | None:
    """Why a version must not be taken over after others were not: what it refers to would be another thing."""
    missing = next((place for place in _targets(version) if place in refused), None)
    return None if missing is None else f"it refers to {missing[0]} version {missing[1]}, which was refused"


def _targets(version: DumpedVersion) -> list[Place]:
    return [(r.subject, r.version) for r in version.references]


def to_lines(dump: Dump) -> Iterator[str]:
    """One JSON object a line: a head, versions in order, settings."""
    yield json.dumps(FORMAT)
    for version in in_order(dump.versions):
        yield json.dumps(version_to_json(version), ensure_ascii=False)
    for settings in dump.settings:
        yield json.dumps(settings_to_json(settings), ensure_ascii=False)


def from_lines(lines: Iterable[str]) -> Dump:
    """What `to_lines` made. Raises ConfigurationInvalid naming the line."""
    versions, settings = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if number == 1:
                if data != FORMAT:
                    raise ValueError
            elif "version" in data:
                versions.append(version_from_json(data))
            else:
                settings.append(settings_from_json(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationInvalid(
                "not a line of an export of schemas",
                where=f"line {number}",
                remedy="`datong schemas export` writes them",
            ) from error
    return Dump(versions=tuple(versions), settings=tuple(settings))


def version_to_json(version: DumpedVersion) -> dict[str, Any]:
    """With the names that registries use."""
    made: dict[str, Any] = {"subject": version.subject, "version": version.version, "id": version.id}
    made["schema"] = version.text
    if version.references:
        made["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in version.references]
    for name, value in (("metadata", version.metadata), ("ruleSet", version.rule_set), ("ts", version.created_ms)):
        if value is not None:
            made[name] = value
    return {**made, "deleted": True} if version.deleted else made


def version_from_json(data: Mapping[str, Any]) -> DumpedVersion:
    """A schema object of any registry. Raises KeyError, TypeError, ValueError."""
    return DumpedVersion(
        subject=_text(data["subject"]),
        version=int(data["version"]),
        id=int(data["id"]),
        text=_text(data["schema"]),
        references=tuple(_reference(r) for r in data.get("references") or ()),
        metadata=_object(data.get("metadata")),
        rule_set=_object(data.get("ruleSet")),
        deleted=bool(data.get("deleted", False)),
        created_ms=data.get("ts"),
    )


def settings_to_json(settings: DumpedSettings) -> dict[str, Any]:
    """What is set."""
    made: dict[str, Any] = {"subject": settings.subject}
    for name, value in (("compatibility", settings.level), ("normalize", settings.normalise), ("mode", settings.mode)):
        if value is not None:
            made[name] = value
    return made


def settings_from_json(data: Mapping[str, Any]) -> DumpedSettings:
    """Raises KeyError, and ConfigurationInvalid for a level or mode that is none."""
    level, mode = data.get("compatibility"), data.get("mode")
    return DumpedSettings(
        subject=data["subject"],
        level=None if level is None else level_of(level),
        normalise=data.get("normalize"),
        mode=None if mode is None else mode_of(mode),
    )


def pieces(versions: Sequence[DumpedVersion], characters: int) -> Iterator[list[DumpedVersion]]:
    """In order, a bounded amount of text at a time."""
    piece: list[DumpedVersion] = []
    size = 0
    for version in in_order(versions):
        piece.append(version)
        size += len(version.text)
        if size >= characters:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _reference(data: Mapping[str, Any]) -> Reference:
    return Reference(name=_text(data["name"]), subject=_text(data["subject"]), version=int(data["version"]))


def _object(value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value

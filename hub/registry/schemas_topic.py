"""What a registry that keeps itself in a Kafka topic wrote there (`_schemas`), as a dump. Pure.

One JSON key a record says what it is about; the last record of a key counts; no value takes it away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hub.errors import ConfigurationInvalid
from hub.registry.dump import Dump, DumpedSettings, DumpedVersion, Place, version_from_json
from hub.registry.model import level_of, mode_of


def dump_of_records(records: Iterable[tuple[bytes | None, bytes | None]]) -> Dump:
    """Replay a topic from its beginning. What is no schema of Avro, or cannot be read, is left out and named."""
    replay = _Replay()
    for key, value in records:
        replay.take(key, value)
    return replay.dump()


class _Replay:
    def __init__(self) -> None:
        self._versions: dict[Place, DumpedVersion] = {}
        self._settings: dict[str | None, DumpedSettings] = {}
        self._left_out: dict[Place, str] = {}

    def dump(self) -> Dump:
        """What the topic says at its end."""
        known = [s for s in self._settings.values() if (s.level, s.normalise, s.mode) != (None, None, None)]
        return Dump(
            versions=tuple(self._versions.values()), settings=tuple(known), left_out=tuple(self._left_out.values())
        )

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """One record."""
        about, said = _object(key), _object(value)
        match about.get("keytype"):
            case "SCHEMA":
                self._schema(about, said)
            case "DELETE_SUBJECT":
                self._delete(about, said)
            case "CONFIG":
                self._set(about, level=said.get("compatibilityLevel"), normalise=said.get("normalize"))
            case "MODE":
                self._set(about, mode=said.get("mode"))

    def _schema(self, about: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        subject, number = about.get("subject"), about.get("version")
        if not isinstance(subject, str) or not isinstance(number, int):
            return
        place = (subject, number)
        self._versions.pop(place, None)
        self._left_out.pop(place, None)
        if not said:
            return  # deleted for good
        if said.get("schemaType") not in (None, "AVRO"):
            self._left_out[place] = f"{subject} version {number}: a schema of type {said['schemaType']}"
            return
        try:
            self._versions[place] = version_from_json({**said, "subject": subject, "version": number, "ts": None})
        except (KeyError, TypeError, ValueError):
            self._left_out[place] = f"{subject} version {number}: the record cannot be read"

    def _delete(self, about: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Softly, all versions up to one."""
        last = said.get("version")
        for place, version in self._versions.items():
            if place[0] == about.get("subject") and isinstance(last, int) and version.version <= last:
                self._versions[place] = replace(version, deleted=True)

    def _set(self, about: Mapping[str, Any], **values: Any) -> None:
        subject = about.get("subject")
        old = self._settings.get(subject, DumpedSettings(subject=subject))
        try:
            if "level" in values:
                level = values["level"]
                new = replace(old, level=None if level is None else level_of(level), normalise=values["normalise"])
            else:
                new = replace(old, mode=None if values["mode"] is None else mode_of(values["mode"]))
        except (ConfigurationInvalid, AttributeError):
            return  # a level or mode that we do not know stays unset
        self._settings[subject] = new


def _object(data: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

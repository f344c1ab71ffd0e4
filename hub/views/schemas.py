"""Schemas as JSON values: subjects, versions, what changes between them, who uses them. Nothing here registers."""

from __future__ import annotations

import json
from typing import Any

from hub.errors import SchemaInvalid
from hub.moments import iso
from hub.registry.model import LATEST, Draft, Reference, SchemaVersion
from hub.registry.shown import difference, judgement, used
from hub.views.part import Part


class SchemaViews(Part):
    """The registry's desk for those who have no HTTP between: the same answers as below /registry/-/."""

    def schemas(self) -> list[dict[str, Any]]:
        """The latest version of every subject."""
        found = []
        for subject in self._hub.registry.subjects():
            latest = self._hub.registry.latest(subject)
            level = self._hub.registry.level(subject)
            found.append({"subject": subject, "version": latest.version, "id": latest.schema.id, "level": level})
        return found

    def schema(self, subject: str) -> Any:
        """The latest schema of a subject. Raises NotFound."""
        return json.loads(self._hub.registry.by_id(self._hub.registry.latest(subject).schema.id))

    def schema_versions(self, subject: str) -> dict[str, Any]:
        """Every live version with its schema, newest first. Raises NotFound."""
        registry = self._hub.registry
        found = [registry.any_version(subject, number) for number in reversed(registry.versions(subject))]
        return {"subject": subject, "level": registry.level(subject), "versions": [_version(one) for one in found]}

    def schema_diff(self, subject: str, old: int | None = None, new: int = LATEST) -> dict[str, Any]:
        """What changes between two versions, in words, and whom it breaks; without the old one, from the one before. Raises
        NotFound."""
        return difference(self._hub.schema_desk.diff(subject, old, new))

    def schema_check(self, subject: str, text: str, references: tuple[Reference, ...] = ()) -> dict[str, Any]:
        """Would this schema be taken, what would change, and whom would it break? Raises SchemaInvalid."""
        _require_unicode(text)
        return judgement(self._hub.schema_desk.check(subject, Draft(text=text, references=references)))

    def schema_uses(self, subject: str) -> dict[str, Any]:
        """Who publishes with a subject and who reads it."""
        return used(subject, self._hub.schema_desk.uses(subject))


def _version(one: SchemaVersion) -> dict[str, Any]:
    """Without a date where it came from elsewhere."""
    return {
        "version": one.version,
        "id": one.schema.id,
        "registered": None if one.created_ms is None else iso(one.created_ms),
        "references": [vars(reference) for reference in one.schema.references],
        "schema": json.loads(one.schema.text),
    }


def _require_unicode(text: str) -> None:
    """An answer that quotes half of a surrogate pair could not be sent. Raises SchemaInvalid."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SchemaInvalid("a text in it holds half of a surrogate pair, which is no Unicode") from error
    except (ValueError, RecursionError):
        return  # the registry says better what is wrong

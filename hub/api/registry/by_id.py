"""Answers by id, ready to send: what serialisers ask for most. An id means one schema for ever, so they are kept (G10)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from time import monotonic
from typing import Any

from hub.registry import Registry
from hub.registry.documents import Bounded
from hub.registry.errors import SchemaNotFound
from hub.registry.model import Reference, StoredSchema

ANSWERS, ANSWER_BYTES = 100_000, 48 * 1024 * 1024  # packed
AROUND = 64  # ids that are read together: who asks for one soon asks for its neighbours
FRESH_S = 1.0  # another process may have removed the last version of a schema: looked at once a second


class ById:
    """Schemas by id as HTTP shows them: those that some version has."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._answers: Bounded[bytes] = Bounded(ANSWERS, ANSWER_BYTES)
        self._removals, self._done, self._looked = -1, 0, 0.0

    def ready(self, schema_id: int) -> bytes | None:
        """The answer when it is at hand and no removal can have made it wrong."""
        known = monotonic() - self._looked < FRESH_S and self._done == self._registry.removal.done
        return self._kept(schema_id) if known else None

    def answer(self, schema_id: int) -> bytes:
        """The answer, from memory or the store. Raises SchemaNotFound."""
        found = self.ready(schema_id)
        if found is not None:
            return found
        self._look()
        found = self._kept(schema_id)
        if found is not None:
            return found
        first = schema_id - schema_id % AROUND
        for schema in self._registry.shown_around(schema_id, range(first, first + AROUND)):
            made = json.dumps(shown(schema), separators=(",", ":")).encode()
            packed = zlib.compress(made, 1)  # a tenth of the memory, for a few microseconds
            self._answers.put(schema.id, packed, len(packed))
            found = made if schema.id == schema_id else found
        if found is None:
            raise SchemaNotFound(schema_id)
        return found

    def _kept(self, schema_id: int) -> bytes | None:
        packed = self._answers.get(schema_id)
        return None if packed is None else zlib.decompress(packed)

    def _look(self) -> None:
        done, removals = self._registry.removal.done, self._registry.removals()
        if removals != self._removals:
            self._answers.clear()
        self._removals, self._done, self._looked = removals, done, monotonic()


def shown(schema: StoredSchema) -> dict[str, Any]:
    """A schema by id."""
    made: dict[str, Any] = {"schema": schema.text}
    if schema.references:
        made["references"] = references(schema.references)
    if schema.metadata is not None:
        made["metadata"] = schema.metadata
    if schema.rule_set is not None:
        made["ruleSet"] = schema.rule_set
    return made


def references(given: Sequence[Reference]) -> list[dict[str, Any]]:
    """As they were sent."""
    return [{"name": r.name, "subject": r.subject, "version": r.version} for r in given]

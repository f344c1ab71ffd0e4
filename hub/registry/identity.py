"""What makes a schema the one it is: canonical text, references, metadata and rule set (registry-api §2). Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.avro.types import Schema
from hub.errors import SchemaInvalid
from hub.registry.model import Draft, Reference, StoredSchema


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A draft that is a valid schema, ready to be looked up or stored."""

    schema: Schema
    references: tuple[Reference, ...]  # with versions as numbers
    refs: str  # as stored
    metadata: str | None
    rule_set: str | None

    @property
    def text(self) -> str:
        """Canonical."""
        return self.schema.canonical

    @property
    def fingerprint(self) -> str:
        """The identity."""
        return fingerprint(self.text, self.refs, self.metadata, self.rule_set)


def prepare(schema: Schema, draft: Draft, references: Sequence[Reference]) -> Prepared:
    """A parsed draft as it will be stored. Raises SchemaInvalid for what JSON or Unicode cannot say."""
    made = Prepared(
        schema=schema,
        references=tuple(references),
        refs=dump_references(references),
        metadata=dump_json(draft.metadata),
        rule_set=dump_json(draft.rule_set),
    )
    for name, text in (("references", made.refs), ("metadata", made.metadata), ("ruleSet", made.rule_set)):
        if text is not None and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise SchemaInvalid("a text in it is not valid Unicode: it has half of a surrogate pair", where=name)
    return made


def dump_references(references: Sequence[Reference]) -> str:
    """As stored: a JSON array in the order given."""
    return _compact([[r.name, r.subject, r.version] for r in references])


def load_references(text: str) -> tuple[Reference, ...]:
    """What `dump_references` made."""
    return tuple(Reference(name=n, subject=s, version=v) for n, s, v in json.loads(text))


def dump_json(value: Mapping[str, Any] | None) -> str | None:
    """As stored: in the order given. Raises SchemaInvalid."""
    try:
        return None if value is None else _compact(value)
    except (ValueError, RecursionError):
        raise SchemaInvalid("metadata or rule set is nested too deep, or has a number that JSON cannot say") from None


def fingerprint(text: str, refs: str, metadata: str | None = None, rule_set: str | None = None) -> str:
    """SHA-256 over everything that counts; the order of properties in metadata and rule set does not."""
    parts = [text, refs]
    if metadata is not None or rule_set is not None:
        parts += [_sorted(metadata), _sorted(rule_set)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fingerprint_of(stored: StoredSchema) -> str:
    """The identity of a schema that came from elsewhere."""
    refs = dump_references(stored.references)
    return fingerprint(stored.text, refs, dump_json(stored.metadata), dump_json(stored.rule_set))


def _sorted(text: str | None) -> str:
    return "null" if text is None else json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

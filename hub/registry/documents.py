"""Schemas as trees: by id, with what they refer to, in bounded memory. They parse when first used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sqlalchemy.engine import Connection

from hub.avro.schema import parse
from hub.avro.types import Enum, Fixed, Record, Schema, Type
from hub.errors import SchemaInvalid
from hub.registry import rows
from hub.registry.identity import Prepared, prepare
from hub.registry.model import LATEST, MAX_INT, Draft, Reference, SchemaVersion, StoredSchema, storable

MAX_REFERENCE_DEPTH = 32
TREES, TREE_CHARACTERS = 2_000, 4_000_000  # a tree takes some twenty times the memory of its text
T = TypeVar("T")


class Bounded(Generic[T]):
    """The values used last, by id, up to a count and a total weight. Safe from many threads."""

    def __init__(self, count: int, weight: int) -> None:
        self._count, self._weight, self._total = count, weight, 0
        self._lock = threading.Lock()
        self._held: OrderedDict[int, tuple[T, int]] = OrderedDict()

    def get(self, key: int) -> T | None:
        """None when it is not held."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
        return None if found is None else found[0]

    def put(self, key: int, value: T, weight: int) -> None:
        """The oldest make room; something heavier than all the room is not kept."""
        if weight > self._weight:
            return
        with self._lock:
            before = self._held.pop(key, None)
            self._total += weight - (before[1] if before else 0)
            self._held[key] = (value, weight)
            while len(self._held) > self._count or self._total > self._weight:
                self._total -= self._held.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()
            self._total = 0


@dataclass(frozen=True)
class Tree:
    """A parsed schema; which schema defined each of its names: its own id, or that of one it refers to; and how many
    levels of references are below it."""

    schema: Schema
    owners: Mapping[str, int]
    height: int


@dataclass(frozen=True)
class Known:
    """What references bring in."""

    names: Mapping[str, Type]
    owners: Mapping[str, int]
    height: int  # of the schema that refers to them


class Documents:
    """All schemas of a store as trees. Safe from many threads."""

    def __init__(self) -> None:
        self._trees: Bounded[Tree] = Bounded(TREES, TREE_CHARACTERS)

    def prepare(
        self, connection: Connection, draft: Draft, *, normalise: bool = False, check_defaults: bool = True
    ) -> Prepared:
        """A draft parsed, with its references found and numbered. Raises SchemaInvalid."""
        normalise = normalise or draft.normalise
        references = tuple(_numbered(connection, r) for r in draft.references)
        if normalise:
            references = tuple(sorted(set(references)))
        known = self._known(connection, references, {})
        if known.height > MAX_REFERENCE_DEPTH:
            raise SchemaInvalid(f"references go deeper than {MAX_REFERENCE_DEPTH} levels")
        schema = parse(draft.text, known.names, check_defaults=check_defaults, normalise=normalise)
        return prepare(schema, draft, references)

    def tree(self, connection: Connection, stored: StoredSchema) -> Schema:
        """A stored schema, its references included."""
        return self._tree(connection, stored, {}).schema

    def texts(self, connection: Connection, stored: StoredSchema) -> list[str]:
        """Of all that a schema refers to, and of what they refer to: each once."""
        found: dict[int, StoredSchema] = {}
        ahead = [stored]
        while ahead:
            for reference in ahead.pop().references:
                target = _version(connection, reference).schema
                if target.id not in found:
                    found[target.id] = target
                    ahead.append(target)
        return [schema.text for schema in found.values()]

    def cached(self, schema_id: int) -> Schema | None:
        """Without looking anywhere."""
        found = self._trees.get(schema_id)
        return None if found is None else found.schema

    def _tree(self, connection: Connection, stored: StoredSchema, met: dict[int, Tree]) -> Tree:
        found = met.get(stored.id) or self._trees.get(stored.id)
        if found is None:
            known = self._known(connection, stored.references, met)
            schema = parse(stored.text, known.names, check_defaults=False)  # checked when it was registered
            owners = {name: known.owners.get(name, stored.id) for name in schema.names}
            found = Tree(schema, owners, known.height)
            self._trees.put(stored.id, found, len(stored.text))
        met[stored.id] = found  # whatever memory holds, a schema is parsed once for each question
        return found

    def _known(self, connection: Connection, references: Sequence[Reference], met: dict[int, Tree]) -> Known:
        """The named types behind references, theirs included, and who defined each. Raises SchemaInvalid when one is
        missing, or when one name would mean two things; reaching one definition twice is fine."""
        known: dict[str, Type] = {}
        owners: dict[str, int] = {}
        height = 0
        for reference in references:
            version = _version(connection, reference)
            tree = self._tree(connection, version.schema, met)
            height = max(height, tree.height + 1)
            for name, of in _named(tree, reference).items():
                owner = tree.owners.get(name, version.schema.id)
                if owners.setdefault(name, owner) != owner:
                    raise SchemaInvalid(f"{name} is defined twice, by different references", where=reference.name)
                known[name] = of
        return Known(known, owners, height)


def _named(tree: Tree, reference: Reference) -> Mapping[str, Type]:
    """Full names, and the reference's own for the schema as a whole."""
    top = tree.schema.type
    if reference.name in tree.schema.names or not isinstance(top, Record | Enum | Fixed):
        return tree.schema.names
    return {**tree.schema.names, reference.name: top}


def _numbered(connection: Connection, reference: Reference) -> Reference:
    """Version -1 is the latest live one of this moment."""
    if not storable(reference.subject) or not (reference.version == LATEST or 1 <= reference.version <= MAX_INT):
        raise _missing(reference)
    if reference.version != LATEST:
        return reference
    found = rows.live_versions(connection, reference.subject, newest=True)
    if not found:
        raise _missing(reference)
    return replace(reference, version=found[0].version)


def _version(connection: Connection, reference: Reference) -> SchemaVersion:
    found = rows.any_version(connection, reference.subject, reference.version)
    if found is None:
        raise _missing(reference)
    return found


def _missing(reference: Reference) -> SchemaInvalid:
    which = "live version" if reference.version == LATEST else f"version {reference.version}"
    subject = reference.subject[:200].encode("utf-8", "backslashreplace").decode()
    return SchemaInvalid(f"the referenced {which} of subject {subject} does not exist", where=reference.name[:200])

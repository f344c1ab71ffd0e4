"""What a topic can hold, which is less than Avro can say: columns need an end (R29, S23). Pure; no Arrow."""

from __future__ import annotations

from hub.avro.schema import MAX_DEPTH, parse
from hub.avro.types import Array, Fixed, Map, Record, Ref, Type, Union, is_null
from hub.errors import SchemaInvalid

DELIVERED = ("_offset", "_partition", "_op")  # what every delivered record carries beside its fields (R27)
MAX_FIELDS = 2_000  # counted where they stand: a type that is used twice counts twice


def parse_topic_schema(text: str) -> Record:
    """A schema that a topic can hold: a record, not recursive, of at most 2,000 fields, 32 deep, without arrays of
    zero-width items, and without a field of a name that deliveries need (S23, R27, R29). Raises SchemaInvalid."""
    schema = parse(text)
    if not isinstance(schema.type, Record):
        raise SchemaInvalid("a topic's schema is a record")
    for name in DELIVERED:
        if schema.type.field(name) is not None:
            raise SchemaInvalid("deliveries have a field of this name", where=name, remedy="give it another name")
    _Check().type(schema.type, schema.type.name, 0)
    return schema.type


class _Check:
    def __init__(self) -> None:
        self._fields = 0

    def type(self, of: Type, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SchemaInvalid(f"nested deeper than {MAX_DEPTH} levels", where=path)
        if isinstance(of, Ref):
            raise SchemaInvalid("a topic's schema must not be recursive", where=path)
        if isinstance(of, Record):
            self._record(of, path, depth)
        elif isinstance(of, Array):
            self.type(of.items, f"{path}[]", depth + 1)
            if zero_width(of.items):
                raise SchemaInvalid("an array of items without bytes is refused", where=path)
        elif isinstance(of, Map):
            self.type(of.values, f"{path}{{}}", depth + 1)
        elif isinstance(of, Union):
            for branch in of.branches:
                self.type(branch, path, depth + 1)

    def _record(self, of: Record, path: str, depth: int) -> None:
        for field in of.fields:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise SchemaInvalid(f"a topic's schema has at most {MAX_FIELDS:,} fields", where=path)
            self.type(field.type, f"{path}.{field.name}", depth + 1)


def zero_width(of: Type) -> bool:
    """A value of this type takes no bytes."""
    if isinstance(of, Record):
        return all(zero_width(f.type) for f in of.fields)
    return is_null(of) or (isinstance(of, Fixed) and of.size == 0)

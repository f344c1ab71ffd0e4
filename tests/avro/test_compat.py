"""Reader against writer: each rule of registry-api §3 with a pair that works and one that does not, both ways round."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from hub.avro import parse
from hub.avro.compat import LEVELS, check, incompatibilities
from hub.errors import SchemaInvalid


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def f(name: str, of: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, **more}


E2 = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
E3 = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
E2D = {**E2, "default": "A"}
F4, F5 = ({"type": "fixed", "name": "F", "size": n} for n in (4, 5))
TREE = rec(f("v", "int"), f("next", ["null", "R"]))
TREE2 = rec(f("v", "long"), f("next", ["null", "R"]), f("w", "int", default=0))

# reader, writer, compatible, the same the other way round
PAIRS: list[tuple[str, Any, Any, bool, bool]] = [
    ("same primitive", "int", "int", True, True),
    ("int to long", "long", "int", True, False),
    ("int to float", "float", "int", True, False),
    ("int to double", "double", "int", True, False),
    ("long to float", "float", "long", True, False),
    ("long to double", "double", "long", True, False),
    ("float to double", "double", "float", True, False),
    ("string and bytes", "string", "bytes", True, True),
    ("string and int", "string", "int", False, False),
    ("boolean and int", "int", "boolean", False, False),
    ("unqualified name", rec(namespace="a"), rec(namespace="b"), True, True),
    ("another name", rec(name="X"), rec(name="Y"), False, False),
    ("alias of the reader", rec(name="X", aliases=["Y"]), rec(name="Y"), True, False),
    ("field with default", rec(f("a", "int", default=1)), rec(), True, True),
    ("field without default", rec(f("a", "int")), rec(), False, True),
    ("nullable is no default", rec(f("a", ["null", "int"])), rec(), False, True),
    ("an enum's own default is none", rec(f("a", E2D)), rec(), False, True),
    ("field alias", rec(f("b", "int", aliases=["a"])), rec(f("a", "int")), True, False),
    ("order and doc", rec(f("a", "int"), f("b", "int")), rec(f("b", "int", doc="x"), f("a", "int")), True, True),
    ("nested", rec(f("a", rec(f("x", "long"), name="S"))), rec(f("a", rec(f("x", "int"), name="S"))), True, False),
    ("more symbols", E3, E2, True, False),
    ("fewer symbols with default", E2D, E3, True, True),
    ("fixed of one size", F4, F4, True, True),
    ("fixed of another size", F4, F5, False, False),
    ("array items", {"type": "array", "items": "long"}, {"type": "array", "items": "int"}, True, False),
    ("map values", {"type": "map", "values": "long"}, {"type": "map", "values": "int"}, True, False),
    ("array and map", {"type": "array", "items": "int"}, {"type": "map", "values": "int"}, False, False),
    ("wider union", ["null", "int", "string"], ["null", "int"], True, False),
    ("plain into union", ["null", "long"], "int", True, False),
    ("union into plain", "long", ["int", "long"], True, True),
    ("union with null into plain", "int", ["null", "int"], False, True),
    ("recursion", TREE2, TREE, True, False),
    ("logical types play no part", {"type": "int", "logicalType": "date"}, "int", True, True),
]


@pytest.mark.parametrize(("rule", "reader", "writer", "forth", "back"), PAIRS, ids=[p[0] for p in PAIRS])
def test_section_3_rule(rule: str, reader: Any, writer: Any, forth: bool, back: bool) -> None:
    new, old = parse(json.dumps(reader)), parse(json.dumps(writer))
    found = incompatibilities(new, old)
    assert (not found) is forth, rule
    assert (not incompatibilities(old, new)) is back, rule
    assert all(i.message and i.kind for i in found)


@pytest.mark.parametrize(
    ("writer", "reader", "value"),
    [
        (rec(f("a", "int")), rec(f("a", "long"), f("b", "string", default="x")), {"a": 3}),
        (rec(f("a", E3)), rec(f("a", E2D)), {"a": "C"}),
        (rec(f("a", ["null", "int"])), rec(f("a", ["null", "int", "string"])), {"a": None}),
    ],
)
def test_what_is_compatible_fastavro_reads(writer: Any, reader: Any, value: Any) -> None:
    assert not incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(writer), value)
    fastavro.schemaless_reader(io.BytesIO(out.getvalue()), fastavro.parse_schema(writer), fastavro.parse_schema(reader))


def test_levels_look_at_the_versions_they_say() -> None:
    first, second = rec(f("a", "int")), rec(f("a", "int"), f("b", "int", default=0))
    dropped = rec(f("b", "int", default=0), f("c", "int"))
    olds = [parse(json.dumps(s)) for s in (first, second)]
    new = parse(json.dumps(dropped))
    results = {level: bool(check(level, new, olds)) for level in LEVELS}
    assert results["NONE"] is False
    assert all(results[level] for level in ("BACKWARD", "FORWARD", "FULL"))
    third = parse(json.dumps(rec(f("b", "int", default=0))))
    assert not check("BACKWARD_TRANSITIVE", third, olds)
    assert check("FORWARD_TRANSITIVE", third, olds)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ('{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}', "default"),
        ('{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":"null"}]}', "default"),
        ('{"type":"record","name":"R","fields":[{"name":"a-b","type":"int"}]}', "name"),
        ('{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}', "two fields"),
        ('{"type":"enum","name":"E","symbols":["A","A"]}', "twice"),
        ('{"type":"enum","name":"E","symbols":["A"],"default":"B"}', "default"),
        ('{"type":"fixed","name":"F","size":-1}', "size"),
        ('["int","int"]', "two branches"),
        ('["int",["null"]]', "union"),
        ('"strin"', "unknown type"),
        ("{", "JSON"),
        ('{"type":"array"}', "items"),
        ("[" * 5000, "JSON"),
        ('{"type":"array","items":' * 40 + '"int"' + "}" * 40, "deeper"),
    ],
)
def test_S23_an_invalid_schema_says_why(schema: str, why: str) -> None:
    with pytest.raises(SchemaInvalid, match=why):
        parse(schema)


@pytest.mark.parametrize("schema", ['"string"', '["null","int"]', "int", '{"type":"record","name":"R","fields":[]}'])
def test_valid_and_odd(schema: str) -> None:
    assert parse(schema).canonical


def test_canonical_text_folds_what_does_not_count() -> None:
    one = '{"fields":[{"type":{"type":"int"},"name":"a"}],"name":"x.R","type":"record"}'
    two = '{"type": "record", "namespace": "x", "name": "R", "fields": [{"name": "a", "type": "int", "order": "ascending"}]}'
    assert parse(one).canonical == parse(two).canonical
    assert parse(one).canonical != parse(two.replace('"int"', '"int", "doc": "d"')).canonical
    assert parse(parse(one).canonical).canonical == parse(one).canonical

"""Reader against writer: each rule of registry-api §3 with a pair that works and one that does not, both ways round."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from hub.avro import parse
from hub.avro.compat import LEVELS, check, incompatibilities


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

PING = rec(f("pong", ["null", rec(f("ping", ["null", "Ping"]), f("n", "int"), name="Pong")]), name="Ping")
PING2 = rec(f("pong", ["null", rec(f("ping", ["null", "Ping"]), f("n", "long"), name="Pong")]), name="Ping")

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
    ("properties play no part", {"type": "int", "unit": "m"}, {"type": "int", "unit": "ft"}, True, True),
    ("a default's value plays no part", rec(f("a", "int", default=1)), rec(f("a", "int", default=2)), True, True),
    ("double never narrows", "float", "double", False, True),
    ("null reads null alone", "null", "int", False, False),
    ("bytes and fixed", "bytes", F4, False, False),
    ("string and enum", "string", E2, False, False),
    ("record and map", rec(), {"type": "map", "values": "int"}, False, False),
    ("alias with a namespace", rec(name="a.X", aliases=["b.Y"]), rec(name="b.Y"), True, False),
    (
        "an alias without dot is of the reader's namespace",
        rec(name="a.X", aliases=["Y"]),
        rec(name="b.Y"),
        False,
        False,
    ),
    ("the same in that namespace", rec(name="a.X", aliases=["Y"]), rec(name="a.Y"), True, False),
    ("alias of an enum", {**E2, "name": "G", "aliases": ["E"]}, E2, True, False),
    ("alias of a fixed", {**F4, "name": "G", "aliases": ["F"]}, F4, True, False),
    ("another enum", {**E2, "name": "G"}, E2, False, False),
    ("another fixed", {**F4, "name": "G"}, F4, False, False),
    ("a branch by its alias", ["null", rec(name="X", aliases=["Y"])], rec(name="Y"), True, False),
    ("a branch by its unqualified name", ["null", rec(namespace="a")], ["null", rec(namespace="b")], True, True),
    ("promotion into a branch", ["null", "double"], ["null", "int"], True, False),
    ("the order of branches", ["null", "int"], ["int", "null"], True, True),
    ("an empty union writes nothing", "int", [], True, False),
    ("a field alias in another order", rec(f("c", "int", aliases=["a", "b"])), rec(f("b", "int")), True, False),
    ("a name wins over an alias", rec(f("b", "int", aliases=["a"])), rec(f("b", "int"), f("a", "string")), True, False),
    ("enum default inside a union", ["null", E2D], ["null", E3], True, True),
    (
        "array of records",
        {"type": "array", "items": rec(f("x", "int", default=0))},
        {"type": "array", "items": rec()},
        True,
        True,
    ),
    ("map of records", {"type": "map", "values": rec(f("x", "int"))}, {"type": "map", "values": rec()}, False, True),
    ("mutual recursion", PING2, PING, True, False),
]


@pytest.mark.parametrize(("rule", "reader", "writer", "forth", "back"), PAIRS, ids=[p[0] for p in PAIRS])
def test_section_3_rule(rule: str, reader: Any, writer: Any, forth: bool, back: bool) -> None:
    new, old = parse(json.dumps(reader)), parse(json.dumps(writer))
    found = incompatibilities(new, old)
    assert (not found) is forth, rule
    assert (not incompatibilities(old, new)) is back, rule
    assert all(i.message and i.kind for i in found)


MISSING = "READER_FIELD_MISSING_DEFAULT_VALUE"
REASONS: list[tuple[Any, Any, str, str, str]] = [  # reader, writer, kind, path, a part of the sentence
    (rec(f("a", rec(f("x", "int"), name="S"))), rec(f("a", rec(name="S"))), MISSING, "a.x", "no default"),
    (
        rec(f("a", ["null", rec(f("x", "int"), name="S")])),
        rec(f("a", ["null", rec(name="S")])),
        MISSING,
        "a.x",
        "the writer does not write",
    ),
    (
        rec(f("a", {"type": "array", "items": "int"})),
        rec(f("a", {"type": "array", "items": "long"})),
        "TYPE_MISMATCH",
        "a[]",
        "long",
    ),
    (
        rec(f("a", {"type": "map", "values": "int"})),
        rec(f("a", {"type": "map", "values": "long"})),
        "TYPE_MISMATCH",
        "a{}",
        "long",
    ),
    (rec(f("a", E2)), rec(f("a", E3)), "MISSING_ENUM_SYMBOLS", "a", "C"),
    (rec(f("a", F4)), rec(f("a", F5)), "FIXED_SIZE_MISMATCH", "a", "4 bytes"),
    (
        rec(f("a", ["null", "int"])),
        rec(f("a", ["null", "int", "string", "boolean"])),
        "MISSING_UNION_BRANCH",
        "a",
        "string, boolean",
    ),
    (rec(f("a", ["null", E2])), rec(f("a", E3)), "MISSING_ENUM_SYMBOLS", "a", "C"),
    (rec(f("a", "int")), rec(f("a", ["null", "int"])), "TYPE_MISMATCH", "a", "null"),
    (rec(name="X"), rec(name="Y"), "NAME_MISMATCH", "", "alias"),
]


@pytest.mark.parametrize(("reader", "writer", "kind", "path", "word"), REASONS)
def test_section_3_each_reason_has_a_kind_a_path_and_a_sentence(
    reader: Any, writer: Any, kind: str, path: str, word: str
) -> None:
    (found,) = incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer)))
    assert (found.kind, found.path) == (kind, path)
    assert word in found.message
    assert str(found).startswith(path or "the schema")


def test_every_reason_is_told_once() -> None:
    reader = rec(f("a", "int"), f("b", rec(f("x", "int"), f("y", E2), name="S")), f("c", "S"))
    writer = rec(f("b", rec(f("y", E3), name="S")), f("c", "S"))
    found = incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer)))
    assert [i.path for i in found] == ["a", "b.x", "b.y"]


def test_a_pair_in_progress_is_no_licence() -> None:
    """The first branch of the outer union fails late, after it was relied on; the answer must not keep that."""
    inner = rec(f("up", ["null", "R"]), f("v", "int"), name="S")
    writer = rec(f("s", inner), f("late", "string"))
    reader = rec(f("s", {**inner, "fields": [f("up", ["null", "R"]), f("v", "long")]}), f("late", "int"))
    (found,) = incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer)))
    assert found.path == "late"
    assert incompatibilities(parse(json.dumps(["null", reader])), parse(json.dumps(["null", writer])))


def test_check_names_the_sides_by_direction() -> None:
    old, new = parse(json.dumps(rec(f("a", "int")))), parse(json.dumps(rec(f("b", "int"))))
    back, forth = (check(level, new, [old]) for level in ("BACKWARD", "FORWARD"))
    assert [i.path for i in (*back, *forth)] == ["b", "a"]
    assert "the new schema needs this field" in back[0].message
    assert "the old schema needs this field" in forth[0].message
    assert check("FULL", new, [old]) == [*back, *forth]


def chain(n: int, leaf: str, *, reverse: bool = False) -> dict[str, Any]:
    """Records that each use the one before twice: 2^n ways through."""
    fields = [f("f0", rec(f("a", leaf), name="R0"))]
    for k in range(1, n):
        fields.append(f(f"f{k}", rec(f("a", f"R{k - 1}"), f("b", f"R{k - 1}"), name=f"R{k}")))
    return rec(*(fields[::-1] if reverse else fields), name="Top")


def test_S23_no_pair_of_schemas_makes_the_work_explode() -> None:
    for n in (40, 3_000):
        reader, writer = (parse(json.dumps(chain(n, leaf))) for leaf in ("long", "int"))
        assert incompatibilities(reader, writer) == []
        assert [i.path for i in incompatibilities(writer, reader)] == ["f0.a"]
    last = rec(f("new", chain(3_000, "int"), default={}), f("z", "R2999"), name="T")
    reader = parse(json.dumps(last), check_defaults=False)
    other = parse(json.dumps(rec(f("gone", chain(3_000, "int")), f("z", "R2999"), name="T")))
    assert incompatibilities(reader, other) == []  # 3,000 records below each other, none met before


def test_S23_unions_of_thousands_of_branches() -> None:
    branches = [rec(f("a", "int"), name=f"B{k}") for k in range(3_000)]
    union = parse(json.dumps(branches))
    assert incompatibilities(union, union) == []
    more = parse(json.dumps([*branches, "string"]))
    assert [i.kind for i in incompatibilities(union, more)] == ["MISSING_UNION_BRANCH"]


def test_S23_reasons_are_bounded() -> None:
    new = parse(json.dumps(rec(*(f(f"a{k}", "int") for k in range(5_000)))))
    assert len(incompatibilities(new, parse(json.dumps(rec())))) == 200


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

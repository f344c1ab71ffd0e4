"""What is a schema (registry-api §3), and when two are one (§2, §7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.avro import parse, parse_topic_schema
from hub.errors import SchemaInvalid


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def f(name: str, of: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def array(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


def mapping(of: Any) -> dict[str, Any]:
    return {"type": "map", "values": of}


FIXED = {"type": "fixed", "name": "F", "size": 2}
S = rec(f("x", "int"), f("y", "string", default=""), name="S")

INVALID: list[tuple[Any, str]] = [
    (rec(f("a-b", "int")), "name"),
    (rec(f("1a", "int")), "name"),
    (rec(f("", "int")), "name"),
    (rec({"type": "int"}), "needs `name`"),
    (rec({"name": "a"}), "needs `type`"),
    (rec("a"), "needs `name`"),  # type: ignore[arg-type] # wrong on purpose
    (rec(name="a-b"), "not a name"),
    (rec(name=""), "not a name"),
    (rec(name="a..b"), "not a name"),
    (rec(name=".b"), "not a name"),
    (rec(namespace="a-b"), "not a name"),
    (rec(namespace=3), "namespace"),
    (rec(name="int"), "primitive"),
    (rec(name="x.string"), "primitive"),
    ({"type": "record", "fields": []}, "needs `name`"),
    ({"type": "record", "name": "R"}, "fields"),
    ({"type": "record", "name": "R", "fields": {}}, "fields"),
    (enum("a b"), "symbols"),
    (enum("A", "A"), "twice"),
    (enum("A", default="B"), "default"),
    (enum("A", default=1), "default"),
    ({"type": "enum", "name": "E"}, "symbols"),
    ({"type": "enum", "symbols": ["A"]}, "name"),
    ({"type": "fixed", "name": "F"}, "size"),
    ({"type": "fixed", "size": 1}, "name"),
    ({"type": "fixed", "name": "F", "size": -1}, "size"),
    ({"type": "fixed", "name": "F", "size": "4"}, "size"),
    ({"type": "fixed", "name": "F", "size": True}, "size"),
    ({"type": "fixed", "name": "F", "size": 2**31}, "size"),
    ({"type": "array"}, "items"),
    ({"type": "map"}, "values"),
    ({"items": "int"}, "type"),
    ({"type": 3}, "type"),
    ({}, "type"),
    (3, "a name, an object or a list"),
    (None, "a name, an object or a list"),
    ("strin", "unknown type"),
    (rec(f("a", "Unknown")), "unknown type"),
    (rec(f("a", rec(name="S", namespace="x")), f("b", "S")), "unknown type"),
    (rec(f("a", "int"), f("a", "int")), "two fields"),
    (rec(f("a", rec(name="R"))), "defined twice"),
    (rec(f("a", FIXED), f("b", FIXED)), "defined twice"),
    (rec(f("a", rec(name="R", namespace="x")), f("b", rec(name="x.R"))), "defined twice"),
    (["int", ["null"]], "union"),
    (["int", {"type": ["null"]}], "union"),
    (["int", "int"], "two branches"),
    (["long", {"type": "long", "logicalType": "timestamp-millis"}], "two branches"),
    ([array("int"), array("string")], "two branches"),
    ([mapping("int"), mapping("string")], "two branches"),
    (rec(f("a", S), f("b", ["S", "S"])), "two branches"),
    (rec(f("a", "int", aliases="b")), "aliases"),
    (rec(f("a", "int", aliases=[1])), "aliases"),
    (rec(aliases=["a-b"]), "alias"),
    (rec(f("a", "int", order="up")), "order"),
]


@pytest.mark.parametrize(("schema", "why"), INVALID)
def test_section_3_what_is_no_schema_says_why(schema: Any, why: str) -> None:
    with pytest.raises(SchemaInvalid, match=why):
        parse(json.dumps(schema))


DEFAULTS: list[tuple[Any, Any, bool]] = [
    ("null", None, True),
    ("null", "null", False),
    ("boolean", True, True),
    ("boolean", 1, False),
    ("boolean", "true", False),
    ("int", 2**31 - 1, True),
    ("int", 2**31, False),
    ("int", 1.0, False),
    ("int", "1", False),
    ("int", True, False),
    ("int", None, False),
    ("long", 2**63 - 1, True),
    ("long", 2**63, False),
    ("float", 1, True),
    ("float", 1.5, True),
    ("float", "1.5", False),
    ("double", 1e300, True),
    ("double", False, False),
    ("double", "NaN", False),
    ("string", "", True),
    ("string", 1, False),
    ("bytes", "\u00ff", True),
    ("bytes", "\u0100", False),
    ("bytes", 1, False),
    (FIXED, "ab", True),
    (FIXED, "abc", False),
    (FIXED, 1, False),
    (enum("A"), "A", True),
    (enum("A"), "B", False),
    (enum("A"), 1, False),
    (array("int"), [1, 2], True),
    (array("int"), [1, "2"], False),
    (array("int"), {}, False),
    (array(array("int")), [[1], []], True),
    (array(array("int")), [[1], 2], False),
    (mapping("int"), {"a": 1}, True),
    (mapping("int"), {"a": "1"}, False),
    (mapping("int"), [], False),
    (S, {"x": 1}, True),
    (S, {"x": 1, "y": "z"}, True),
    (S, {"x": 1, "other": 5}, True),
    (S, {"y": "z"}, False),
    (S, {"x": "1"}, False),
    (S, [], False),
    (array(S), [{"x": 1}, {"x": "1"}], False),
    (mapping(array(S)), {"k": [{"x": 1}]}, True),
    (["null", "int"], None, True),
    (["null", "int"], 1, True),
    (["null", "int"], "null", False),
    (["int", "null"], None, True),
    (["null", S], {"x": 1}, True),
    (["null", S], {}, False),
    ([], None, False),
    (["null", {"type": "int", "logicalType": "date"}], 1, True),
]


@pytest.mark.parametrize(("of", "default", "fits"), DEFAULTS)
def test_section_3_defaults_are_checked_deeply_and_not_by_lookup(of: Any, default: Any, fits: bool) -> None:
    text = json.dumps(rec(f("a", of, default=default)))
    assert parse(text, check_defaults=False).canonical
    if fits:
        parse(text)
    else:
        with pytest.raises(SchemaInvalid, match="default") as caught:
            parse(text)
        assert caught.value.where.startswith("a")


def test_section_3_a_default_may_be_of_the_type_being_defined() -> None:
    node = rec(f("v", "int"), f("next", ["null", "R"], default={"v": 1, "next": None}))
    parse(json.dumps(node))
    with pytest.raises(SchemaInvalid, match="default"):
        parse(json.dumps(rec(f("v", "int"), f("next", ["null", "R"], default={"v": 1, "next": 5}))))


VALID: list[Any] = [
    "string",
    {"type": "string"},
    ["null", "int"],
    [],
    array("int"),
    mapping(["null", "long"]),
    rec(),
    enum(),
    enum("A", default="A"),
    {"type": "fixed", "name": "F", "size": 0},
    rec(f("next", ["null", "R"], default=None)),
    rec(f("a", {"type": "int", "logicalType": "no-such"})),
    rec(f("a", {"type": "string", "logicalType": "date"})),
    rec(f("a", rec(name="S", namespace="x")), f("b", "x.S")),
    rec(f("a", rec(f("c", "R"), name="S", namespace="x"))),  # R has no namespace: found from inside one
    rec(f("a", "int", order="descending"), aliases=["x.Old"], doc="d"),
    rec(name="a.b.R", namespace="ignored-when-dotted"),
    rec(name="record"),
    {"type": "error", "name": "R", "fields": []},
    {"type": {"type": "array", "items": {"type": "int"}}},
    rec(f("a", {"type": "string", "x": {"deep": [1, {"y": None}]}})),
]


@pytest.mark.parametrize("schema", VALID)
def test_section_3_what_avro_accepts_is_accepted_and_its_text_is_stable(schema: Any) -> None:
    made = parse(json.dumps(schema)).canonical
    assert parse(made).canonical == made


@pytest.mark.parametrize("text", ['"string"', ' "int" ', '{"type" : "bytes"}'])
def test_section_3_a_bare_primitive(text: str) -> None:
    assert parse(text).canonical in ('"string"', '"int"', '"bytes"')


ONE: list[tuple[Any, Any]] = [
    ({"type": "int"}, "int"),
    ({"type": "int", "name": "n", "namespace": "x"}, "int"),
    ({"type": {"type": "int"}}, "int"),
    ({"type": {"type": "int", "x": 1}}, {"type": "int", "x": 1}),
    ({**array("int"), "name": "n"}, array("int")),
    (rec(name="x.R"), rec(namespace="x")),
    (rec(name="x.R", namespace="y"), rec(namespace="x")),
    (rec(f("a", "int", order="ascending")), rec(f("a", "int"))),
    (rec(f("a", ["null", "x.R"]), namespace="x"), rec(f("a", ["null", "R"]), namespace="x")),
    (rec(f("a", rec(name="x.S")), namespace="x"), rec(f("a", rec(name="S")), namespace="x")),
    (rec(f("a", rec(name="S", namespace="x")), namespace="x"), rec(f("a", rec(name="S")), namespace="x")),
    (
        {"fields": [], "name": "R", "type": "record", "doc": "d"},
        {"type": "record", "doc": "d", "name": "R", "fields": []},
    ),
    (
        {"type": "bytes", "logicalType": "decimal", "scale": 2, "precision": 9},
        {"precision": 9, "scale": 2, "type": "bytes", "logicalType": "decimal"},
    ),
    (rec(f("a", "int", default=1, doc="d")), rec({"doc": "d", "default": 1, "type": "int", "name": "a"})),
]


@pytest.mark.parametrize(("one", "other"), ONE)
def test_section_2_what_is_not_significant(one: Any, other: Any) -> None:
    made = parse(json.dumps(one, indent=2)).canonical
    assert made == parse(json.dumps(other)).canonical
    assert " " not in made


TWO: list[tuple[Any, Any]] = [
    (rec(), rec(name="Q")),
    (rec(), rec(namespace="x")),
    (rec(), rec(doc="d")),
    (rec(doc="e"), rec(doc="d")),
    (rec(), rec(aliases=["Q"])),
    (rec(f("a", "int"), f("b", "int")), rec(f("b", "int"), f("a", "int"))),
    (rec(f("a", "int")), rec(f("a", "int", default=1))),
    (rec(f("a", "int", default=2)), rec(f("a", "int", default=1))),
    (rec(f("a", "int")), rec(f("a", "int", order="ignore"))),
    (rec(f("a", "int")), rec(f("a", "int", doc="d"))),
    (enum("A", "B"), enum("B", "A")),
    ("int", {"type": "int", "logicalType": "date"}),
    ("string", {"type": "string", "x": 1}),
    ({"type": "string", "x": 2}, {"type": "string", "x": 1}),
    (rec(), rec(x=1)),
    (rec(f("a", "int")), rec(f("a", "int", x=1))),
    (rec(x=1, y=2), rec(y=2, x=1)),  # folded by `normalize` only
    (["null", "int"], ["int", "null"]),
    (rec(f("a", rec(name="S", namespace="")), namespace="x"), rec(f("a", rec(name="S")), namespace="x")),
]


@pytest.mark.parametrize(("one", "other"), TWO)
def test_section_2_what_is_significant(one: Any, other: Any) -> None:
    assert parse(json.dumps(one)).canonical != parse(json.dumps(other)).canonical


def test_section_2_the_key_order_is_the_preferred_one() -> None:
    sent = (
        '{"z":1,"fields":[{"x":2,"type":"int","name":"a"}],"doc":"d",'
        '"aliases":["Q"],"namespace":"n","name":"R","type":"record"}'
    )
    assert parse(sent).canonical == (
        '{"type":"record","name":"R","namespace":"n","doc":"d",'
        '"fields":[{"name":"a","type":"int","x":2}],"aliases":["Q"],"z":1}'
    )


def test_section_2_a_type_outside_the_namespace_around_it_stays_outside() -> None:
    schema = rec(f("a", rec(f("x", "int"), name="S", namespace="")), f("b", "S"), namespace="x")
    made = parse(json.dumps(schema))
    again = parse(made.canonical)
    assert set(made.names) == set(again.names) == {"x.R", "S"}
    assert again.canonical == made.canonical


def test_section_7_normalize_sorts_properties_at_every_depth() -> None:
    one = rec(f("a", {"type": "string", "q": 1, "p": {"b": [{"z": 1, "y": 2}], "a": 0}}, v=1, u=2), y=1, x=2)
    two = rec(f("a", {"type": "string", "p": {"a": 0, "b": [{"y": 2, "z": 1}]}, "q": 1}, u=2, v=1), x=2, y=1)
    texts = [json.dumps(one), json.dumps(two)]
    assert len({parse(t).canonical for t in texts}) == 2
    (made,) = {parse(t, normalise=True).canonical for t in texts}
    assert parse(made).canonical == made
    other = parse(json.dumps(rec(f("b", "int"), f("a", "int"))), normalise=True).canonical
    assert [field["name"] for field in json.loads(other)["fields"]] == ["b", "a"]  # order of fields is no property


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSON"),
        ("", "JSON"),
        ("string", "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"type":"array","items":' * 40 + '"int"' + "}" * 40, "deeper"),
        ('{"type":"record","name":"R","fields":[],"type":"record"}', "twice"),
        ('{"type":"int","x":NaN}', "NaN"),
        ('{"type":"int","x":1e999}', "too large"),
        ('{"type":"int","x":' + "9" * 10_000 + "}", "JSON"),
        ('{"type":"int","x":"\\ud800"}', "Unicode"),
        ('{"type":"string","x":' + "[" * 980 + "]" * 980 + "}", "deep|JSON"),
        ('"' + "x" * 1_000_001 + '"', "at most"),
    ],
)
def test_S23_documents_that_are_none(text: str, why: str) -> None:
    with pytest.raises(SchemaInvalid, match=why):
        parse(text)


def test_S23_large_but_legal() -> None:
    wide = rec(*(f(f"field_{n}", ["null", "string"], default=None) for n in range(8_000)))
    assert len(parse(json.dumps(wide)).canonical) > 400_000
    assert len(parse(json.dumps(rec(doc="d" * 900_000))).canonical) > 900_000


def test_S23_a_default_cannot_make_the_check_explode() -> None:
    """Each level of the value fits two records by name, and fails in both, deep down."""
    inner = rec(f("a", ["int", "A", "B"]), f("b", "int"), name="B")
    outer = rec(f("a", ["int", "A", inner]), f("b", "int"), name="A")
    value: Any = "no number"
    for _ in range(30):
        value = {"a": value, "b": 1}
    with pytest.raises(SchemaInvalid, match="default"):
        parse(json.dumps(rec(f("u", outer), f("x", ["A", "B"], default=value))))
    for _ in range(100):
        value = {"a": value, "b": 1}
    with pytest.raises(SchemaInvalid, match="default"):
        parse(json.dumps(rec(f("u", outer), f("x", ["A", "B"], default=value))))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("int", "record"),
        (rec(f("next", ["null", "R"], default=None)), "recursive"),
        (rec(f("a", array("null"))), "without bytes"),
        (rec(f("a", array(rec(f("x", "null"), name="S")))), "without bytes"),
        (rec(*(f(f"f{n}", "int") for n in range(2_001))), "2,000 fields"),
    ],
)
def test_S23_R29_what_a_topic_refuses(schema: Any, why: str) -> None:
    parse(json.dumps(schema))
    with pytest.raises(SchemaInvalid, match=why):
        parse_topic_schema(json.dumps(schema))


def test_S23_R29_a_topic_counts_fields_where_they_stand() -> None:
    """Records that each use the one before twice: 2^60 columns in a small document."""
    fields = [f("f0", rec(f("a", "int"), name="R0"))]
    fields += [f(f"f{k}", rec(f("a", f"R{k - 1}"), f("b", f"R{k - 1}"), name=f"R{k}")) for k in range(1, 60)]
    with pytest.raises(SchemaInvalid, match=r"fields|deeper"):
        parse_topic_schema(json.dumps(rec(*fields)))


def test_types_of_other_documents_are_known() -> None:
    address = parse(json.dumps(rec(f("street", "string"), name="edu.Address")))
    for use, namespace in (("edu.Address", "x"), ("Address", "edu")):
        made = parse(json.dumps(rec(f("home", use), name="Person", namespace=namespace)), address.names)
        assert made.names["edu.Address"] is address.type
    with pytest.raises(SchemaInvalid, match="unknown type"):
        parse(json.dumps(rec(f("home", "Address"), name="Person", namespace="x")), address.names)
    with pytest.raises(SchemaInvalid, match="defined twice"):
        parse(json.dumps(rec(name="edu.Address")), address.names)

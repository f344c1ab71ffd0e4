"""What is clear of a record that is shown, and what is not (G13)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.avro import parse_topic_schema
from hub.avro.types import Record
from hub.views.masked import ITEMS, LONG, masked

CANARY = "canary Zq81"


def record(of: Any, classification: str | None = None, **more: Any) -> Record:
    field = {"name": "f", "type": of, **({"classification": classification} if classification else {}), **more}
    return parse_topic_schema(json.dumps({"type": "record", "name": "R", "fields": [field]}))


def inner(classification: str | None) -> dict[str, Any]:
    made = {"name": "g", "type": "string", **({"classification": classification} if classification else {})}
    return {"type": "record", "name": "Inner", "fields": [made]}


@pytest.mark.parametrize("classification", [None, "internal", "personal", "sensitive", "Public", "open?"])
def test_G13_only_public_is_clear(classification: str | None) -> None:
    assert masked({"f": "Ada Lovelace, 1815"}, record("string", classification)) == {"f": "xxx xxxxxxxx, 9999"}
    assert masked({"f": "Ada"}, record("string", "public")) == {"f": "Ada"}


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("int", 1815, "9999"),
        ("double", -2.5, "-9.9"),
        ("boolean", True, "x"),
        ("boolean", False, "x"),
        ({"type": "enum", "name": "E", "symbols": ["MALE", "FEMALE"]}, "MALE", "x"),
        ({"type": "enum", "name": "E", "symbols": ["MALE", "FEMALE"]}, "FEMALE", "x"),
        (["null", "string"], None, None),
        (["null", "string"], "a1", "x9"),
        (["null", "string", "int"], "a1", "x9"),
        ({"type": "array", "items": "string"}, ["a", "bc"], ["x", "xx"]),
        ({"type": "map", "values": "string"}, {CANARY: "a"}, "1 entries"),
        ("bytes", "AAEC", "xxxx"),
        ("string", "a\u202eb" + "c" * 40, "x?x" + "x" * 21 + "…"),
    ],
)
def test_G13_every_type_has_a_shape_and_few_words_have_one_together(kind: Any, value: Any, shown: Any) -> None:
    assert masked({"f": value}, record(kind, "personal")) == {"f": shown}


@pytest.mark.parametrize("outer", [None, "public", "personal"])
@pytest.mark.parametrize("within", [None, "public", "personal"])
@pytest.mark.parametrize("wrap", ["record", "array", "map", "nullable", "union"])
def test_G13_a_nested_value_is_clear_only_where_all_on_the_way_is_public(
    outer: str | None, within: str | None, wrap: str
) -> None:
    value: Any = {"g": CANARY}
    kind: Any = inner(within)
    if wrap == "array":
        kind, value = {"type": "array", "items": kind}, [value]
    elif wrap == "map":
        kind, value = {"type": "map", "values": kind}, {"k": value}
    elif wrap == "nullable":
        kind = ["null", kind]
    elif wrap == "union":
        kind = ["null", "string", kind]
    told = json.dumps(masked({"f": value}, record(kind, outer)))
    assert (CANARY in told) == (outer == within == "public")


def test_what_is_clear_is_cut_where_it_is_long() -> None:
    assert masked({"f": "a" * 500}, record("string", "public")) == {"f": "a" * LONG + "…"}
    many = masked({"f": list(range(50))}, record({"type": "array", "items": "int"}, "public"))
    assert many == {"f": [*range(ITEMS), "…"]}

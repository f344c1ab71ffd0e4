"""Random Avro schemas, and values that fit them."""

from __future__ import annotations

import datetime as dt
import decimal

import hypothesis.strategies as st

SCALARS = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3},
]
UTC = dt.timezone.utc  # noqa: UP017 - fastavro compares with it


def named(draw: st.DrawFn, counter: list[int]) -> dict:
    counter[0] += 1
    kind = draw(st.sampled_from(["enum", "fixed", "decimal"]))
    name = f"N{counter[0]}"
    if kind == "enum":
        return {"type": "enum", "name": name, "symbols": ["RED", "GREEN", "BLUE"]}
    if kind == "fixed":
        return {"type": "fixed", "name": name, "size": draw(st.integers(1, 9))}
    return {"type": "fixed", "name": name, "size": 8, "logicalType": "decimal", "precision": 15, "scale": 2}


@st.composite
def types(draw: st.DrawFn, counter: list[int], depth: int = 0, *, nullable: bool = True) -> object:
    choices = ["scalar", "scalar", "named"]
    if depth < 2:
        choices += ["record", "array", "map"]
    if nullable:
        choices.append("union")
    kind = draw(st.sampled_from(choices))
    if kind == "scalar":
        return draw(st.sampled_from(SCALARS))
    if kind == "named":
        return named(draw, counter)
    if kind == "array":
        return {"type": "array", "items": draw(types(counter, depth + 1))}
    if kind == "map":
        return {"type": "map", "values": draw(types(counter, depth + 1))}
    if kind == "union":
        inner = draw(types(counter, depth + 1, nullable=False))
        return draw(st.permutations(["null", inner]))
    return draw(records(counter, depth + 1))


@st.composite
def records(draw: st.DrawFn, counter: list[int], depth: int = 0) -> dict:
    counter[0] += 1
    name = f"R{counter[0]}"
    fields = [{"name": f"f{i}", "type": draw(types(counter, depth))} for i in range(draw(st.integers(1, 4)))]
    return {"type": "record", "name": name, "fields": fields}


def values(of: object) -> st.SearchStrategy:
    if isinstance(of, list):
        return st.one_of(*[values(b) for b in of])
    if isinstance(of, str):
        return {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1),
            "float": st.floats(width=32, allow_nan=False),
            "double": st.floats(allow_nan=False),
            "bytes": st.binary(max_size=20),
            "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        }[of]
    assert isinstance(of, dict)
    logical = of.get("logicalType")
    if logical:
        return logical_values(of)
    if of["type"] == "record":
        return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in of["fields"]})
    if of["type"] == "array":
        return st.lists(values(of["items"]), max_size=4)
    if of["type"] == "map":
        return st.dictionaries(st.text("abc", max_size=3), values(of["values"]), max_size=3)
    if of["type"] == "enum":
        return st.sampled_from(of["symbols"])
    return st.binary(min_size=of["size"], max_size=of["size"])


def logical_values(of: dict) -> st.SearchStrategy:
    logical = of["logicalType"]
    low, high = dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001 - local times too
    if logical == "date":
        return st.dates()
    if logical == "uuid":
        return st.uuids().map(str)
    if logical == "decimal":
        limit = 10 ** of["precision"] - 1
        # fastavro gives -128, -32768 … a byte more than they need
        numbers = st.integers(-limit, limit).filter(lambda n: n >= 0 or n not in {-(1 << b) for b in range(7, 128, 8)})
        return numbers.map(lambda n: decimal.Decimal(n).scaleb(-of["scale"]))
    milli = logical.endswith("millis")

    def cut(t: object) -> object:
        return t.replace(microsecond=t.microsecond // 1000 * 1000) if milli else t

    if logical.startswith("time-"):
        return st.times().map(cut)
    if logical.startswith("local"):
        return st.datetimes(low, high).map(cut)
    return st.datetimes(low, high, timezones=st.just(UTC)).map(cut)

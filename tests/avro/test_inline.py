"""References written out: each definition once, where it is first used, and the same schema as before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.avro import parse
from hub.avro.inline import written_out


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def f(name: str, of: Any = "int", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, **more}


A = rec(f("x"), name="A", namespace="n")
B = rec(f("a", A), f("b", {"type": "map", "values": "A"}), name="B", namespace="n")
E = {"type": "enum", "name": "E", "symbols": ["S"]}


@pytest.mark.parametrize(
    ("document", "others", "whole"),
    [
        (rec(f("p", "n.A")), [A], rec(f("p", A))),
        (rec(f("p", "n.A"), f("q", ["null", "n.A"])), [A], rec(f("p", A), f("q", ["null", "n.A"]))),
        (rec(f("p", "A"), namespace="n"), [A], rec(f("p", A), namespace="n")),
        (rec(f("p", "n.B"), f("q", "n.A")), [B], rec(f("p", B), f("q", "n.A"))),
        (
            rec(f("q", "n.A"), f("p", "n.B")),
            [B],
            rec(f("q", A), f("p", rec(f("a", "A"), f("b", {"type": "map", "values": "A"}), name="B", namespace="n"))),
        ),
        (rec(f("p", {"type": "array", "items": "E"})), [E], rec(f("p", {"type": "array", "items": E}))),
        (rec(f("p", "E"), namespace="n"), [E], rec(f("p", {**E, "namespace": ""}), namespace="n")),
        (["null", "n.A"], [A], ["null", A]),
        ("n.A", [A], A),
        ("string", [A], "string"),
        (rec(f("r", ["null", "R"])), [], rec(f("r", ["null", "R"]))),
        (rec(f("p", {"type": {"type": "n.A", "x": 1}})), [A], rec(f("p", {"type": A, "x": 1}))),
    ],
)
def test_written_out(document: Any, others: list[Any], whole: Any) -> None:
    made = written_out(document, others)
    assert made == parse(json.dumps(whole)).canonical


def test_S23_a_chain_of_doubles_is_written_once() -> None:
    fields = [f("f0", rec(f("a"), name="R0"))]
    fields += [f(f"f{k}", rec(f("a", f"R{k - 1}"), f("b", f"R{k - 1}"), name=f"R{k}")) for k in range(1, 12)]
    made = written_out(rec(f("p", "R11"), name="Top"), [rec(*fields, name="Chain")])
    assert len(made) < 10_000
    assert set(parse(made).names) == {"Top", *(f"R{k}" for k in range(12))}
    deep = [f("f0", rec(f("a"), name="R0"))]
    deep += [f(f"f{k}", rec(f("a", f"R{k - 1}"), name=f"R{k}")) for k in range(1, 5_000)]
    assert written_out(rec(f("p", "R4999"), name="Top"), [rec(*deep, name="Chain")]) == ""

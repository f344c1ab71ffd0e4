"""What functions are given in tests: the shipped code lists, a key that is no secret, and a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

import schemas
from hub.catalogue.codes import load_codes
from hub.mapping.functions import TABLE
from hub.mapping.values import REASONS

FOLDER = Path(schemas.__file__).parent
SHIPPED, MISTAKES = load_codes([FOLDER], {FOLDER: "shipped"})
TODAY = dt.date(2026, 11, 25)
KEYS = {"EXAMPLE": b"the key of the examples, no secret", "SHORT": b"too short"}
REFERENCE = replace(SHIPPED, keys=KEYS.__getitem__, today=lambda: TODAY)


def call(name: str, *columns: pa.Array, literals: Sequence[Any] = ()) -> tuple[list[Any], dict[str, int]]:
    """A function over columns: row by row its value, or its reason as text in brackets, and its warnings."""
    made, failed, warnings = TABLE[name].bind(literals, REFERENCE)(columns)
    made.validate(full=True)
    assert made.type == TABLE[name].result(literals)
    values = made.to_pylist()
    if failed is not None:
        assert all(v is None for v, code in zip(values, failed, strict=True) if code)
        assert {REASONS[c] for c in failed.tolist()} - {""} <= set(TABLE[name].reasons)
        values = [f"[{REASONS[c]}]" if c else v for v, c in zip(values, failed.tolist(), strict=True)]
    assert warnings.keys() <= set(TABLE[name].warnings)
    return values, dict(warnings)


def over(name: str, *values: str | None, literals: Sequence[Any] = ()) -> list[Any]:
    """A function over texts, without its warnings."""
    return call(name, pa.array(values, pa.string()), literals=literals)[0]


def warned(name: str, value: str) -> list[str]:
    """The warnings of one text."""
    return sorted(call(name, pa.array([value]))[1])

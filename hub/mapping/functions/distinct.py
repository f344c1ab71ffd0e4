"""Slow per-value work done once for each distinct value of a column (R14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from hub.mapping.values import CODE, Codes, valid

Verdict = tuple[Any, str]  # a value and "", or None and the reason


def judged(column: pa.Array, judge: Callable[[str], Verdict], kind: pa.DataType) -> tuple[pa.Array, Codes | None]:
    """A column of what a function says of each text, and of its reasons."""
    coded = column.dictionary_encode()
    verdicts = [judge(v) for v in coded.dictionary.to_pylist()]
    made = pa.array([value for value, _reason in verdicts], kind).take(coded.indices)
    reasons = np.array([CODE[reason] for _value, reason in verdicts], np.int16)
    if not reasons.any():
        return made, None
    there = valid(column)
    failed = np.zeros(len(column), np.int16)
    failed[there] = reasons[np.asarray(coded.indices.drop_null())]
    return made, failed


def over_distinct(column: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """A column of what a function makes of each text."""
    coded = column.dictionary_encode()
    return pa.array([change(v) for v in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)

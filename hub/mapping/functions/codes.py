"""Codes from one list to another, or from names to codes (R14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.codelists import CodeLists, fold
from hub.mapping.functions.table import Function, Kernel, always, constant, text
from hub.mapping.values import Codes, blank, fail, merge, valid


def _bind(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    walk = codes.walk(str(literals[0]), str(literals[1]))
    keys, targets = pa.array(list(walk.table), pa.string()), pa.array(list(walk.table.values()), pa.string())
    ambiguous, retired = pa.array(sorted(walk.ambiguous), pa.string()), pa.array(sorted(walk.retired), pa.string())

    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        column = _folded(columns[0]) if walk.by_name else columns[0]
        there = valid(column)
        place = pc.index_in(column, keys)
        unclear = np.asarray(pc.is_in(column, ambiguous)) & there if len(ambiguous) else np.zeros(len(column), np.bool_)
        unknown = there & ~valid(place)
        warnings = _warnings(column, retired)
        return (
            blank(targets.take(place), unclear),
            merge(fail(unclear, "AMBIGUOUS_NAME"), fail(unknown, "UNKNOWN_CODE")),
            warnings,
        )

    return kernel


def _folded(column: pa.Array) -> pa.Array:
    coded = column.dictionary_encode()
    return pa.array([fold(v) for v in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _warnings(column: pa.Array, retired: pa.Array) -> dict[str, int]:
    if not len(retired):
        return {}
    count = pc.sum(pc.is_in(column, retired)).as_py() or 0
    return {"RETIRED_CODE": count} if count else {}


FUNCTIONS = (
    Function(
        name="code",
        doc="The code of one list for a code of another, by cross-walk; with `.name` after the first list, from a name "
        "(accents, case and apostrophes do not count); with `.name` after the second, the name.",
        parameters=(text(), constant("from"), constant("to")),
        result=always(pa.string()),
        bind=_bind,
        reasons=("UNKNOWN_CODE", "AMBIGUOUS_NAME"),
        warnings=("RETIRED_CODE",),
        examples=(
            ("code('A145', 'example.cadastral', 'example.istat')", "009001"),
            ("code('FORLI''', 'example.istat.name', 'example.istat')", "040012"),
            ("code('009001', 'example.istat', 'example.istat.name')", "Alassio"),
        ),
    ),
)

"""Texts of one length as a matrix of bytes, so that a whole column of codes is checked with a few numpy operations.

A matrix has one row a place and one column a text: numpy is fast along what lies together in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub import buffers, ragged
from hub.mapping.functions.distinct import over_distinct
from hub.mapping.functions.table import Kernel
from hub.mapping.values import Codes, Mask
from hub.mapping.writing import tidy_code

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]  # since 1970, or the numbers that make a date
Made: TypeAlias = tuple[pa.Array, "Codes | None", dict[str, int]]
Core = Callable[[pa.Array], Made]  # a kernel over one text column, strict about how the text is written


def cells_of(column: pa.Array, width: int, wanted: Mask) -> tuple[Ints, Bytes]:
    """Wanted rows whose value is that many bytes long, and their bytes by place."""
    offsets, data = buffers.text(column)
    rows = np.flatnonzero(((offsets[1:] - offsets[:-1]) == width) & wanted)
    return rows, np.ascontiguousarray(ragged.windows(data, offsets[rows].astype(np.int64), width).T)


def widths(column: pa.Array) -> npt.NDArray[np.int32]:
    """The length of each text in bytes; of NULL, anything."""
    offsets, _data = buffers.text(column)
    return offsets[1:] - offsets[:-1]


def texts_of(cells: Bytes) -> pa.Array:
    """Texts of one length from their ASCII bytes by place."""
    width, rows = cells.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(cells.T)))


def tidied(core: Core) -> Kernel:
    """The strict kernel first; rows it refuses once more as `tidy_code` leaves them. Clean columns cost nothing more."""

    def kernel(columns: Sequence[pa.Array]) -> Made:
        made, failed, warnings = core(columns[0])
        if failed is None:
            return made, None, warnings
        rows = np.flatnonzero(failed)
        again, still, more = core(over_distinct(columns[0].take(pa.array(rows)), tidy_code))
        codes = np.zeros(len(made), np.int16)
        codes[rows] = 0 if still is None else still
        made = pc.replace_with_mask(made, pa.array(failed != 0), again)
        return (
            made,
            codes if codes.any() else None,
            {k: warnings.get(k, 0) + more.get(k, 0) for k in {**warnings, **more}},
        )

    return kernel

"""Rows put together from columns against Python's own concatenation, at every length at which the way changes."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from hub import buffers, ragged
from hub.avro.resolution import varint
from hub.errors import LimitExceeded

LENGTHS = (0, 1, 2, 7, 8, 9, 31, 63, 64, 65, 128, 255, 256, 257, 511, 512, 513, 700)
ROWS = (0, 1, 2, ragged.FEW - 1, ragged.FEW, ragged.FEW + 1, 40)


@st.composite
def columns(draw: st.DrawFn) -> tuple[int, list[tuple[ragged.Piece, list[bytes]]]]:
    """So many rows, and pieces with the bytes that each stands for."""
    rows = draw(st.sampled_from(ROWS))
    seed = draw(st.integers(0, 2**32 - 1))
    kinds = draw(st.lists(st.sampled_from(["same", "stretches", "cells", "cut", "short", "long", "any"]), max_size=8))
    random = np.random.default_rng(seed)
    return rows, [_piece(kind, rows, random) for kind in kinds]


def _piece(kind: str, rows: int, random: Any) -> tuple[ragged.Piece, list[bytes]]:
    def some(size: int) -> bytes:
        return bytes(random.integers(0, 256, size, np.uint8))

    if kind == "same":
        data = some(int(random.integers(0, 300)))
        return ragged.Same(data), [data] * rows
    if kind == "stretches":
        first = int(random.integers(0, rows + 1))
        parts = [(first, some(int(random.integers(0, 20)))), (rows - first, some(int(random.integers(0, 20))))]
        return ragged.Stretches(parts), [data for n, data in parts for _ in range(n)]
    if kind in ("cells", "cut"):
        matrix = random.integers(0, 256, (rows, int(random.integers(1, 12))), np.uint8)
        sizes = random.integers(0, matrix.shape[1] + 1, rows) if kind == "cut" else None
        cut = [matrix.shape[1]] * rows if sizes is None else sizes.tolist()
        return ragged.Cells(matrix, sizes), [row[:n].tobytes() for row, n in zip(matrix, cut, strict=True)]
    most = {"short": 20, "long": 700, "any": int(random.choice(LENGTHS))}[kind]
    values = [some(int(random.integers(0, most + 1))) for _ in range(rows)]
    return ragged.slices(pa.array(values, pa.binary())), values


@settings(max_examples=300)
@given(columns())
def test_rows_are_their_pieces_one_after_the_other(case: tuple[int, list[tuple[ragged.Piece, list[bytes]]]]) -> None:
    rows, pieces = case
    expected = [b"".join(values[i] for _, values in pieces) for i in range(rows)]
    made = ragged.join([piece for piece, _ in pieces], rows)
    assert made.column().to_pylist() == expected
    assert ragged.sizes_of([piece for piece, _ in pieces], rows).tolist() == [len(e) for e in expected]


@settings(max_examples=200)
@given(st.sampled_from(ROWS), st.sampled_from(LENGTHS), st.integers(0, 2**32 - 1))
def test_values_are_gathered_from_anywhere(rows: int, most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(0, most + 1, rows)
    data = random.integers(0, 256, int(sizes.max(initial=0)) + int(random.integers(0, 100)), np.uint8)
    starts = np.array([random.integers(0, len(data) - n + 1) for n in sizes], np.int64)
    made = ragged.gather(ragged.Slices(data, starts, sizes))
    assert made.column().to_pylist() == [data[s : s + n].tobytes() for s, n in zip(starts, sizes, strict=True)]


def test_numpy_assigns_overlapping_windows_in_the_order_of_the_index() -> None:
    rows = 100_000  # more than any of its buffers
    sizes = np.arange(rows) % 60 + 1
    data = np.random.default_rng(1).integers(0, 256, int(sizes.sum()) + 64, np.uint8)
    starts = np.cumsum(sizes) - sizes
    assert ragged.gather(ragged.Slices(data, starts, sizes)).data.tobytes() == data[: sizes.sum()].tobytes()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30), st.integers(0, 63))
def test_varints_of_any_width(numbers: list[int], shift: int) -> None:
    narrow = np.array([n >> shift for n in numbers], np.int64)
    made = ragged.join([ragged.varints(narrow)], len(narrow)).column().to_pylist()
    assert made == [varint(n) for n in narrow.tolist()]


@given(st.lists(st.integers(0, 2**40), max_size=30), st.integers(0, 40))
def test_lengths_of_any_width(numbers: list[int], shift: int) -> None:
    narrow = np.array([n >> shift for n in numbers], np.int64)
    made = ragged.join([ragged.lengths(narrow)], len(narrow)).column().to_pylist()
    assert made == [varint(n) for n in narrow.tolist()]


def test_rows_longer_than_a_column_can_be_are_refused() -> None:
    whole = np.zeros(1 << 20, np.uint8)
    many = np.full(5_000, len(whole))
    with pytest.raises(LimitExceeded):
        ragged.join([ragged.Slices(whole, np.zeros(5_000, np.int64), many)], 5_000)


CHOICES = [
    pa.array(["a", None, "é", "", "xyz"] * 5),
    pa.array([1, None, 3] * 7, pa.int32()),
    pa.array([True, None, False] * 7),
    pa.array([b"ab", None, b"cd"] * 6, pa.binary(2)),
    pa.array([[1], None, []] * 6),
    pa.nulls(12),
    pa.array(["x", "y"] * 9).dictionary_encode(),
]


@pytest.mark.parametrize("column", CHOICES, ids=lambda c: str(c.type))
@pytest.mark.parametrize(("start", "length"), [(0, 18), (1, 9), (8, 4), (9, 0), (3, 1)])
def test_masks_of_any_slice_are_arrow_s_own(column: pa.Array, start: int, length: int) -> None:
    part = column.slice(start, length)
    assert buffers.valid(part).tolist() == part.is_valid().to_pylist()
    bad = np.arange(len(part)) % 2 == 0
    expected = [None if b else v for b, v in zip(bad, part.to_pylist(), strict=True)]
    blanked = buffers.blank(part, bad)
    blanked.validate(full=True)
    assert blanked.to_pylist() == expected
    if pa.types.is_boolean(part.type):
        assert buffers.truth(part).tolist() == [bool(v) for v in part.to_pylist()]
        assert buffers.truth(part, null=True).tolist() == [v is not False for v in part.to_pylist()]


@given(st.lists(st.one_of(st.binary(max_size=4), st.text(max_size=4).map(str.encode)), max_size=12), st.integers(0, 3))
def test_utf8_is_told_value_by_value_or_at_once(values: list[bytes], start: int) -> None:
    raw = pa.array(values, pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers()).slice(min(start, len(raw)))

    def decodes(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    rest = values[min(start, len(raw)) :]
    assert buffers.is_utf8(text) == all(decodes(v) for v in rest)
    assert buffers.is_ascii(text) == all(v.isascii() for v in rest)


def test_a_character_cut_in_two_is_no_utf8() -> None:
    whole = "é".encode()
    raw = pa.array([whole[:1], whole[1:]], pa.binary())
    assert not buffers.is_utf8(pa.Array.from_buffers(pa.string(), 2, raw.buffers()))

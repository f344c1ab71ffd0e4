"""Numbers and slices at many places at once, against Python's own arithmetic."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from hub.blocks import varint
from hub.lockstep import Lockstep, TooLong

WIDTHS = [st.integers(-(2 ** (7 * k - 1)), 2 ** (7 * k - 1) - 1) for k in range(1, 9)] + [
    st.integers(-(2**63), 2**63 - 1)
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(WIDTHS), max_size=30) | st.lists(WIDTHS[1], max_size=30) | st.lists(WIDTHS[0], max_size=30))
def test_varints_of_every_length(numbers: list[int]) -> None:
    parts = [varint(number) for number in numbers]
    data = Lockstep(*parts)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64) if parts else np.empty(0, np.int64)
    at = ends - np.array([len(part) for part in parts], np.int64)
    values, after = data.numbers(at)
    assert values.tolist() == numbers
    assert after.tolist() == data.behind(at).tolist() == ends.tolist()


@pytest.mark.parametrize("bad", [b"\xff" * 10, b"\x80" * 9 + b"\x02", b"\xff" * 12])
def test_a_varint_over_64_bits_is_named_by_its_place(bad: bytes) -> None:
    parts = [varint(3), varint(-(2**63)), bad]
    data = Lockstep(*parts)
    at = np.array([0, 1, 11], np.int64)
    for read in (data.numbers, data.behind):
        with pytest.raises(TooLong) as caught:
            read(at)
        assert caught.value.place == 2


def test_a_varint_at_the_very_end_may_be_looked_at() -> None:
    data = Lockstep(b"\x02")
    assert data.numbers(np.array([0, 1], np.int64))[0].tolist() == [1, 0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=9), st.none() | st.binary(max_size=9)), max_size=20))
def test_slices_leave_out_what_lies_between(found: list[tuple[bytes, bytes | None]]) -> None:
    data = Lockstep(*[part for gap, value in found for part in (gap, value or b"")])
    lengths = np.array([len(value or b"") for _gap, value in found], np.int64)
    both = np.array([len(gap) for gap, _value in found], np.int64) + lengths
    starts = np.cumsum(both) - lengths
    values = [value for _gap, value in found]
    valid = np.array([value is not None for value in values], np.bool_)
    made = data.slices(starts, lengths, valid)
    made.validate(full=True)
    assert made.to_pylist() == values
    assert data.slices(starts, lengths).to_pylist() == [value or b"" for value in values]


def test_slices_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Lockstep(b"abcdef").slices(np.array([0, 2]), np.array([3, 1]))

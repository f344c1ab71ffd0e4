"""Patterns of fixed width against RE2's own answer, and which patterns are of fixed width."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

from hub.mapping.patterns import fixed_width, matches

CLASSES = ["[0-9]", "[A-Z]", "[A-Za-z0-9_]", "\\d", "a", "-", "_", "7", "[abc]", "[a-cX0-3]"]
item = st.tuples(st.sampled_from(CLASSES), st.sampled_from(["", "{1}", "{2}", "{11}"])).map("".join)
value = st.one_of(st.none(), st.text("09azAZ_-é\n5c\0", max_size=14), st.from_regex(r"\A[A-Z]{2}[0-9]{3}\Z"))


@settings(max_examples=300)
@given(st.lists(item, min_size=1, max_size=4), st.lists(value, max_size=20), st.data())
def test_R11_the_answer_is_re2_s(items: list[str], values: list[str | None], data: st.DataObject) -> None:
    pattern = f"^{''.join(items)}$"
    places = fixed_width(pattern)
    assert places is not None
    fitting = data.draw(st.lists(st.from_regex(pattern.replace("\\d", "[0-9]").replace("$", r"\Z")), max_size=5))
    column = pa.array([*values, *fitting], pa.string())
    assert matches(column, places).equals(pc.match_substring_regex(column, pattern))
    assert matches(column.slice(1), places).equals(pc.match_substring_regex(column.slice(1), pattern))


@pytest.mark.parametrize(
    "pattern",
    ["[0-9]{11}", "^[0-9]{11}", "[0-9]{11}$", "^[0-9]+$", "^a|b$", "^[^a]$", "^.$", "^(a)$", "^a?$", "^$", "^a{2,3}$",
     "^a{2}{3}$", "^\\w$", "^é$", "^[à-é]$", "^[a-]$", "^a{65}$", "^a$b$", "^^a$", "^[[:alpha:]]$", "^\\$$"],
)  # fmt: skip
def test_other_patterns_are_left_to_re2(pattern: str) -> None:
    assert fixed_width(pattern) is None

"""Patterns of fixed width against RE2's own answer, and which patterns are of fixed width."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

from hub.mapping.patterns import fixed_width, matches
from hub.mapping.refusals import WHY, refusal

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


@pytest.mark.parametrize(
    ("pattern", "reason", "at", "rest"),
    [
        ("^a(?=b)c$", "invalid perl operator", 3, "(?=b)c$"),
        ("\\(?=x[(?=](?=y)", "invalid perl operator", 11, "(?=y)"),
        ("(x)\\1", "invalid escape sequence", 4, "\\1"),
        ("[\\d][a-z", "missing ]", 5, "[a-z"),
        ("(a)b)c", "unexpected )", 5, ")c"),
        ("\\)[)])", "unexpected )", 6, ")"),
        ("é[z-a]", "invalid character class range", 3, "z-a]"),
        ("[[:digit:]][[:numeral:]]", "invalid character class range", 13, "[:numeral:]]"),
        ("a{3,2}", "invalid repetition size", 2, "{3,2}"),
        ("(a{1000}){1000}", "invalid repetition size", 10, "{1000}"),
        ("a+b**", "bad repetition operator", 4, "**"),
        ("x|*a", "no argument for repetition operator", 3, "*a"),
        ("abc\\", "trailing \\", 4, "\\"),
        ("\\\\\\", "trailing \\", 3, "\\"),
        ("(?P<a-b>x)", "invalid named capture group", 1, "(?P<a-b>x)"),
        ("(?!" + "x" * 30 + ")", "invalid perl operator", 1, "(?!" + "x" * 21 + "…"),
    ],
)
def test_R35_a_refused_pattern_says_why_and_where_it_stops(pattern: str, reason: str, at: int, rest: str) -> None:
    assert refusal(pattern) == f"this is not an RE2 pattern: {WHY[reason]}, at character {at}: `{rest}`"


def test_R35_where_RE2_does_not_know_the_place_none_is_told() -> None:
    assert refusal("(a(b)") == "this is not an RE2 pattern: a `(` is not closed"
    assert refusal("^[0-9]+$") == ""


@given(st.text("ab()[]{}?*+\\|^$-=:P<>1,0é", max_size=12))
def test_a_place_is_told_for_whatever_RE2_refuses_and_nothing_of_what_it_takes(pattern: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        said = refusal(pattern)
        assert ", at character " in said or WHY["missing )"] in said, said
        assert "does not say why" not in said
    else:
        assert refusal(pattern) == ""

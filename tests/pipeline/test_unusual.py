"""What a masked value may say of itself (G13): what one cannot see is told, letters and digits never."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cli.quarantine import _unusual
from hub.console.texts import texts
from hub.pipeline.unusual import NOTES, SHOWN, mask, unusual


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.234 ", "character 6 is U+0020 SPACE"),
        (" 1", "character 1 is U+0020 SPACE"),
        ("1 234,5", ""),
        ("1\u00a0234", "character 2 is U+00A0 NO-BREAK SPACE"),
        ("\ufeff12", "character 1 is U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("a\tb\n", "character 2 is U+0009 CHARACTER TABULATION; character 4 is U+000A LINE FEED"),
        ("a\u009bb", "character 2 is U+009B CONTROL CHARACTER"),
        ("1\uff0c5", "character 2 is U+FF0C FULLWIDTH COMMA"),
        ("2003\u20132", "character 5 is U+2013 EN DASH"),
        ("1\uff12", "character 2 is a digit other than 0 to 9"),
        ("1\u00bd", "character 2 is a digit other than 0 to 9"),
        ("e\u0301", "character 2 is an accent that stands apart from its letter"),
        ("\ue123", "character 1 has a meaning on some systems only"),
        ("IT\u0410B", "character 3 is a letter of another alphabet (CYRILLIC)"),
        ("\uff21B", "character 1 is a letter of another alphabet (FULLWIDTH)"),
        ("\u0410\u0411", ""),
        ("\u5f20 Anna", ""),
        ("", "the text is empty"),
        ("x" * 40 + "\u00a0", "the last character is U+00A0 NO-BREAK SPACE"),
        ("x" * 40 + "\uff12", ""),
        ("x" * 30 + "\u00a0" + "x", ""),
        ("\u2014" * 8, "; ".join(f"character {n} is U+2014 EM DASH" for n in range(1, NOTES + 1)) + "; and 3 more"),
    ],
)
def test_G13_what_is_unusual_is_said_with_its_place(text: str, said: str) -> None:
    assert "; ".join(_unusual(note) for note in unusual(text)) == said


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("Zoe\u0301 7", "xxxx 9"),
        ("\u2160\u00bd\u2460", "999"),
        ("\u24b6\u3231\u2103", "xxx"),
        ("\u5f20\u4e00", "xx"),
        ("31.12.2003", "99.99.9999"),
        ("a\x1b[31m\u202e", "x?[99x?"),
        ("a" * 25, "x" * 24 + "…"),
    ],
)
def test_G13_marks_and_letters_in_circles_are_masked_as_letters(text: str, shape: str) -> None:
    assert mask(text) == shape


def words(note: dict[str, Any]) -> str:
    return "".join(str(value) for name, value in note.items() if name not in ("kind", "at", "count"))


@given(st.text(max_size=60))
def test_G13_no_letter_and_no_digit_is_ever_told(text: str) -> None:
    notes = unusual(text)
    for char in text:
        if unicodedata.category(char)[0] in "LMN":
            assert char not in mask(text).replace("x", "").replace("9", "")
            assert f"U+{ord(char):04X}" not in [note.get("code") for note in notes]
            name = unicodedata.name(char, "nothing")
            assert name not in [note.get("name") for note in notes] or name in ("LATIN", "GREEK")
    assert all(note.get("at", 1) <= SHOWN for note in notes)
    assert len(notes) <= NOTES + 1


@given(st.text(alphabet="xA9\u00e9\u4e00", min_size=SHOWN + 1, max_size=80), st.integers(SHOWN + 1, 79))
def test_G13_values_that_are_masked_alike_are_told_alike(text: str, length: int) -> None:
    """How long a value is that the mask cuts, no note says."""
    assert unusual(text[:SHOWN] + "x" * (length - SHOWN)) == unusual(text[:SHOWN] + "x")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_of_note_has_words(language: str) -> None:
    values = (" a", "\uff12", "e\u0301", "\ue123", "\uff21B", "", "\u2014" * 8)
    kinds = {note["kind"] for value in values for note in unusual(value)}
    assert kinds == {"character", "digit", "mark", "private", "alphabet", "empty", "more"}
    assert {f"quarantine.unusual.{kind}" for kind in {*kinds, "last"}} <= set(texts(language))

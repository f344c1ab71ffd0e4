"""What is unusual about a masked value, told without giving it away (G13). Pure.

Letters and digits never show, neither here nor in `mask`: a note says of them no more than their alphabet. What is neither,
such as a blank that one cannot see, has its Unicode name. Places are told as far as the mask shows; behind that, only what
ends the value is. So a note says nothing of how long a value is that the mask does not say."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

SHOWN = 24  # characters of a value
NOTES = 5  # of one value
CONTROLS = {0x00: "NULL", 0x09: "CHARACTER TABULATION", 0x0A: "LINE FEED", 0x0D: "CARRIAGE RETURN"}
ALIKE = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN"))  # alphabets with letters that look the same
WIDE = "FULLWIDTH"
Note = dict[str, Any]


def kind_of(char: str) -> str:
    """`x` a letter or a part of one, `9` a digit, `?` what cannot be shown, `` what shows as it is."""
    if char.isascii():
        return "x" if char.isalpha() else "9" if char.isdigit() else "" if char.isprintable() else "?"
    category = unicodedata.category(char)
    if category[0] in "LM":
        return "x"
    if category[0] == "N":
        return "9"
    if not char.isprintable():
        return "?"
    plain = unicodedata.normalize("NFKC", char) if category[0] == "S" else ""  # a letter in a circle is one
    return "x" if any(c.isalpha() for c in plain) else "9" if any(c.isdigit() for c in plain) else ""


def mask(text: str) -> str:
    """Shape without content: letters become x, digits 9, the rest stays; long values are cut (G13)."""
    return "".join(kind_of(c) or c for c in text[:SHOWN]) + ("…" if len(text) > SHOWN else "")


def unusual(text: str) -> list[Note]:
    """What a person would not see, or not expect, each with its `kind` and its place, counted from 1: `character` (with `code`
    and `name`; without a place it is the last of a long value), `digit` and `mark` and `private` (which it is, is not told),
    `alphabet` (with its `name`), `empty`, and `more` (with a `count`)."""
    if not text:
        return [{"kind": "empty"}]
    found = [*_characters(text), *_alphabets(text[:SHOWN])]
    found.sort(key=lambda note: note.get("at", SHOWN + 1))
    left = len(found) - NOTES
    return found if left <= 0 else [*found[:NOTES], {"kind": "more", "count": left}]


def _characters(text: str) -> Iterator[Note]:
    inner = text.strip(" ")
    starts = len(text) - len(text.lstrip(" "))
    for place, char in enumerate(text[:SHOWN]):
        outside = place < starts or place >= starts + len(inner)
        if note := _note(char, outside=outside):
            yield note | {"at": place + 1}
    if len(text) > SHOWN and (note := _note(text[-1], outside=True)) and note["kind"] == "character":
        yield note


def _note(char: str, *, outside: bool) -> Note | None:
    """Of one character. A blank counts only outside of all others."""
    if char.isascii() and char.isprintable() and not (char == " " and outside):
        return None
    category, kind = unicodedata.category(char), kind_of(char)
    if category[0] == "M":
        return {"kind": "mark"}
    if kind == "9":
        return {"kind": "digit"}
    if kind == "x":
        return None
    if category in ("Co", "Cn", "Cs"):
        return {"kind": "private"}
    name = unicodedata.name(char, "") or CONTROLS.get(ord(char), "CONTROL CHARACTER")
    return {"kind": "character", "code": f"U+{ord(char):04X}", "name": name}


def _alphabets(text: str) -> Iterator[Note]:
    """The first letter of each alphabet that stands among those of another one that looks like it, and of wide letters."""
    found = [(place, unicodedata.name(c, "").partition(" ")[0]) for place, c in enumerate(text) if c.isalpha()]
    counts = Counter(name for _, name in found if name in ALIKE)
    main = counts.most_common(1)[0][0] if counts else ""
    told = {main}
    for place, name in found:
        if name in (ALIKE | {WIDE}) - told:
            told.add(name)
            yield {"kind": "alphabet", "at": place + 1, "name": name}

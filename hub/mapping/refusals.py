"""Why RE2 does not take a pattern, and from which character on."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

SAID = re.compile(r"Invalid regular expression: ([^:]+)(?:: (.*))?", re.DOTALL)  # RE2's reason, and what it is about
SHOWN = 24  # characters of the rest of a pattern
UNEXPECTED, MISSING, TRAILING = "unexpected )", "missing )", "trailing \\"  # of which RE2 repeats nothing, or all
WHY: Mapping[str, str] = {
    MISSING: "a `(` is not closed",
    UNEXPECTED: "this `)` closes nothing",
    "missing ]": "this `[` is not closed",
    "invalid perl operator": "look-around and the like do not exist",
    "invalid escape sequence": "this escape does not exist, and backreferences do not",
    "invalid character class range": "this is no class or range of characters",
    "invalid repetition size": "repetitions go from the smaller to the larger number, up to 1,000, also multiplied",
    "bad repetition operator": "a repetition cannot be repeated",
    "no argument for repetition operator": "there is nothing here to repeat",
    TRAILING: "nothing follows the last `\\`",
    "invalid named capture group": "this is no group with a name",
}


def refusal(pattern: str) -> str:
    """What to tell of a pattern that RE2 does not take; empty: it takes it."""
    said = _said(pattern)
    if said is None:
        return ""
    why = f"this is not an RE2 pattern: {WHY.get(said[0], 'RE2 does not say why')}"
    at = _place(pattern, *said)
    if at is None:
        return why
    rest = pattern[at : at + SHOWN] + "…" * (len(pattern) > at + SHOWN)
    return f"{why}, at character {at + 1}: `{rest}`"


def _said(pattern: str) -> tuple[str, str] | None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        found = SAID.fullmatch(str(error))
        return (found[1], found[2] or "") if found else ("", "")
    return None


def _place(pattern: str, reason: str, about: str) -> int | None:
    """RE2 gives no number, but the text that it stopped at: the first such that ends what is refused for the same reason."""
    if reason == TRAILING:
        return len(pattern) - 1
    about = ")" if reason == UNEXPECTED else about
    if not about or reason == MISSING:
        return None
    at = pattern.find(about)
    while at >= 0:
        said = _said(pattern[: at + len(about)])
        if said is not None and said[0] == reason:
            return at
        at = pattern.find(about, at + 1)
    return None

"""How the same text is written in several ways: full width, blanks, invisible characters."""

from __future__ import annotations

import unicodedata

WIDE = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}  # full-width letters, digits and blank
QUOTES = "'`\"‘’“”"  # Excel's mark of a text cell, and what people put around codes
DROPPED = ("Zs", "Cc", "Cf")  # Unicode categories: blanks, control and format characters


def tidy_code(text: str) -> str:
    """A code half-width, in capitals, without blanks, hyphens, quotes and invisible characters."""
    kept = (c for c in text.translate(WIDE).upper() if c not in QUOTES and unicodedata.category(c) not in DROPPED)
    return "".join(kept).replace("-", "")

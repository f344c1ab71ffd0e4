"""The function table: one file a family, one value a function."""

from __future__ import annotations

from collections.abc import Mapping

from hub.mapping.functions import (
    anydate,
    codes,
    contacts,
    dates,
    divisions,
    geo,
    identifiers,
    numbers,
    standards,
    text,
    tokens,
    units,
)
from hub.mapping.functions.table import Fails, Function

FAMILIES = (text, numbers, units, dates, anydate, codes, standards, identifiers, divisions, contacts, geo, tokens)
TABLE: Mapping[str, Function] = {f.name: f for family in FAMILIES for f in family.FUNCTIONS}

__all__ = ["TABLE", "Fails", "Function"]

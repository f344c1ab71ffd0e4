"""The function table: one file a family, one value a function."""

from __future__ import annotations

from collections.abc import Mapping

from hub.mapping.functions import codes, dates, numbers, text
from hub.mapping.functions.table import Fails, Function

TABLE: Mapping[str, Function] = {f.name: f for family in (text, numbers, dates, codes) for f in family.FUNCTIONS}

__all__ = ["TABLE", "Fails", "Function"]

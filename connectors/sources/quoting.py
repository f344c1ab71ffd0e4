"""Where the quotes of delimited text are, for a whole chunk at once, and whether they are as RFC 4180 has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
NEWLINE, RETURN = 10, 13


class Quotes:
    """The places of quotes in some bytes. Every second one closes what the one before it opened; a doubled quote inside a
    field closes it and opens it again. What is said of fields holds where they are `tidy`."""

    def __init__(self, data: bytes, quote: bytes) -> None:
        self._raw, self._quote = np.frombuffer(data, np.uint8), quote
        self._at: Ints = np.flatnonzero(self._raw == quote[0]) if quote in data else np.empty(0, np.int64)
        self._doubled = quote * 2 in data

    def __len__(self) -> int:
        return len(self._at)

    def outside(self, places: Ints) -> Ints:
        """Those of the places that no quotes are around."""
        return places[np.searchsorted(self._at, places) % 2 == 0] if len(self._at) else places

    def last_line(self, data: bytes) -> int:
        """Behind the last line end that no quotes are around; 0 when there is none."""
        end = len(data)
        while (end := data.rfind(b"\n", 0, end)) >= 0:
            before = int(np.searchsorted(self._at, end))
            if before % 2 == 0:
                return end + 1
            end = int(self._at[before - 1])  # nothing between an open quote and here is outside
        return 0

    def tidy(self, end: int, delimiter: int, longest: int) -> bool:
        """Whether all quotes before `end` open a field at its beginning or close one at its end, none around `longest` bytes
        or more. `end` is outside quotes."""
        at = self._at[: np.searchsorted(self._at, end)]
        if len(at) % 2:
            return False
        opens, closes = at[::2], at[1::2]
        again = np.zeros(len(opens) + 1, np.bool_)  # whether a quote closes a field and opens it again: doubled
        again[1:-1] = opens[1:] == closes[:-1] + 1
        before = self._raw[np.maximum(opens - 1, 0)]
        begins = (opens == 0) | (before == delimiter) | (before == NEWLINE)
        after = self._raw[np.minimum(closes + 1, len(self._raw) - 1)]
        ends = (closes + 1 == end) | (after == delimiter) | (after == NEWLINE) | (after == RETURN)
        if not ((begins | again[:-1]).all() and (ends | again[1:]).all()):
            return False
        return bool((closes[~again[1:]] - opens[~again[:-1]]).max(initial=0) < longest)

    def open(self, places: Ints) -> Ints:
        """1 where a quote opens a field that begins here, else 0."""
        found: Ints = (self._raw[np.minimum(places, len(self._raw) - 1)] == self._quote[0]).astype(np.int64)
        return found

    def single(self, values: pa.Array) -> pa.Array:
        """Values that were between quotes, or had none: their doubled quotes made single."""
        quote = self._quote.decode("latin-1")
        return pc.replace_substring(values, quote * 2, quote) if self._doubled else values

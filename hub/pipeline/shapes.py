"""Which shapes the cells of many rows have, and how often: what they have in common, without a letter of them (G13)."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hub.pipeline.followers import Open
from hub.pipeline.quarantine import Entry
from hub.pipeline.unusual import mask

MOST_COUNTED = 5_000  # rows of a case, the newest
SHAPES = 6  # of a column, the most frequent
KEPT = 32  # cases
Load = Callable[[Iterable[Open]], Iterable[tuple[Open, Entry]]]
Shaped = dict[str, Any]


class Shapes:
    """Counts once as long as the rows stay the same, for pages are looked at again and again. Thread-safe."""

    def __init__(self, load: Load) -> None:
        """`load` gives the data of open rows."""
        self._load = load
        self._known: OrderedDict[tuple[object, ...], list[Shaped]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, rows: Sequence[Open], columns: Sequence[str]) -> list[Shaped]:
        """For each column its shapes with their counts, the most frequent first, and how many cells have others. `rows` are
        all of one case, in order: number and last place tell whether they are the same."""
        if not rows or not columns:
            return []
        key = (rows[0].case.id, len(rows), rows[-1].offset, *columns)
        with self._lock:
            if (found := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return found
        counted = count((entry.columns or {} for _, entry in self._load(rows[-MOST_COUNTED:])), columns)
        with self._lock:
            self._known[key] = counted
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return counted


def count(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[Shaped]:
    """See `Shapes.of`."""
    counters: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for row in rows:
        for name, counter in counters.items():
            value = row.get(name)
            counter["NULL" if value is None else mask(str(value))] += 1
    return [_shaped(name, counter) for name, counter in counters.items()]


def _shaped(column: str, counter: Counter[str]) -> Shaped:
    first = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:SHAPES]
    return {
        "column": column,
        "shapes": [{"shape": shape, "count": number} for shape, number in first],
        "others": counter.total() - sum(number for _, number in first),
    }

"""The circuit breaker: a task that quarantines nearly everything pauses (G8, R21)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hub.errors import BreakerTripped
from hub.pipeline.plan import TaskLimits

Mask = npt.NDArray[np.bool_]


class Breaker:
    """Counts rows in order, over batches of one run. `observe` says whether it tripped; the batch is still appended."""

    def __init__(self, limits: TaskLimits) -> None:
        self._limits = limits
        self._tail: Mask = np.empty(0, np.bool_)

    def observe(self, bad: Mask) -> BreakerTripped | None:
        """`bad[i]` tells whether row i, in reading order, goes to quarantine. The error is returned, not raised."""
        limits = self._limits
        rows = np.concatenate([self._tail, bad])
        self._tail = rows[-max(limits.breaker_window, limits.breaker_in_a_row) :]
        if not bad.any():
            return None
        if _longest_run(rows) >= limits.breaker_in_a_row:
            return _tripped(f"{limits.breaker_in_a_row} rows in a row were quarantined")
        if len(rows) >= limits.breaker_window:
            ends = np.cumsum(rows, dtype=np.int64)
            window = limits.breaker_window
            sums = ends[window - 1 :] - np.concatenate([np.zeros(1, np.int64), ends[:-window]])
            if sums.max() > limits.breaker_share * window:
                return _tripped(f"more than {limits.breaker_share:.0%} of {window:,} rows were quarantined")
        return None


def _longest_run(rows: Mask) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.view(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _tripped(why: str) -> BreakerTripped:
    return BreakerTripped(
        why,
        remedy="look at the quarantine of this topic, mend the source or the mapping, then resume the connector",
    )

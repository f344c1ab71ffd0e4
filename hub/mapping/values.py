"""What evaluation passes around: a column, and for each row whether and why it failed (R10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import buffers
from hub.buffers import Mask, blank, valid

Codes = npt.NDArray[np.int16]  # 0 = fine, else the number of a reason

REASONS = (
    "",
    "BAD_NUMBER",
    "OUT_OF_RANGE",
    "WOULD_ROUND",
    "BAD_DATE",
    "BAD_TIMESTAMP",
    "NONEXISTENT_TIME",
    "AMBIGUOUS_TIME",
    "DIVISION_BY_ZERO",
    "UNKNOWN_CODE",
    "AMBIGUOUS_NAME",
    "UNKNOWN_SYMBOL",
    "NULL_REQUIRED",
    "CHECK_FAILED",
    "BAD_LENGTH",
    "BAD_CHARACTER",
    "BAD_CHECK_DIGIT",
    "FUTURE_DATE",
    "AMBIGUOUS_DATE",
    "IMPRECISE_DATE",
    "BAD_PERIOD",
    "BAD_PHONE",
    "BAD_COORDINATE",
    "UNKNOWN_TYPE",
    "NO_SUCCESSOR",
)
__all__ = ["CODE", "REASONS", "Codes", "Mask", "Value", "as_mask", "blank", "fail", "merge", "only_where", "valid"]
CODE = {reason: np.int16(i) for i, reason in enumerate(REASONS)}


@dataclass(frozen=True)
class Value:
    """A column of results. `failed` is None when no row failed; a failed row's value is NULL."""

    column: pa.Array
    failed: Codes | None = None

    @property
    def bad(self) -> Mask | None:
        """Which rows failed."""
        return None if self.failed is None else self.failed != 0


def merge(first: Codes | None, second: Codes | None) -> Codes | None:
    """Left to right: the first failure of a row counts."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first != 0, first, second).astype(np.int16)


def only_where(failed: Codes | None, mask: Mask) -> Codes | None:
    """Failures of rows for which the operand is evaluated at all."""
    if failed is None:
        return None
    kept = np.where(mask, failed, 0).astype(np.int16)
    return kept if np.count_nonzero(kept) else None


def fail(mask: Mask, reason: str) -> Codes | None:
    """Codes for the rows of a mask."""
    return np.where(mask, CODE[reason], 0).astype(np.int16) if np.count_nonzero(mask) else None


def as_mask(column: pa.Array, *, null: bool = False) -> Mask:
    """A boolean column as numpy, NULL as given."""
    return buffers.truth(column, null=null)

"""Which columns a source has, and which of them are new to it (R13). Names only, never values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

MOST = 2_000  # different names that are remembered of a source; one with more has data for names
SHOWN = 40


class SourceColumns:
    """What a run meets, beside what earlier runs of its task met. `known` is None before the first."""

    def __init__(self, known: Sequence[str] | None, used: Collection[str]) -> None:
        self.known = known
        self._used = frozenset(used)
        self._met = set(known or ())
        self._new: dict[str, None] = {}  # in the order of the source

    def see(self, names: Sequence[str]) -> list[str]:
        """The columns of one batch. Returns those that are new and that the mapping does not use, each once. Names none of
        which is known are not told: they may be somebody's data, in the place of a lost header (S16)."""
        if self._met.issuperset(names) or len(self._met) >= MOST:
            return []
        if self.known is not None and self._met.isdisjoint(names):
            return []
        fresh = [n for n in dict.fromkeys(names) if n not in self._met]
        self._met.update(fresh)
        if self.known is None:
            return []
        told = [n for n in fresh if n not in self._used]
        self._new.update(dict.fromkeys(told))
        return told

    def after(self) -> Sequence[str] | None:
        """What is known when the run has ended: what was there once is not new when it comes back."""
        return tuple(sorted(self._met)[:MOST]) if self._met else self.known

    def note(self) -> str | None:
        """One line for a person, or None when nothing is new."""
        if not self._new:
            return None
        what = "a new column" if len(self._new) == 1 else f"{len(self._new):,} new columns"
        return f"{what} in the source, ignored: {shown(list(self._new))}"


def shown(names: Sequence[str]) -> str:
    """Names as messages have them."""
    return ", ".join(f"`{n}`" for n in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")

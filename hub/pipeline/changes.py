"""Differences only: which records of a keyed topic are new, changed, unchanged or gone (R18, R19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hub.model import Block, Rows
from hub.pipeline import publish
from hub.pipeline.normalise import Normalised
from hub.pipeline.plan import TaskPlan
from hub.pipeline.publish import Outgoing
from hub.pipeline.snapshot import Hashes, KeyState, Slots, content_hashes, state_blocks


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What of a batch goes out. `published` counts records, not the tombstones of changed scopes."""

    out: Outgoing
    published: int
    unchanged: int
    state_blocks: Sequence[Block]
    duplicates: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    deduplicated: int = 0


@dataclass(frozen=True, kw_only=True)
class Content:
    """What each record of a keyed topic is compared by: made before its turn comes."""

    hashes: Hashes
    scopes: Sequence[bytes]

    @classmethod
    def of(cls, good: Normalised, plan: TaskPlan) -> Content:
        """Of all good rows of a batch."""
        scopes = publish.scopes_of({name: good.column(name) for name in plan.scope}, len(good.values))
        return cls(hashes=content_hashes(good.values), scopes=scopes)


class Changes:
    """Compares batches of one task with what it has published before."""

    def __init__(self, plan: TaskPlan, state: KeyState) -> None:
        self._plan = plan
        self.state = state

    def start_pass(self) -> None:
        """A new reading of the whole source begins."""
        self.state.start_pass()

    def exists(self, keys: pa.BinaryArray) -> None:
        """These keys are in the source, though their rows are not publishable."""
        self.state.mark_seen(self.state.find(keys))

    def gone(self) -> Slots:
        """Published keys that this pass has not met."""
        return self.state.unseen()

    def compare(self, out: Outgoing, content: Content, at_ms: int) -> Compared:
        """Split off unchanged rows; a key met twice is a duplicate in a snapshot and a later change in an upsert."""
        assert out.keys is not None
        groups, duplicates = self._groups(out.keys)
        hashes, scopes = content.hashes, content.scopes
        parts: list[Outgoing] = []
        state: list[Block] = []
        published = unchanged = 0
        for rows in groups:
            changed = self._changed(out.keys, hashes, rows)
            unchanged += len(rows) - len(changed)
            published += len(changed)
            if len(changed):
                parts += self._going_out(out, scopes, changed)
                state += self._remember(out.keys, hashes, scopes, changed, at_ms)
        joined = publish.concat(parts) if parts else pick(out, np.empty(0, np.int64))
        return Compared(out=joined, published=published, unchanged=unchanged, state_blocks=state, duplicates=duplicates)

    def _groups(self, keys: pa.BinaryArray) -> tuple[list[Rows], Rows]:
        """Rows in rounds: each round holds a key once. A snapshot has one round, the rest are duplicates."""
        codes = keys.dictionary_encode().indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        ranked = codes[order]
        starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(ranked) else ranked
        occurrence = np.empty(len(codes), np.int64)
        lengths = np.diff(np.concatenate([starts, [len(ranked)]]))
        occurrence[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
        if self._plan.mode != "snapshot":
            return [np.flatnonzero(occurrence == k) for k in range(int(occurrence.max(initial=-1)) + 1)], _none()
        again = self.state.seen(self.state.find(keys)) | (occurrence > 0)
        return [np.flatnonzero(~again)], np.flatnonzero(again)

    def _changed(self, keys: pa.BinaryArray, hashes: Hashes, rows: Rows) -> Rows:
        slots = self.state.find(keys.take(pa.array(rows)))
        same = self.state.unchanged(slots, hashes[rows])
        self.state.mark_seen(slots)
        return rows[~same]

    def _going_out(self, out: Outgoing, scopes: Sequence[bytes], changed: Rows) -> list[Outgoing]:
        """The changed records; before them, a tombstone under the old scope for each key whose scope moved (R19)."""
        records = pick(out, changed)
        if not self._plan.scope or records.keys is None:
            return [records]
        slots = self.state.find(records.keys)
        published = np.flatnonzero(self.state.live(slots))
        old = self.state.scopes_of(slots[published])
        moved = [i for i, scope in zip(published.tolist(), old, strict=True) if scope != scopes[int(changed[i])]]
        if not moved:
            return [records]
        left = [scope for i, scope in zip(published.tolist(), old, strict=True) if scope != scopes[int(changed[i])]]
        return [self._tombstones(records.keys.take(pa.array(moved)), left, records.ids.take(pa.array(moved))), records]

    def _remember(
        self, keys: pa.BinaryArray, hashes: Hashes, scopes: Sequence[bytes], changed: Rows, at_ms: int
    ) -> list[Block]:
        mine = keys.take(pa.array(changed))
        own = [scopes[i] for i in changed.tolist()]
        self.state.put(mine, hashes[changed], own, np.full(len(changed), at_ms, np.int64))
        return state_blocks(*self.state.records(mine, hashes[changed], own, at_ms))

    def deletions(self, slots: Slots, at_ms: int) -> tuple[Outgoing, list[Block]]:
        """Tombstones for these keys, each under its last scope, and the state that goes with them."""
        keys = self.state.keys_of(slots)
        scopes = self.state.scopes_of(slots)
        ids = publish.content_ids(f"{self._plan.connector}\0{at_ms}", keys, pa.nulls(len(keys), pa.binary()))
        self.state.remove(slots, at_ms)
        return self._tombstones(keys, scopes, ids), state_blocks(*self.state.records(keys, None, (), at_ms))

    def _tombstones(self, keys: pa.BinaryArray, scopes: Sequence[bytes], ids: pa.BinaryArray) -> Outgoing:
        return Outgoing(
            keys=keys,
            values=pa.nulls(len(keys), pa.binary()),
            ids=ids,
            scopes=pa.array(scopes, pa.binary()),
        )


def pick(out: Outgoing, rows: Rows) -> Outgoing:
    """Some records of these, by their place."""
    chosen = pa.array(rows)
    return Outgoing(
        keys=out.keys.take(chosen) if out.keys is not None else None,
        values=out.values.take(chosen),
        ids=out.ids.take(chosen),
        times=out.times.take(chosen) if out.times is not None else None,
        scopes=out.scopes.take(chosen) if out.scopes is not None else None,
    )


def _none() -> Rows:
    return np.empty(0, np.int64)

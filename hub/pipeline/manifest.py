"""What each append did, written with it: the runs' history can be rebuilt from these alone (R2, G2)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from hub import blocks
from hub.model import MANIFESTS, Block, RunTotals, StoredBlock
from hub.ports import LogReader

FETCH_BYTES = 8 * 1024 * 1024
RESET = "reset: "  # what stands before the reason in the origin of an append that set the checkpoint back
RunState = Literal["running", "completed", "stopped", "paused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The account of one append of one run."""

    run: str
    task: str
    topic: str
    epoch: int
    batch: int  # number within the task, for ever increasing
    batch_id: str
    totals: RunTotals  # of this append alone
    reasons: Mapping[str, int] = field(default_factory=dict)  # quarantined rows by reason
    warnings: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""
    at: int  # ms
    started: int  # ms, of the run
    state: RunState = "running"  # of the run, after this append
    error: str = ""  # code and message when it did not complete
    replay: bool = False
    event_ms: int | None = None  # newest event time of what it published, where the topic declares one

    def to_block(self) -> Block:
        """One record of `__manifests`."""
        key = pa.array([self.task.encode()], pa.binary())
        value = pa.array([json.dumps(asdict(self), separators=(",", ":")).encode()], pa.binary())
        section = blocks.encode(key, value, blocks.Headers(per_record=[], constant=[]))
        return Block(topic=MANIFESTS, partition=0, count=1, records=section)

    @classmethod
    def parse(cls, value: bytes) -> Manifest:
        """The inverse of `to_block`."""
        data: dict[str, Any] = json.loads(value)
        return cls(**{**data, "totals": RunTotals(**data["totals"])})


def manifests(reader: LogReader, *, after: int = 0) -> Iterator[tuple[int, Manifest]]:
    """All manifests from offset `after`, each with the offset behind it."""
    offset = after
    while True:
        fetch = reader.read(MANIFESTS, 0, offset, FETCH_BYTES)
        for block in fetch.blocks:
            for at, value in _values(block):
                if at >= offset:
                    yield at + 1, Manifest.parse(value)
        if fetch.next_offset >= fetch.end or not fetch.blocks:
            return
        offset = fetch.next_offset


def _values(block: StoredBlock) -> Iterable[tuple[int, bytes]]:
    """Offsets and values. A manifest is a block of its own, and every start reads all there are."""
    if block.count == 1:
        delta, value = blocks.first_value(block.records)
        return [(block.base_offset + delta, value or b"")]
    records = blocks.decode(block.records, block.base_offset)
    return zip(records.offsets.tolist(), records.values.to_pylist(), strict=True)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, summed over its manifests."""

    run: str
    task: str
    topic: str
    started: int  # ms
    finished: int | None  # ms; None while it runs, or when it was killed
    state: RunState
    totals: RunTotals
    reasons: Mapping[str, int]
    warnings: Mapping[str, int]
    error: str
    replay: bool
    reset: str = ""  # why the checkpoint was set back, when that is all that it did

    def plus(self, manifest: Manifest) -> RunRecord:
        """The run after one more append."""
        return RunRecord(
            run=self.run,
            task=self.task,
            topic=self.topic,
            started=self.started,
            finished=None if manifest.state == "running" else manifest.at,
            state=manifest.state,
            totals=self.totals + manifest.totals,
            reasons=Counter(self.reasons) + Counter(manifest.reasons),
            warnings=Counter(self.warnings) + Counter(manifest.warnings),
            error=manifest.error,
            replay=self.replay,
            reset=self.reset,
        )


def first(manifest: Manifest) -> RunRecord:
    """A run of which nothing is known yet but that this manifest is its first."""
    reset = manifest.state != "running" and manifest.origin.startswith(
        RESET
    )  # the origin of a batch is of one that runs
    return RunRecord(
        run=manifest.run,
        task=manifest.task,
        topic=manifest.topic,
        started=manifest.started,
        finished=None,
        state="running",
        totals=RunTotals(),
        reasons={},
        warnings={},
        error="",
        replay=manifest.replay,
        reset=manifest.origin.removeprefix(RESET) if reset else "",
    )

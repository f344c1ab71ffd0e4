"""What each append did, written with it: the runs' history can be rebuilt from these alone (R2, G2)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import pyarrow as pa

from hub import blocks
from hub.model import MANIFESTS, Block, RunTotals
from hub.pipeline import internal
from hub.ports import LogReader

DISCARD = "discard"  # the origin of an append that set rows of quarantine aside
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
        told = {**asdict(self), "totals": {name: count for name, count in vars(self.totals).items() if count}}
        value = pa.array([json.dumps(told, separators=(",", ":")).encode()], pa.binary())
        section = blocks.encode(key, value, blocks.Headers(per_record=[], constant=[]))
        return Block(topic=MANIFESTS, partition=0, count=1, records=section)

    @classmethod
    def parse(cls, value: bytes | None) -> Manifest:
        """The inverse of `to_block`. Raises ValueError for a record that no hub wrote."""
        data = internal.document(value, SHAPE)
        try:
            return cls(**{**data, "totals": RunTotals(**data["totals"])})
        except (TypeError, KeyError) as error:
            raise ValueError("another shape") from error


SHAPE: Mapping[str, internal.Fits] = {
    **dict.fromkeys(("run", "task", "topic", "batch_id", "origin", "error"), internal.text),
    **dict.fromkeys(("epoch", "batch"), internal.number),
    **dict.fromkeys(("at", "started"), internal.moment),
    **dict.fromkeys(("totals", "reasons", "warnings"), internal.numbers),
    "state": internal.one_of(get_args(RunState)),
    "replay": internal.flag,
    "event_ms": lambda value: value is None or internal.instant(value),
}


def follow(reader: LogReader) -> internal.Follower[Manifest]:
    """All manifests, from the first on."""
    return internal.Follower(reader, MANIFESTS, Manifest.parse)


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
    discard: bool = False  # a person set rows of quarantine aside

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
            discard=self.discard,
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
        discard=manifest.replay and manifest.origin == DISCARD,
    )

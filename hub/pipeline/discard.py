"""Quarantined rows that nobody can mend, set aside by a person with a reason: a run of its own, as a replay is (R20, R22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from threading import Event
from typing import Any

from hub.model import Checkpoint, RunTotals
from hub.pipeline import quarantine
from hub.pipeline.followers import Open
from hub.pipeline.manifest import DISCARD, Manifest, RunState
from hub.pipeline.quarantine import Closing
from hub.pipeline.task import Account, RunResult, Surroundings
from hub.ports import Writer

CHUNK = 10_000  # entries per append


@dataclass(frozen=True, kw_only=True)
class Discarding:
    """Which open rows of one connector, and what is kept with them."""

    case: str | None  # all of it, or with `rows` only these of it
    rows: tuple[int, ...] = ()  # their places in `__quarantine`; none: all of the case
    by: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """What another worker must know to go on with it."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Discarding:
        """The inverse of `to_json`."""
        return cls(**{**told, "rows": tuple(told["rows"])})


class Discard:
    """Closes open entries. Runs under the task's own lease, so never beside a run, and needs no mapping: one that is broken
    is no hindrance. Doing it again finds nothing open."""

    def __init__(self, task: str, writer: Writer, around: Surroundings, asked: Discarding) -> None:
        self._task, self._writer, self._around, self._asked = task, writer, around, asked
        self._stored = writer.checkpoint() or Checkpoint(source=None)  # position and columns stay as they are

    def execute(self, rows: Callable[[], Sequence[Open]], stop: Event) -> RunResult:
        """`rows` gives those that are open, read after the writer was opened."""
        found = rows()
        topic = found[0].case.topic if found else ""
        account = Account(self._task, topic, self._around, self._stored, replay=True)
        for start in range(0, len(found), CHUNK):
            if stop.is_set():
                return self._finish(account, "stopped")
            chunk = found[start : start + CHUNK]
            totals = RunTotals(read=len(chunk), discarded=len(chunk))
            manifest = account.manifest(totals, origin=DISCARD)
            self._append(manifest, [self._closing(row) for row in chunk])
            account.add(manifest)
        return self._finish(account, "completed")

    def _finish(self, account: Account, state: RunState) -> RunResult:
        self._append(account.manifest(RunTotals(), origin=DISCARD, state=state), ())
        return account.result(state)

    def _append(self, manifest: Manifest, closings: Sequence[Closing]) -> None:
        blocks = quarantine.to_blocks(closings, self._task)
        self._writer.append([*blocks, manifest.to_block()], replace(self._stored, batch=manifest.batch))

    def _closing(self, row: Open) -> Closing:
        return Closing(
            id=row.id,
            task=self._task,
            outcome="discarded",
            run=self._around.run_id,
            at=self._around.clock_ms(),
            by=self._asked.by,
            why=self._asked.why,
        )

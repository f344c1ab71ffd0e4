"""The life of a push: what a subscriber's own system does not have yet, batch after batch, decided anew for each (G12).

A batch is pulled as any subscriber pulls it, written, then committed: so a batch that was not committed comes again, and lag
shows as that of every group. A batch that a receiver without memory does not take is set aside by its offsets, never by its
records, and the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Protocol

import structlog

from hub import failpoints
from hub.delivery.formats import FORMATS, Wanted
from hub.delivery.groups import Pulled
from hub.delivery.parquet import to_parquet
from hub.errors import Fenced, SinkGone, SinkRefused, SinkUnavailable
from hub.jitter import jittered
from hub.model import SinkBatch
from hub.ports import Sink
from hub.store.letters import Letter, Letters

FIRST_WAIT_S = 1.0  # before a batch is sent the second time; doubled each time
WAIT_S = 0.5  # for news, between two looks at grant, declaration and `stop`
PULL_AGAIN_S = 15.0  # without news: the group is shown to be held
WRITERS = {form.name: form.write for form in FORMATS} | {"parquet": lambda delivery, _wanted: to_parquet(delivery)}
log = structlog.get_logger("datong.push")


class Reading(Protocol):
    """A group as the hub reads it on behalf of its subscriber. Each call decides anew and raises NotGranted."""

    def published(self) -> bool:
        """Is there anything on the topic, ever?"""

    def resume(self, kept: Mapping[int, int] | None) -> bool:
        """Go on where the subscriber's system stands. True: what it has is void."""

    def restart(self) -> None:
        """Go back to the earliest record."""

    def pull(self, max_records: int | None) -> Pulled:
        """The next batch."""

    def wait(self, positions: Mapping[int, int], timeout_s: float) -> bool:
        """Is there news?"""

    def still(self, pulled: Pulled) -> bool:
        """May what was pulled leave now as it is? False: the grant gives other fields or rows by now."""

    def commit(self, pulled: Pulled) -> None:
        """The subscriber's system has it, or it is set aside."""

    def span(self, letter: Letter, max_records: int | None) -> Iterator[Pulled]:
        """What there is today of a span of offsets, in batches."""


@dataclass(frozen=True, kw_only=True)
class PushSurroundings:
    """What a push needs from outside."""

    stop: Event
    turn: Event  # another subscription waits for this thread: end behind a batch
    once: bool  # end when all there is was pushed
    over: Callable[[], bool]  # its declaration is another one by now: the next run has that
    holds: Callable[[], bool]  # the task is still this worker's
    progress: Callable[[int, int], None]  # records and, of them, deletions of a batch that was taken


class PushRun:
    """One run of a subscription. `execute` returns when it was stopped, is over, or, with `once`, has caught up."""

    def __init__(self, sink: Sink, reading: Reading, letters: Letters, around: PushSurroundings) -> None:
        self._sink, self._reading, self._letters, self._around = sink, reading, letters, around
        self._rules = sink.rules
        self._at: Mapping[int, int] = {}
        self._void = False  # what the sink has goes with the next batch
        self._voided = False  # dead letters of what goes are void already
        self.notes: list[str] = []

    def execute(self) -> None:
        """Push. Raises Retry (again later), Denied and Reject (it pauses), Fenced, Fatal."""
        while not self._reading.published():
            if self._around.once or self._around.turn.is_set() or self._ends():
                return
            self._around.stop.wait(WAIT_S)
        self._void = self._reading.resume(self._sink.positions())
        failpoints.hit("resumed")
        while not self._ends():
            self._send_letters()
            pulled = self._reading.pull(self._rules.max_records)
            failpoints.hit("pulled")
            if pulled.delivery.gaps and not self._over_gap(pulled):
                continue
            if not self._take(pulled):
                return
            if pulled.delivery.lag == 0:
                if self._around.once:
                    return
                self._idle(pulled.delivery.positions)
            if self._around.turn.is_set():
                return

    def _ends(self) -> bool:
        return self._around.stop.is_set() or self._around.over()

    def _over_gap(self, pulled: Pulled) -> bool:
        """Records went before they were read. Of a keyed topic deletions may be among them: all is read again (R3, R8)."""
        if pulled.delivery.plan.keyed and not (self._void or pulled.reset):
            self.notes.append("records were gone before they were pushed: everything is pushed again")
            self._reading.restart()
            self._void = True
            return False
        for gap in pulled.delivery.gaps:
            self.notes.append(
                f"offsets {gap.position} to {gap.earliest - 1} of partition {gap.partition} were gone already"
            )
        return True

    def _take(self, pulled: Pulled) -> bool:
        """One batch to the sink and its offsets on record; False when the run is to end before it was taken."""
        positions = pulled.delivery.positions
        batch = sink_batch(pulled, void=self._void)
        if not batch.reset and positions == self._at:
            return True
        self._hold()
        if batch.reset and not self._voided:  # all of their records come again
            self._letters.void()
        self._voided = batch.reset
        taken = self._deliver(pulled, batch)
        if taken is None:
            return False
        failpoints.hit("written")
        self._reading.commit(pulled)
        failpoints.hit("acked")
        self._void = batch.reset and not taken
        self._at = positions
        if taken:
            deleted = 0 if batch.deleted is None else int(batch.deleted.sum())
            self._around.progress(len(batch.offsets), deleted)
        return True

    def _hold(self) -> None:
        if not self._around.holds():
            raise Fenced("another worker pushes this subscription now")

    def _deliver(self, pulled: Pulled, batch: SinkBatch) -> bool | None:
        """True: written. False: set aside. None: it is not to be tried again, or not in this run."""
        wait_s = FIRST_WAIT_S
        for number in range(1, self._rules.tries + 1):
            try:
                self._sink.write(batch)
            except SinkGone:
                raise
            except (SinkRefused, SinkUnavailable) as error:
                if isinstance(error, SinkRefused) or number == self._rules.tries:
                    if not self._rules.dead_letters:
                        raise
                    self._set_aside(batch, error)
                    return False
                asked = error.wait_s if error.wait_s is not None else jittered(wait_s)
                if not self._pause(pulled, min(asked, self._rules.wait_most_s)):
                    return None
                wait_s = min(wait_s * 2, self._rules.wait_most_s)
            else:
                return True
        raise AssertionError("a sink is tried at least once")

    def _pause(self, pulled: Pulled, seconds: float) -> bool:
        """Before the same batch is sent again, which the grant must allow then, too (G12)."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._around.stop.wait(min(left, WAIT_S))
            if self._ends() or not self._reading.still(pulled):
                return False
        self._hold()
        return not self._ends() and self._reading.still(pulled)

    def _set_aside(self, batch: SinkBatch, error: SinkRefused | SinkUnavailable) -> None:
        letters = self._letters.put(str(batch.about["topic"]), spans(batch), error.statement)
        log.warning(
            "a batch is set aside", subscription=self._letters.subscription, letters=letters, reason=error.message
        )

    def _send_letters(self) -> None:
        """Those that somebody asked to be sent again, once each."""
        if not self._rules.dead_letters:
            return
        for letter in self._letters.waiting():
            self._hold()
            try:
                for pulled in self._reading.span(letter, self._rules.max_records):
                    self._sink.write(sink_batch(pulled, void=False))
            except SinkGone:
                raise
            except (SinkRefused, SinkUnavailable) as error:
                self._letters.settle(letter.id, "open", error.statement)
            else:
                self._letters.settle(letter.id, "delivered", letter.reason)

    def _idle(self, positions: Mapping[int, int]) -> None:
        """Until there is something to do; the grant is looked at all the time."""
        until = time.monotonic() + PULL_AGAIN_S
        while not (self._ends() or self._around.turn.is_set()) and time.monotonic() < until:
            if self._reading.wait(positions, WAIT_S) or (self._rules.dead_letters and self._letters.waiting()):
                return


def sink_batch(pulled: Pulled, *, void: bool) -> SinkBatch:
    """A delivery as sinks get it. `void`: what they have is to go first, whatever the group says."""
    delivery, wanted = pulled.delivery, Wanted(schema_id=pulled.schema_id)
    return SinkBatch(
        records=delivery.records,
        key=delivery.plan.key,
        offsets=delivery.offsets,
        partitions=delivery.partitions,
        deleted=delivery.deleted,
        positions=delivery.positions,
        reset=void or pulled.reset,
        form=lambda name: WRITERS[name](delivery, wanted),
        about={"topic": delivery.plan.topic, "grant": delivery.plan.grant, "schema_id": pulled.schema_id},
    )


def spans(batch: SinkBatch) -> Sequence[tuple[int, int, int]]:
    """(partition, first offset, offset behind the last) of what a batch has records of."""
    found = []
    for partition in sorted(set(batch.partitions.tolist())):
        mine = batch.offsets[batch.partitions == partition]
        found.append((partition, int(mine.min()), int(mine.max()) + 1))
    return found


def within(pulled: Pulled, letter: Letter) -> Pulled:
    """Only the records of a letter's span."""
    delivery = pulled.delivery
    rows = ((delivery.partitions == letter.partition) & (delivery.offsets < letter.end)).nonzero()[0]
    first, count = (int(rows[0]), len(rows)) if len(rows) else (0, 0)  # they stand one after the other
    cut = slice(first, first + count)
    return replace(
        pulled,
        reset=False,
        delivery=replace(
            delivery,
            records=delivery.records.slice(first, count),
            offsets=delivery.offsets[cut],
            partitions=delivery.partitions[cut],
            deleted=None if delivery.deleted is None else delivery.deleted[cut],
            keys=None if delivery.keys is None else delivery.keys.slice(first, count),
            positions={letter.partition: min(delivery.positions[letter.partition], letter.end)},
        ),
    )

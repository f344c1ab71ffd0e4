"""Indexes over internal topics: run history and open quarantine. Rebuilt from the topics at any time, never the truth."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from hub import blocks
from hub.model import QUARANTINE, RunTotals
from hub.pipeline import manifest as manifests
from hub.pipeline import quarantine
from hub.pipeline.internal import Follower
from hub.pipeline.manifest import Manifest, RunRecord
from hub.pipeline.quarantine import Closing, Entry
from hub.ports import LogReader

RUNS_KEPT = 10_000  # in memory; the topic has them all
SET_ASIDE_KEPT = 10_000  # of one case at one time each; the topic has them all
DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What all runs put on one topic."""

    records: int = 0  # deletions included. Offsets do not tell: they have gaps (R3)
    newest_ms: int | None = None  # when the last of them were appended
    event_ms: int | None = None  # the newest event time among them, where the topic declares one

    def plus(self, item: Manifest) -> Published:
        """After one more append."""
        made = item.totals.published + item.totals.deleted
        if not made:
            return self
        event_ms = self.event_ms if item.event_ms is None else max(item.event_ms, self.event_ms or item.event_ms)
        return Published(records=self.records + made, newest_ms=max(item.at, self.newest_ms or 0), event_ms=event_ms)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """All that was ever appended, of one moment."""

    topics: Mapping[str, Published]
    last: Mapping[str, RunRecord]  # by task, its newest run that was no replay
    last_read: Mapping[str, RunTotals]  # by task, of its newest run that was no replay and read anything
    completed: Mapping[str, int]  # by task, when a run that was no replay last completed, ms
    by_day: Mapping[int, int]  # records by days since 1970, UTC
    published: Mapping[tuple[str, str], int]  # records by topic and task, deletions left out
    quarantined: Mapping[tuple[str, str], int]  # rows by topic and reason
    discarded: Mapping[tuple[str, str], int]  # rows that people set aside, by topic and task

    def day(self, at_ms: int) -> int:
        """Records of the UTC day of this moment."""
        return self.by_day.get(at_ms // DAY_MS, 0)


class RunHistory:
    """Every run, summed over its manifests, oldest first. Thread-safe; `catch_up` before each answer."""

    def __init__(self, reader: LogReader) -> None:
        self._manifests = manifests.follow(reader)
        self._runs: OrderedDict[str, RunRecord] = OrderedDict()
        self._topics: dict[str, Published] = {}
        self._last: dict[str, RunRecord] = {}
        self._last_read: dict[str, RunTotals] = {}
        self._completed: dict[str, int] = {}
        self._by_day: Counter[int] = Counter()
        self._published: Counter[tuple[str, str]] = Counter()
        self._quarantined: Counter[tuple[str, str]] = Counter()
        self._discarded: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def sums(self) -> Sums:
        """All topics and tasks at once."""
        with self._lock:
            self._catch_up()
            return Sums(
                topics=dict(self._topics),
                last=dict(self._last),
                last_read=dict(self._last_read),
                completed=dict(self._completed),
                by_day=dict(self._by_day),
                published=dict(self._published),
                quarantined=dict(self._quarantined),
                discarded=dict(self._discarded),
            )

    def runs(self, task: str | None = None) -> list[RunRecord]:
        """Runs of one task or of all, newest first."""
        with self._lock:
            self._catch_up()
            return [r for r in reversed(self._runs.values()) if task is None or r.task == task]

    def get(self, run: str) -> RunRecord | None:
        """One run."""
        with self._lock:
            self._catch_up()
            return self._runs.get(run)

    def last(self, task: str) -> RunRecord | None:
        """The newest run of a task that was no replay."""
        with self._lock:
            self._catch_up()
            return self._last.get(task)

    def _catch_up(self) -> None:
        for _offset, item in self._manifests.new():
            known = self._known(item)
            self._take(item, (known or manifests.first(item)).plus(item), new=known is None)
        while len(self._runs) > RUNS_KEPT:
            self._runs.popitem(last=False)

    def _known(self, item: Manifest) -> RunRecord | None:
        """The run so far, also one that goes on for so long that later ones have taken its place."""
        newest = self._last.get(item.task)
        return self._runs.get(item.run) or (newest if newest is not None and newest.run == item.run else None)

    def _take(self, item: Manifest, run: RunRecord, *, new: bool) -> None:
        self._runs[item.run] = run
        self._topics[item.topic] = self._topics.get(item.topic, Published()).plus(item)
        self._by_day[item.at // DAY_MS] += item.totals.published + item.totals.deleted
        self._published[item.topic, item.task] += item.totals.published
        for reason, count in item.reasons.items():
            self._quarantined[item.topic, reason] += count
        if run.reset:
            return  # no run
        if run.discard:
            self._discarded[item.topic, item.task] += item.totals.discarded
        if item.replay:
            return
        before = self._last.get(item.task)
        if new or before is None or before.run == item.run:
            self._last[item.task] = run
            if run.totals.read:
                self._last_read[item.task] = run.totals
        if item.state == "completed":
            self._completed[item.task] = item.at


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What rows of quarantine have in common that are dealt with together: the same of one task failed, and for one reason."""

    id: str  # 12 hex characters, of all below but the topic
    task: str
    topic: str
    stage: str
    reason: str
    path: str

    @classmethod
    def of(cls, entry: Entry) -> Case:
        """The case of a row; one value for all of its rows."""
        return _case(entry.task, entry.topic, entry.stage, entry.reason, entry.path)


@lru_cache(maxsize=10_000)
def _case(task: str, topic: str, stage: str, reason: str, path: str) -> Case:
    text = "\0".join([task, stage, reason, path])
    made = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return Case(id=made, task=task, topic=topic, stage=stage, reason=reason, path=path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """An open entry, without its data."""

    id: str
    case: Case
    at: int  # ms
    offset: int  # of the entry in `__quarantine`


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenCase:
    """A case of which rows are open."""

    case: Case
    count: int
    first: int  # ms
    last: int  # ms


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """Rows of one case that a person set aside at once: who, when and why."""

    case: Case
    run: str
    by: str
    why: str
    at: int  # ms
    count: int


class OpenQuarantine:
    """All open entries, by id, and what people set aside. Thread-safe; catches up before each answer."""

    def __init__(self, reader: LogReader, history: RunHistory) -> None:
        self._reader, self._history = reader, history
        self._items = Follower(reader, QUARANTINE, quarantine.parse)
        self._open: dict[str, Open] = {}
        self._counts: Counter[tuple[str, str]] = Counter()  # of these, by topic and task
        self._set_aside: OrderedDict[tuple[str, str], SetAside] = OrderedDict()  # by case and run
        self._lock = threading.Lock()

    def counts(self) -> dict[tuple[str, str], int]:
        """How many rows are open, by topic and task; who has none is left out. Costs the same however many there are."""
        with self._lock:
            self._catch_up()
            return dict(self._counts)

    def cases(self) -> list[OpenCase]:
        """Cases, the largest first. `last` moves with every run that met the reason again (R22)."""
        groups: dict[str, list[Open]] = {}
        for entry in self._entries():
            groups.setdefault(entry.case.id, []).append(entry)
        return sorted((self._case(g) for g in groups.values()), key=lambda c: (-c.count, c.case.id))

    def set_aside(self, case: str | None = None) -> list[SetAside]:
        """What people set aside, the newest first, of one case or of all."""
        with self._lock:
            self._catch_up()
            return [one for one in reversed(self._set_aside.values()) if case is None or one.case.id == case]

    def chosen(
        self,
        *,
        case: str | None = None,
        task: str | None = None,
        offsets: Collection[int] = (),
        limit: int | None = None,
    ) -> list[Open]:
        """Open entries without their data, in the order they were quarantined; `offsets`: only those that stand there."""
        found = [
            e
            for e in self._entries()
            if (case is None or e.case.id == case)
            and (task is None or e.case.task == task)
            and (not offsets or e.offset in offsets)
        ]
        return found[:limit]

    def entries(self, *, case: str | None = None, task: str | None = None, limit: int | None = None) -> list[Entry]:
        """Open entries with their data, in the order they were quarantined."""
        return [entry for _open, entry in self.load(self.chosen(case=case, task=task, limit=limit))]

    def _case(self, group: Sequence[Open]) -> OpenCase:
        case = group[0].case
        met = [
            r.finished or r.started
            for r in self._history.runs(case.task)
            if r.reasons.get(case.reason) and not r.replay
        ]
        times = [e.at for e in group]
        return OpenCase(case=case, count=len(group), first=min(times), last=max([*met, *times]))

    def _entries(self) -> list[Open]:
        with self._lock:
            self._catch_up()
            return list(self._open.values())

    def _catch_up(self) -> None:
        for offset, item in self._items.new():
            self._take(offset, item)
        while len(self._set_aside) > SET_ASIDE_KEPT:
            self._set_aside.popitem(last=False)

    def _take(self, offset: int, item: Entry | Closing) -> None:
        ended = self._open.pop(item.id, None)
        if ended is not None:
            self._count(ended.case, -1)
        if isinstance(item, Entry):
            case = Case.of(item)
            self._open[item.id] = Open(id=item.id, case=case, at=item.at, offset=offset)
            self._count(case, 1)
        elif ended is not None and item.set_aside:
            self._note(ended.case, item)

    def _count(self, case: Case, more: int) -> None:
        place = case.topic, case.task
        self._counts[place] += more
        if not self._counts[place]:
            del self._counts[place]

    def _note(self, case: Case, item: Closing) -> None:
        place = case.id, item.run
        known = self._set_aside.get(place) or SetAside(case=case, run=item.run, by=item.by, why=item.why, at=0, count=0)
        self._set_aside[place] = replace(known, at=item.at, count=known.count + 1)

    def load(self, wanted: Iterable[Open]) -> Iterator[tuple[Open, Entry]]:
        """Their data, a block at a time."""
        left = sorted(wanted, key=lambda e: e.offset, reverse=True)
        while left:
            fetch = self._reader.read(QUARANTINE, 0, left[-1].offset, 1)
            if not fetch.blocks:
                return
            for block in fetch.blocks:
                here = {}
                while left and left[-1].offset <= block.last_offset:
                    one = left.pop()
                    here[one.offset] = one
                records = blocks.decode(block.records, block.base_offset)
                for offset, value in zip(records.offsets.tolist(), records.values.to_pylist(), strict=True):
                    item = quarantine.parse(value) if offset in here else None
                    if isinstance(item, Entry):
                        yield here[offset], item

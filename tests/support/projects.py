"""Small projects and hubs for tests: real files, a real SQLite log, a clock that moves by itself."""

from __future__ import annotations

import itertools
import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from connectors.context import SourceContext
from connectors.sources.files import FilesSource
from connectors.sources.specs import FilesSpec
from hub import blocks
from hub.avro import arrow_schema, parse_topic_schema
from hub.builder import symbols_of
from hub.cli import templates
from hub.log.sqlite import SqliteLog
from hub.mapping.codelists import CodeLists
from hub.mapping.program import MappingSpec
from hub.model import Mode, Topic
from hub.pipeline.discard import Discard, Discarding
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.plan import TaskLimits, TaskPlan
from hub.pipeline.record_ids import RecordIds
from hub.pipeline.replay import Replay
from hub.pipeline.task import Run, RunResult, Surroundings
from hub.ports import Source
from tests.support.reading import quarantined

SCHEMA = {
    "type": "record",
    "name": "Branch",
    "namespace": "t",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "region", "type": ["null", "string"], "default": None},
        {"name": "seats", "type": "int"},
    ],
}
FIELDS = {"id": "trim(ID)", "region": "REGION", "seats": "to_int(SEATS)"}
TOPIC = "city.culture.branch.v1"
NOTHING: Mapping[str, str] = {}


def write_files(directory: Path, files: Mapping[str, str]) -> Path:
    """The directory, with these files in it by their paths below it."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def make_project(directory: Path, more: Mapping[str, str] = NOTHING) -> Path:
    """What `datong init` makes, in this directory. `more` are files beside its own, or instead of them."""
    return write_files(directory, {**templates.FILES, **more})


def make_plan(mode: Mode = "snapshot", **changes: Any) -> TaskPlan:
    """A task that reads ID, REGION, SEATS."""
    record = parse_topic_schema(json.dumps(SCHEMA))
    keyed = mode != "append"
    plan = TaskPlan(
        connector="branches",
        agency="city",
        topic=Topic(name=TOPIC, partitions=2, compacted=keyed),
        mode=mode,
        key=("id",) if keyed else (),
        scope=("region",) if keyed else (),
        event_time=None,
        mapping=MappingSpec(fields=FIELDS, where="SEATS <> 'skip'", checks={"some": "seats > 0"}),
        codes=CodeLists(),
        record=record,
        target=arrow_schema(record),
        symbols=symbols_of(record),
        schema_id=1,
        mapping_version="m1",
        limits=TaskLimits(),
    )
    return replace(plan, **changes)


def ticking(start: int = 1_700_000_000_000) -> Callable[[], int]:
    """A clock that moves by a millisecond with each look."""
    steps = itertools.count(start)
    return lambda: next(steps)


class Bench:
    """A log, a directory of files, and runs over them."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir(exist_ok=True)
        self.clock = ticking()
        self.log = SqliteLog.at(directory / "log.db", clock=self.clock)
        weakref.finalize(self, self.log.close)
        self.epoch = 0

    def write(self, text: str, name: str = "a.csv") -> None:
        (self.data / name).write_text(text, encoding="utf-8")

    def source(self, mode: Mode = "snapshot", **spec: Any) -> FilesSource:
        made = FilesSpec(kind="files", path=spec.pop("path", "*.csv"), stable_after_s=0, **spec)
        return FilesSource(made, SourceContext(task="branches", root=self.data, mode=mode))

    def around(self) -> Surroundings:
        """Of a job that begins now."""
        return Surroundings(reader=self.log, clock_ms=self.clock, epoch=self.epoch)

    def run(
        self, plan: TaskPlan | None = None, source: Source | None = None, ids: RecordIds | None = None
    ) -> RunResult:
        plan = plan or make_plan()
        self.log.ensure(plan.topic)
        self.epoch += 1
        writer = self.log.open(plan.connector, self.epoch)
        return Run(plan, source or self.source(plan.mode), writer, self.around(), ids).execute(Event())

    def replay(self, plan: TaskPlan) -> RunResult:
        self.epoch += 1
        writer = self.log.open(plan.connector, self.epoch)
        return Replay(plan, writer, self.around()).execute(self.open_entries(), Event())

    def discard(self, case: str | None = None, *rows: int, why: str = "nobody knows") -> RunResult:
        """As a person does it: all open rows, those of a case, or some."""
        index = OpenQuarantine(self.log, RunHistory(self.log))
        self.epoch += 1
        writer = self.log.open("branches", self.epoch)
        asked = Discarding(case=case, rows=rows, by="olaf", why=why)
        return Discard("branches", writer, self.around(), asked).execute(
            lambda: index.chosen(case=case, offsets=rows), Event()
        )

    def open_entries(self) -> list[Any]:
        found: dict[str, Any] = {}
        for item in quarantined(self.log):
            if hasattr(item, "reason"):
                found[item.id] = item
            else:
                found.pop(item.id, None)
        return list(found.values())

    def records(self, topic: str = TOPIC) -> list[tuple[bytes | None, bytes | None, Mapping[str, bytes | None]]]:
        """(key, value, headers) of every record, partition by partition."""
        found = []
        for partition, span in self.log.ends(topic).items():
            offset = span.earliest
            while offset < span.end:
                fetch = self.log.read(topic, partition, offset, 10_000_000)
                for block in fetch.blocks:
                    part = blocks.decode(block.records, block.base_offset)
                    names = ("ce_id", "scope", "batch_id", "batch_n", "seq_base", "epoch", "replay", "ce_time")
                    headers = {n: part.header(n).to_pylist() for n in names}
                    for i, (key, value) in enumerate(zip(part.keys.to_pylist(), part.values.to_pylist(), strict=True)):
                        found.append((key, value, {n: h[i] for n, h in headers.items()}))
                offset = fetch.next_offset
        return found

"""What the API shows of connectors, runs, topics and schemas, as JSON values."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hub import errors
from hub.avro.types import Field, Record
from hub.catalogue.specs import ConnectorSpec, TopicSpec
from hub.errors import NotFound
from hub.model import INTERNAL_TOPICS, RunTotals
from hub.pipeline.followers import Published
from hub.pipeline.freshness import Freshness
from hub.pipeline.jobs import as_json
from hub.pipeline.manifest import RunRecord
from hub.pipeline.supervisor import ConnectorStatus
from hub.settings import show

if TYPE_CHECKING:
    from hub.app import Hub

LOOK_S = 0.2  # how often a run of another process is looked at


class Views:
    """Reads the hub's parts; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def connectors(self) -> list[dict[str, Any]]:
        """All connectors, sorted."""
        return [self._connector(status) for status in self._hub.supervisor.statuses().values()]

    def connector(self, name: str) -> dict[str, Any]:
        """One connector with its state and last run. Raises NotFound."""
        return self._connector(self._hub.supervisor.status(name))

    def runs(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The last runs, newest first. Raises NotFound."""
        status = self._hub.supervisor.status(name)
        return [_run(r, status) for r in self._hub.history.runs(name)[:limit]]

    def run(self, name: str, run_id: str, wait_s: float) -> dict[str, Any]:
        """One run with its totals so far, wherever it runs; waits for its end. Raises NotFound."""
        deadline = time.monotonic() + wait_s
        own = self._hub.supervisor.wait(name, wait_s if self._runs_here(name, run_id) else 0)
        if own is not None and own.run_id == run_id:
            return self._ended(name, as_json(own))
        while True:
            status = self._hub.supervisor.status(name)
            if status.run_id == run_id and not status.unfinished and status.outcome:
                return self._ended(name, status.outcome)
            record = self._hub.history.get(run_id)
            known = record is not None and record.task == name
            if record is not None and known and status.run_id != run_id:
                return _run(record, status)
            if not known and status.run_id != run_id:
                raise NotFound(f"connector {name} has no run {run_id}")
            if (left := deadline - time.monotonic()) <= 0:
                return _running(name, run_id, status, record.totals if record else RunTotals())
            time.sleep(min(LOOK_S, left))

    def nodes(self) -> list[dict[str, Any]]:
        """The processes that take part."""
        supervisor = self._hub.supervisor
        runs = supervisor.statuses().values()
        return [
            {
                "name": node.name,
                "role": node.role,
                "version": node.version,
                "started": _iso(node.started_ms),
                "silent_s": round(node.silent_ms / 1000, 1),
                "alive": supervisor.alive(node),
                "runs": [status.name for status in runs if status.worker == node.name],
            }
            for node in supervisor.nodes()
        ]

    def _connector(self, status: ConnectorStatus) -> dict[str, Any]:
        spec: ConnectorSpec | None = self._hub.catalogue.connectors.get(status.name)
        last = self._hub.history.last(status.name)
        return {
            "name": status.name,
            "agency": spec.agency if spec else None,
            "topic": spec.publish.topic if spec else None,
            "kind": spec.kind if spec else None,
            "mode": spec.publish.mode if spec else None,
            "schedule": (spec.schedule or "by hand") if spec else None,
            "state": status.state,
            "reason": status.reason,
            "running": status.running,
            "worker": status.worker,
            "next_run": status.next_run.isoformat(timespec="seconds") if status.next_run else None,
            "last_run": _run(last, status) if last else None,
        }

    def _runs_here(self, name: str, run_id: str) -> bool:
        worker = self._hub.supervisor.worker
        running = worker.running().get(name) if worker else None
        return running is not None and running.job.run_id == run_id

    def _ended(self, name: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
        code = str(outcome["error"]).partition(":")[0]
        spec: ConnectorSpec | None = self._hub.catalogue.connectors.get(name)
        return {
            "connector": name,
            "topic": spec.publish.topic if spec else None,
            **outcome,
            "exit_code": _exit_code(code, outcome["state"]),
        }

    def topics(self) -> list[dict[str, Any]]:
        """All topics that the log has or the catalogue declares."""
        names = {*self._hub.catalogue.topics, *self._hub.log.topics()} - set(INTERNAL_TOPICS)
        sums, fresh = self._hub.history.sums(), self._hub.freshness()
        return [self._topic(name, sums.topics.get(name), fresh.get(name)) for name in sorted(names)]

    def topic(self, name: str) -> dict[str, Any]:
        """One topic with fields and offsets. Raises NotFound."""
        if name in INTERNAL_TOPICS or name not in {*self._hub.catalogue.topics, *self._hub.log.topics()}:
            raise NotFound(f"there is no topic {name}", remedy="`datong topics` lists them")
        offsets = self._offsets(name)
        record = self._hub.deliveries.newest_schema(name)
        published, fresh = self._hub.history.sums().topics.get(name), self._hub.freshness().get(name)
        return {**self._topic(name, published, fresh), "offsets": offsets, "fields": _fields(record) if record else []}

    def schemas(self) -> list[dict[str, Any]]:
        """The latest version of every subject."""
        found = []
        for subject in self._hub.registry.subjects():
            latest = self._hub.registry.latest(subject)
            level = self._hub.registry.level(subject)
            found.append({"subject": subject, "version": latest.version, "id": latest.schema.id, "level": level})
        return found

    def schema(self, subject: str) -> Any:
        """The latest schema of a subject. Raises NotFound."""
        return json.loads(self._hub.registry.by_id(self._hub.registry.latest(subject).schema.id))

    def settings(self) -> list[dict[str, str]]:
        """Every setting with its origin."""
        return [{"setting": k, "value": v, "origin": o} for k, v, o in show(self._hub.loaded)]

    def _topic(self, name: str, published: Published | None, fresh: Freshness | None) -> dict[str, Any]:
        spec: TopicSpec | None = self._hub.catalogue.topics.get(name)
        contract = self._hub.deliveries.contract(name)
        known = self._hub.log.topics().get(name)
        return {
            "topic": name,
            "agency": name.partition(".")[0],
            "title": spec.title.model_dump() if spec else {},
            "sharing": spec.sharing if spec else "not shared",
            "partitions": known.partitions if known else (spec.partitions if spec else 0),
            "mode": "keyed" if known and known.compacted else "append",
            "key": list(contract.key) if contract else [],
            "scope": list(spec.scope) if spec else [],
            "records": published.records if published else 0,
            "freshness": _fresh(fresh),
            "schema_id": self._hub.deliveries.schema_id(name),
        }

    def _offsets(self, name: str) -> list[dict[str, int]]:
        try:
            spans = self._hub.log.ends(name)
        except NotFound:
            return []
        return [{"partition": p, "earliest": s.earliest, "end": s.end} for p, s in sorted(spans.items())]


def _run(record: RunRecord, status: ConnectorStatus) -> dict[str, Any]:
    """A run of the history. One that says it runs, and is not the one that runs, was cut short."""
    state, error = record.state, record.error
    goes_on = status.run_id == record.run and status.unfinished
    if goes_on:
        state = "running"
    elif state == "running":
        state, error = "failed", "the process that ran it ended without a word; later runs went on from its checkpoint"
    return {
        "connector": record.task,
        "run": record.run,
        "topic": record.topic,
        "started": _iso(record.started),
        "finished": _iso(record.finished) if record.finished and not goes_on else None,
        "state": state,
        "totals": vars(record.totals),
        "reasons": dict(record.reasons),
        "warnings": dict(record.warnings),
        "notes": _notes(record, status),
        "error": error,
        "replay": record.replay,
        "exit_code": _exit_code(error.partition(":")[0], state),
    }


def _notes(record: RunRecord, status: ConnectorStatus) -> list[str]:
    if record.reset:
        return [f"no run: the checkpoint was reset: {record.reset}"]
    return list(status.outcome["notes"]) if status.outcome and status.outcome["run"] == record.run else []


def _running(name: str, run_id: str, status: ConnectorStatus, totals: RunTotals) -> dict[str, Any]:
    return {
        "connector": name,
        "run": run_id,
        "topic": None,
        "state": "running",
        "worker": status.worker,
        "totals": vars(status.totals or totals),
        "reasons": {},
        "warnings": {},
        "notes": [],
        "error": "",
        "exit_code": 0,
    }


def _exit_code(code: str, state: str) -> int:
    kind = getattr(errors, code, None) if code else None
    if kind is not None:
        return int(kind.exit_code)
    return 0 if state in ("completed", "stopped", "running") else 1


def _fields(record: Record) -> list[dict[str, Any]]:
    return [_field(f) for f in record.fields]


def _field(field: Field) -> dict[str, Any]:
    from hub.avro.arrow import arrow_type

    return {
        "name": field.name,
        "type": str(arrow_type(field.type)),
        "doc": field.doc,
        "doc_zh": field.props.get("doc_zh", ""),
        "unit": field.props.get("unit", ""),
        "classification": field.props.get("classification", ""),
    }


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _fresh(fresh: Freshness | None) -> str:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    age_s = fresh.age_s(now_ms) if fresh else None
    if fresh is None or age_s is None:
        return "no data yet"
    return f"{_ago(age_s)} ago" + (", late" if fresh.late(now_ms) else "")


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

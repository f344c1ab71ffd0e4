"""What the API shows of connectors, runs, topics and schemas, as JSON values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hub import errors
from hub.avro.types import Field, Record
from hub.catalogue.specs import ConnectorSpec, TopicSpec
from hub.errors import NotFound
from hub.model import INTERNAL_TOPICS, RunTotals
from hub.pipeline.manifest import RunRecord
from hub.settings import show

if TYPE_CHECKING:
    from hub.app import Hub

FETCH_BYTES = 1


class Views:
    """Reads the hub's parts; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def connector(self, name: str) -> dict[str, Any]:
        """One connector with its state and last run. Raises NotFound."""
        status = self._hub.supervisor.status(name)
        spec: ConnectorSpec | None = self._hub.catalogue.connectors.get(name)
        last = self._hub.history.last(name)
        return {
            "name": name,
            "agency": spec.agency if spec else None,
            "topic": spec.publish.topic if spec else None,
            "kind": spec.kind if spec else None,
            "mode": spec.publish.mode if spec else None,
            "schedule": (spec.schedule or "by hand") if spec else None,
            "state": status.state,
            "reason": status.reason,
            "running": status.running,
            "next_run": status.next_run.isoformat(timespec="seconds") if status.next_run else None,
            "last_run": _run(last) if last else None,
        }

    def runs(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The last runs, newest first."""
        return [_run(r) for r in self._hub.history.runs(name)[:limit]]

    def run(self, name: str, run_id: str, wait_s: float) -> dict[str, Any]:
        """One run with its totals so far; waits for its end. Raises NotFound."""
        status = self._hub.supervisor.status(name)
        if status.run_id == run_id:
            result = self._hub.supervisor.wait(name, wait_s) if status.running else self._hub.supervisor.wait(name, 0)
            if result is not None and result.run_id == run_id:
                topic = self.connector(name)["topic"]
                made = {"connector": name, "run": run_id, "topic": topic, "state": result.state}
                error = result.error
                return {
                    **made,
                    "totals": vars(result.totals),
                    "reasons": dict(result.reasons),
                    "warnings": dict(result.warnings),
                    "notes": list(result.notes),
                    "error": f"{error.code}: {error}" if error else "",
                    "exit_code": _exit_code(error.code if error else "", result.state),
                }
            now = self._hub.supervisor.status(name)
            return _running(name, run_id, now.totals)
        record = self._hub.history.get(run_id)
        if record is None or record.task != name:
            raise NotFound(f"connector {name} has no run {run_id}")
        return _run(record)

    def topics(self) -> list[dict[str, Any]]:
        """All topics that the log has or the catalogue declares."""
        names = {*self._hub.catalogue.topics, *self._hub.log.topics()} - set(INTERNAL_TOPICS)
        return [self._topic(name) for name in sorted(names)]

    def topic(self, name: str) -> dict[str, Any]:
        """One topic with fields and offsets. Raises NotFound."""
        if name in INTERNAL_TOPICS or name not in {*self._hub.catalogue.topics, *self._hub.log.topics()}:
            raise NotFound(f"there is no topic {name}", remedy="`datong topics` lists them")
        offsets = self._offsets(name)
        record = self._hub.deliveries.newest_schema(name)
        return {**self._topic(name), "offsets": offsets, "fields": _fields(record) if record else []}

    def freshness(self) -> dict[str, float]:
        """Seconds since the newest append to each topic."""
        now = datetime.now(UTC).timestamp()
        found = {}
        for name in self._hub.log.topics():
            newest = None if name in INTERNAL_TOPICS else self._newest(name)
            if newest is not None:
                found[name] = max(0.0, now - newest / 1000)
        return found

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

    def _topic(self, name: str) -> dict[str, Any]:
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
            "records": self._hub.history.appended(name),
            "freshness": self._fresh(name, spec),
            "schema_id": self._hub.deliveries.schema_id(name),
        }

    def _fresh(self, name: str, spec: TopicSpec | None) -> str:
        newest = self._newest(name)
        if newest is None:
            return "no data yet"
        age = datetime.now(UTC).timestamp() - newest / 1000
        late = spec is not None and spec.freshness is not None and age > spec.freshness.total_seconds()
        return f"{_ago(age)} ago" + (", late" if late else "")

    def _newest(self, name: str) -> int | None:
        """Append time of the newest block, ms."""
        newest = None
        for place in self._offsets(name):
            for back in (1, 4, 64, 4096):  # the last offsets may be markers of transactions
                offset = max(place["end"] - back, place["earliest"])
                if offset >= place["end"]:
                    break
                blocks = self._hub.log.read(name, place["partition"], offset, FETCH_BYTES).blocks
                if blocks:
                    newest = max(newest or 0, blocks[-1].timestamp_ms)
                    break
        return newest

    def _offsets(self, name: str) -> list[dict[str, int]]:
        try:
            spans = self._hub.log.ends(name)
        except NotFound:
            return []
        return [{"partition": p, "earliest": s.earliest, "end": s.end} for p, s in sorted(spans.items())]


def _run(record: RunRecord) -> dict[str, Any]:
    code = record.error.partition(":")[0]
    return {
        "connector": record.task,
        "run": record.run,
        "topic": record.topic,
        "started": _iso(record.started),
        "finished": _iso(record.finished) if record.finished else None,
        "state": record.state,
        "totals": vars(record.totals),
        "reasons": dict(record.reasons),
        "warnings": dict(record.warnings),
        "notes": [],
        "error": record.error,
        "replay": record.replay,
        "exit_code": _exit_code(code, record.state),
    }


def _running(name: str, run_id: str, totals: RunTotals) -> dict[str, Any]:
    return {
        "connector": name,
        "run": run_id,
        "topic": None,
        "state": "running",
        "totals": vars(totals),
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


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

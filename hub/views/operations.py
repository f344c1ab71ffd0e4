"""Connectors, their runs, the processes that take part, and the settings, as JSON values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hub import errors
from hub.catalogue.specs import ConnectorSpec
from hub.errors import NotFound
from hub.model import RunTotals
from hub.moments import iso
from hub.pipeline.jobs import as_json
from hub.pipeline.manifest import RunRecord
from hub.pipeline.supervisor import ConnectorStatus
from hub.settings import show
from hub.views.part import Part

LOOK_S = 0.2  # how often a run of another process is looked at


class OperationViews(Part):
    """What runs, and how."""

    def connectors(self) -> list[dict[str, Any]]:
        """All connectors, sorted."""
        last = self._hub.history.sums().last
        return [self._connector(status, last.get(name)) for name, status in self._hub.supervisor.statuses().items()]

    def connector(self, name: str) -> dict[str, Any]:
        """One connector with its state and last run. Raises NotFound."""
        return self._connector(self._hub.supervisor.status(name), self._hub.history.last(name))

    def runs(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The last runs, newest first, also of a connector that is not there any more. Raises NotFound."""
        status = self._hub.supervisor.status(name, gone=True)
        return [_run(r, status) for r in self._hub.history.runs(name)[:limit]]

    def run(self, name: str, run_id: str, wait_s: float) -> dict[str, Any]:
        """One run with its totals so far, wherever it runs; waits for its end. Of a connector that is not there any more, too.
        Raises NotFound."""
        deadline = time.monotonic() + wait_s
        own = self._hub.supervisor.wait(name, wait_s if self._runs_here(name, run_id) else 0)
        if own is not None and own.run_id == run_id:
            return self._ended(name, as_json(own))
        while True:
            status = self._hub.supervisor.status(name, gone=True)
            if status.run_id == run_id and not status.unfinished and status.outcome:
                return self._ended(name, status.outcome)
            told = status.run_id == run_id and status.totals is not None  # by the worker: the log need not be asked
            record = None if told else self._hub.history.get(run_id)
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
                "started": iso(node.started_ms),
                "silent_s": round(node.silent_ms / 1000, 1),
                "alive": supervisor.alive(node),
                "runs": [status.name for status in runs if status.worker == node.name],
            }
            for node in supervisor.nodes()
        ]

    def _connector(self, status: ConnectorStatus, last: RunRecord | None) -> dict[str, Any]:
        spec: ConnectorSpec | None = self._hub.catalogue.connectors.get(status.name)
        return {
            "name": status.name,
            "agency": spec.agency if spec else None,
            "topic": spec.publish.topic if spec else None,
            "kind": spec.kind if spec else None,
            "mode": spec.publish.mode if spec else None,
            "schedule": (spec.schedule or "by hand") if spec else None,
            "state": status.state,
            "reason": status.reason,
            "error": str(status.outcome["error"]) if status.outcome else "",  # code and message of what ended last
            # what was missing and what was there, where it ended so
            "columns": status.outcome.get("columns") if status.outcome else None,
            "failures": status.failures,  # passing faults in a row
            "away": status.away,  # why its source does not answer the run under way
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

    def settings(self) -> list[dict[str, str]]:
        """Every setting with its origin."""
        return [{"setting": k, "value": v, "origin": o} for k, v, o in show(self._hub.loaded)]


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
        "started": iso(record.started),
        "finished": iso(record.finished) if record.finished and not goes_on else None,
        "seconds": (record.finished - record.started) / 1000 if record.finished and not goes_on else None,
        "state": state,
        "totals": vars(record.totals),
        "reasons": dict(record.reasons),
        "warnings": dict(record.warnings),
        "notes": _notes(record, status),
        "error": error,
        "replay": record.replay,
        "discard": record.discard,  # rows of quarantine were set aside, and nothing else
        "reset": record.reset,  # why the checkpoint was set back, when that is all it did
        "exit_code": _exit_code(error.partition(":")[0], state),
    }


def _notes(record: RunRecord, status: ConnectorStatus) -> list[str]:
    if record.reset:
        return [f"no run: the checkpoint was reset: {record.reset}"]
    if record.discard:
        return ["no run: rows were set aside, nothing was read"]
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

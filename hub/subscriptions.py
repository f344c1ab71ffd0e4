"""What an operator sees and steers of subscriptions that the hub pushes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from hub import errors
from hub.access.decide import Request
from hub.catalogue.load import Catalogue
from hub.catalogue.specs import SubscriptionSpec
from hub.deliveries import Deliveries
from hub.errors import Conflict, DatongError, NotFound
from hub.pipeline.jobs import as_json, task_of
from hub.pipeline.supervisor import ConnectorStatus, Supervisor
from hub.store import Store
from hub.store.letters import Letter

STATE_OF_VERB: Mapping[str, Literal["PAUSED", "RUNNING"]] = {"pause": "PAUSED", "resume": "RUNNING"}
IN_FILE = "its file says `paused: true`"
LOOK_S = 0.2  # how often a run of another process is looked at


class SubscriptionDesk:
    """Reads the hub's parts; changes states and dead letters only."""

    def __init__(
        self, supervisor: Supervisor, store: Store, deliveries: Deliveries, catalogue: Callable[[], Catalogue]
    ) -> None:
        self._supervisor, self._store, self._deliveries, self._catalogue = supervisor, store, deliveries, catalogue

    def all(self) -> list[dict[str, Any]]:
        """Every subscription, sorted."""
        statuses, letters = self._supervisor.pushes(), self._store.letters.undelivered()
        specs = self._catalogue().subscriptions
        return [
            _shown(specs[n], statuses[task_of(n)], letters.get(n, 0)) for n in sorted(specs) if task_of(n) in statuses
        ]

    def one(self, name: str) -> dict[str, Any]:
        """With what it reads and how far. Raises NotFound."""
        spec = self._spec(name)
        shown = _shown(spec, self._supervisor.status(task_of(name)), self._store.letters.undelivered().get(name, 0))
        return {**shown, **self._position(spec)}

    def steer(self, name: str, verb: str, *, by: str = "operator") -> None:
        """pause or resume. `by` is who asked: it is kept with the state."""
        if verb not in STATE_OF_VERB:
            raise NotFound(f"there is no action {verb}", remedy="pause or resume")
        if self._spec(name).paused:
            raise Conflict(f"subscription {name} is paused: {IN_FILE}", remedy="take that out, then `datong reload`")
        reason = f"{verb} by an operator" if verb == "pause" else ""
        self._supervisor.set_state(task_of(name), STATE_OF_VERB[verb], reason=reason, by=by)

    def run(self, name: str, *, once: bool) -> str:
        """Start to push, and return the run's id. Raises Conflict while it is pushed, or is not to be."""
        if self._spec(name).paused:
            raise Conflict(f"subscription {name} is paused: {IN_FILE}", remedy="take that out first")
        return self._supervisor.run_now(task_of(name), once=once)

    def result(self, name: str, run_id: str, wait_s: float) -> dict[str, Any]:
        """A run with its totals so far, or how it ended; waits for its end. Raises NotFound."""
        deadline, task = time.monotonic() + wait_s, task_of(self._spec(name).subscription)
        while True:
            status = self._supervisor.status(task)
            if status.run_id != run_id:
                raise NotFound(f"subscription {name} has no run {run_id}")
            if not status.unfinished and status.outcome:
                return {"subscription": name, **status.outcome, "exit_code": _exit_code(status.outcome)}
            left = deadline - time.monotonic()
            own = self._supervisor.wait(task, max(min(left, wait_s), 0))
            if own is not None and own.run_id == run_id:
                outcome = as_json(own)
                return {"subscription": name, **outcome, "exit_code": _exit_code(outcome)}
            if left <= 0:
                totals = vars(status.totals) if status.totals else {}
                return {
                    "subscription": name,
                    "run": run_id,
                    "state": "running",
                    "totals": totals,
                    "notes": [],
                    "error": "",
                }
            time.sleep(min(LOOK_S, left))

    def letters(self, name: str) -> list[dict[str, Any]]:
        """Dead letters, newest state of each. Raises NotFound."""
        return [_letter(one) for one in self._store.letters.of(self._spec(name).subscription).listed()]

    def retry(self, name: str, letter: str | None) -> int:
        """Ask for dead letters to be sent again by the run that pushes. How many. Raises NotFound."""
        asked = self._store.letters.of(self._spec(name).subscription).retry(letter)
        if not asked and letter:
            raise NotFound(f"subscription {name} has no open dead letter {letter}")
        return asked

    def _spec(self, name: str) -> SubscriptionSpec:
        spec = self._catalogue().subscriptions.get(name)
        if spec is None:
            raise NotFound(f"there is no subscription {name}", remedy="`datong subscription list` names them")
        return spec

    def _position(self, spec: SubscriptionSpec) -> dict[str, Any]:
        """Where its group stands under the grant as it is; nothing while it is refused."""
        grant = self._catalogue().grants.get(spec.grant or "")
        request = Request(
            agency=grant.agency if grant else spec.agency or "",
            topic=grant.topic if grant else spec.topic or "",
            grant=spec.grant,
        )
        try:
            state = self._deliveries.state(request, spec.reads_as)
        except DatongError:
            return {"positions": None, "lag": None}
        return {"positions": {str(p): at for p, at in state.positions.items()}, "lag": state.lag}


def _shown(spec: SubscriptionSpec, status: ConnectorStatus, letters: int) -> dict[str, Any]:
    held = spec.paused and status.state == "RUNNING"
    return {
        "name": spec.subscription,
        "grant": spec.grant,
        "agency": spec.agency,
        "topic": spec.topic,
        "group": spec.reads_as,
        "kind": spec.kind,
        "state": "PAUSED" if held else status.state,
        "reason": IN_FILE if held else status.reason,
        "running": status.running,
        "worker": status.worker,
        "next_run": status.next_run.isoformat(timespec="seconds") if status.next_run else None,
        "last_run": status.outcome,
        "dead_letters": letters,
    }


def _letter(one: Letter) -> dict[str, Any]:
    return {
        "id": one.id,
        "topic": one.topic,
        "partition": one.partition,
        "from": one.first,
        "to": one.end - 1,
        "status": one.status,
        "since": datetime.fromtimestamp(one.at_ms / 1000, UTC).isoformat(timespec="seconds"),
        "reason": one.reason,
    }


def _exit_code(outcome: Mapping[str, Any]) -> int:
    kind = getattr(errors, str(outcome["error"]).partition(":")[0], None) if outcome["error"] else None
    if kind is not None:
        return int(kind.exit_code)
    return 0 if outcome["state"] in ("completed", "stopped") else 1

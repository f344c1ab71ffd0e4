"""The operator's desk for connectors that run: start anew, and read the source from its start again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from hub import errors, failpoints
from hub.catalogue.load import Catalogue
from hub.errors import Conflict, DatongError, LogUnavailable, NotFound
from hub.pipeline.cases import masked, stated
from hub.pipeline.supervisor import ConnectorStatus, Supervisor
from hub.ports import LogReader

PATIENCE_S = 30.0  # for a run to finish its batch, or a reset to be durable
LOOK_S = 0.05
OPERATOR = "operator"  # who asks, where nobody in particular is named
log = structlog.get_logger("datong.steering")


class Steering:
    """Asks the supervisor, whichever node runs the connector. `by` is who asked: it is kept with the state."""

    def __init__(self, supervisor: Supervisor, kept: LogReader, catalogue: Callable[[], Catalogue]) -> None:
        self._supervisor, self._log, self._catalogue = supervisor, kept, catalogue

    def restart(self, name: str, *, by: str = OPERATOR) -> dict[str, str]:
        """End the run under way after its batch, forget a failure, and start a run now. Raises NotFound, and Conflict also
        when somebody stops or pauses it meanwhile: so it stays then. Whenever this process dies, the connector is as it was
        or RUNNING."""
        status = self._supervisor.status(name)
        if status.state in ("PAUSED", "STOPPED"):
            raise Conflict(
                f"connector {name} is {status.state}, so it does not run anew",
                remedy=f"`datong connector resume {name}` first",
            )
        self._supervisor.set_state(name, "RUNNING", reason="", by=by)
        ended = self._supervisor.run_anew(name) if status.running else None
        failpoints.hit("asked")
        if ended is not None:
            self._await(name, lambda now: not now.running or now.run_id != ended, "finishes its batch")
            failpoints.hit("ended")
        return {"connector": name, "run": self._run_after(name, ended)}

    def _run_after(self, name: str, ended: str | None) -> str:
        """The run that follows one that was asked to end; who noticed first may have begun it. Raises Conflict."""
        try:
            return self._supervisor.run_now(name)
        except Conflict:
            run = self._supervisor.status(name).run_id
            if ended is None or run in (None, ended):
                raise
            return str(run)

    def stop(self, name: str, *, by: str = OPERATOR) -> None:
        """Stop it, and wait until its run has ended. Raises NotFound, Conflict."""
        if self._supervisor.status(name).state != "STOPPED":
            self._supervisor.set_state(name, "STOPPED", reason="stop by an operator", by=by)
        self._await(name, lambda now: not now.running, "finishes its batch")

    def position(self, name: str) -> dict[str, Any] | None:
        """How far its source was read: the number of the last batch, and the source's own checkpoint with every value
        masked (G13); None: nothing yet, or it was reset. Raises NotFound."""
        self._supervisor.status(name)
        stored = self._log.checkpoint_of(name)
        if stored is None or stored.source is None:
            return None
        return {"batch": stored.batch, "position": masked(stored.source.value)}

    def reset(self, name: str, *, reason: str, accept_duplicates: bool = False, by: str = OPERATOR) -> dict[str, Any]:
        """Let the next run read the source from its start. Durable on return, and on record with its reason.

        Keyed topics get no record twice: their state of every key stays, so a row that did not change is `unchanged`. In
        mode append every row that the source still has is published once more (with the id that it had, where the
        source's positions repeat), which `accept_duplicates` must allow. Raises NotFound, Conflict, ConfigurationInvalid."""
        reason = stated(reason, "a reset")
        spec = self._catalogue().connectors.get(name)
        if spec is None:
            raise NotFound(f"there is no valid connector {name}", remedy="`datong connector list` names them")
        if spec.publish.mode == "append" and not accept_duplicates:
            raise Conflict(
                f"{name} publishes in mode append: every row that its source still has would be published again",
                remedy="to have them twice, repeat it with accept_duplicates",
            )
        run = self._supervisor.reset(name, reason)
        ended = self._await(
            name, lambda now: now.run_id == run and not now.unfinished and now.outcome is not None, "resets"
        )
        error = str((ended.outcome or {})["error"])
        if error:
            raise _error(name, error)
        self._supervisor.set_state(name, "STOPPED", reason=f"checkpoint reset: {reason}", by=by)
        log.warning("checkpoint reset", connector=name, run=run, reason=reason, by=by)
        return {"connector": name, "run": run, "mode": spec.publish.mode, "reason": reason}

    def _await(self, name: str, ended: Callable[[ConnectorStatus], bool], what: str) -> ConnectorStatus:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status = self._supervisor.status(name)
            if ended(status):
                return status
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"connector {name} {what} for longer than {PATIENCE_S:.0f} s",
                    remedy=f"see `datong connector show {name}`, and try again",
                )
            time.sleep(LOOK_S)


def _error(name: str, said: str) -> DatongError:
    """The error that a job on record ended with."""
    code, _, text = said.partition(": ")
    kind = getattr(errors, code, None)
    if isinstance(kind, type) and issubclass(kind, errors.Retry) and kind is not errors.Retry:
        return kind(f"the reset of {name} did not happen: {text}")
    return Conflict(f"the reset of {name} did not happen: {text}")

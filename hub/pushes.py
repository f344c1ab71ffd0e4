"""From a subscription's file to a push: its sink opened, its grant decided, and what became of it (R23, R24)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from hub.access.decide import Request
from hub.catalogue.load import Catalogue
from hub.catalogue.specs import SubscriptionSpec
from hub.delivery.groups import Member
from hub.delivery.push import PushRun, PushSurroundings, Reading
from hub.errors import DatongError, Denied, NotFound, NotGranted, Reject
from hub.model import RunTotals
from hub.pipeline.jobs import PUSHED, Job
from hub.pipeline.manifest import RunState
from hub.pipeline.task import RunResult
from hub.ports import Sink
from hub.store import Store


class Group(Reading, Protocol):
    """A reading that is given back."""

    def leave(self) -> None:
        """Let the next reader in."""


class Pusher:
    """Executes the jobs of subscriptions. Safe from many threads; leases keep two jobs of one subscription apart."""

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        sink: Callable[[SubscriptionSpec], Sink],
        group: Callable[[Callable[[], Request], Member], Group],
        store: Store,
    ) -> None:
        self._catalogue, self._sink, self._group, self._store = catalogue, sink, group, store

    def execute(self, job: Job, epoch: int, progress: Callable[[RunTotals], None]) -> RunResult:
        """Push to the end. What a grant or a sink refuses pauses the subscription."""
        account = _Account(progress)
        try:
            self._execute(job, epoch, account)
        except DatongError as error:
            state: RunState = "paused" if isinstance(error, Denied | Reject) else "failed"
            return account.result(job, state, error)
        return account.result(job, "stopped" if job.stop.is_set() else "completed", None)

    def _execute(self, job: Job, epoch: int, account: _Account) -> None:
        name = job.name.removeprefix(PUSHED)
        spec = self._spec(name)
        group = self._group(
            lambda: request_of(spec, self._catalogue()), Member(group=spec.reads_as, reader=f"push {name}")
        )
        around = PushSurroundings(
            stop=job.stop,
            turn=job.turn,
            once=job.once,
            over=lambda: self._catalogue().subscriptions.get(name) != spec,
            holds=lambda: self._store.leases.get(job.name).epoch == epoch,
            progress=account.add,
        )
        with closing(self._sink(spec)) as sink:
            run = PushRun(sink, group, self._store.letters.of(name), around)
            account.notes = run.notes
            try:
                run.execute()
            finally:
                with suppress(DatongError):  # it runs out by itself
                    if around.holds():  # else it is another worker's by now
                        group.leave()

    def _spec(self, name: str) -> SubscriptionSpec:
        spec = self._catalogue().subscriptions.get(name)
        if spec is None:
            raise NotFound(f"there is no valid subscription {name}", remedy="`datong validate` shows what is wrong")
        return spec


@dataclass
class _Account:
    """What a run pushed so far."""

    progress: Callable[[RunTotals], None]
    totals: RunTotals = field(default_factory=RunTotals)
    notes: list[str] = field(default_factory=list)

    def add(self, records: int, deleted: int) -> None:
        """A batch was taken. Deletions are counted apart, too."""
        self.totals += RunTotals(read=records, published=records, deleted=deleted)
        self.progress(self.totals)

    def result(self, job: Job, state: RunState, error: DatongError | None) -> RunResult:
        """The run as it ended."""
        return RunResult(
            run_id=job.run_id,
            state=state,
            totals=self.totals,
            reasons={},
            warnings={},
            notes=tuple(self.notes[:20]),
            error=error,
        )


def request_of(spec: SubscriptionSpec, catalogue: Catalogue) -> Request:
    """Who reads what, by the grants there are now. Raises NotGranted when the named one is not among them (G11)."""
    if spec.grant is None:
        return Request(agency=spec.agency or "", topic=spec.topic or "")
    grant = catalogue.grants.get(spec.grant)
    if grant is None:
        raise NotGranted(
            f"no sound grant {spec.grant} is declared",
            rule="no_grant",
            remedy="it was withdrawn, or its file has a mistake: `datong validate` tells",
        )
    return Request(agency=grant.agency, topic=grant.topic, grant=grant.grant)

"""The composition root: the one place that sees adapters, kinds and settings together."""

from __future__ import annotations

import hmac
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any

from connectors import KINDS, SINKS, source_specs
from hub import __version__, logs
from hub.adapters import is_kafka, open_log, open_registry
from hub.builder import ConnectorBuilder, open_channel, open_sink, push_schedule_of, schedule_of
from hub.catalogue.uses import SchemaUsers
from hub.deliveries import Deliveries
from hub.directory import Directory, Role, Running
from hub.editing import Editing
from hub.errors import (
    ConfigurationInvalid,
    Conflict,
    NotAuthenticated,
    NotFound,
    SourceUnavailable,
    StorageFull,
)
from hub.metrics import HubCollector, Metrics, OwnCollector, see
from hub.people import PeopleDesk
from hub.pipeline.cases import QuarantineDesk
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.freshness import Freshness
from hub.pipeline.intake import Doors
from hub.pipeline.jobs import JobRunner, task_of
from hub.pipeline.supervisor import Supervisor, SupervisorOptions
from hub.pipeline.worker import Worker, WorkerOptions
from hub.ports import Door
from hub.project import read_catalogue
from hub.pushes import Pusher
from hub.registry.desk import Desk
from hub.settings import Loaded, Settings
from hub.steering import Steering
from hub.store.nodes import Node
from hub.stores import is_postgres, open_store
from hub.subscribers import SubscriberDesk
from hub.subscriptions import SubscriptionDesk
from hub.tokens import Caller, TokenDesk
from hub.views import Views
from hub.watch import Monitoring, Thresholds, Watched

STATE_OF_VERB: Mapping[str, Any] = {"pause": "PAUSED", "resume": "RUNNING", "stop": "STOPPED"}


def now() -> datetime:
    """The wall clock, aware. Only expiry and timestamps use it, never order (G19)."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The same in milliseconds since 1970."""
    return int(now().timestamp() * 1000)


class Hub:
    """Everything of one node: its data directory, the store and the log, open. Use as a context manager."""

    def __init__(self, loaded: Loaded, directory: Directory, role: Role = "all") -> None:
        self.loaded, self.role = loaded, role
        self._directory = directory
        self._operator_token = directory.operator_token()
        with ExitStack() as undo:
            self.store = undo.enter_context(closing(open_store(self.settings, directory.path)))
            self.log = undo.enter_context(closing(open_log(self.settings, directory.path, now_ms)))
            self.registry = undo.enter_context(closing(open_registry(self.settings, self.store)))
            self._assemble(loaded)
            undo.pop_all()

    def _assemble(self, loaded: Loaded) -> None:
        """Every desk over the store, the log and the registry."""
        self.history = RunHistory(self.log)
        index = OpenQuarantine(self.log, self.history)
        self.catalogue = read_catalogue(loaded)
        self.doors = Doors()
        self.builder = ConnectorBuilder(self.settings, self.catalogue, self.registry, self.log, self.doors)
        self.deliveries = Deliveries(self.log, self.registry, self.store, lambda: self.catalogue, now, self.settings)
        self.supervisor = self._supervisor(index)
        self.quarantine = QuarantineDesk(index, self.supervisor, lambda: self.catalogue)
        self.people = PeopleDesk(self.store.people)
        self.tokens_of = TokenDesk(self.store.tokens, lambda: self.catalogue)
        self.subscriptions = SubscriptionDesk(self.supervisor, self.store, self.deliveries, lambda: self.catalogue)
        self.steering = Steering(self.supervisor, self.log, lambda: self.catalogue)
        self.editing = Editing(
            loaded,
            self.supervisor,
            index,
            lambda: self.catalogue,
            partial(read_catalogue, loaded),
            self.reload,
            source_specs(),
            frozenset(name for name, kind in KINDS.items() if kind.takes),
            frozenset(name for name, kind in KINDS.items() if kind.inside),
        )
        self.subscribers = SubscriberDesk(
            self.log,
            self.store.groups,
            self.deliveries,
            self.subscriptions,
            lambda: self.catalogue,
            lambda kind: SINKS[kind].own_place,
        )
        self.schema_desk = Desk(self.registry, SchemaUsers(self.store.groups, lambda: self.catalogue).users())
        self.views = Views(self)
        self._watched = Watched(
            history=self.history,
            quarantine=index,
            supervisor=self.supervisor,
            deliveries=self.deliveries,
            log=self.log,
            store=self.store,
            catalogue=lambda: self.catalogue,
            directory=self._directory.path,
        )
        self._monitoring = self._watching(self._watched)
        self.watch, self.alerts = self._monitoring.watch, self._monitoring.alerts
        self.notifier = self._monitoring.notifier
        self.metrics = Metrics(
            OwnCollector(self._own_jobs)
            if self.role == "worker"
            else HubCollector(partial(see, self._watched, self._monitoring))
        )
        self._schedule()

    def _watching(self, watched: Watched) -> Monitoring:
        made = self.settings.alerts
        thresholds = Thresholds(quarantine_share=self.settings.breaker.share, lag=made.lag, disk_free=made.disk_free)
        return Monitoring(watched, thresholds, lambda spec: open_channel(spec, self.settings), now_ms)

    def _supervisor(self, index: OpenQuarantine) -> Supervisor:
        """With a worker, unless this node only answers."""
        node = Node(name=node_name(), role=self.role, version=__version__)
        made = self.settings.supervisor
        options = WorkerOptions(threads=made.workers, pushes=made.pushes, lease_s=made.takeover_after)
        runner = JobRunner(
            self.builder,
            self.log,
            now_ms,
            rows=lambda task, case: index.entries(task=task, case=case),
            chosen=lambda task, case, rows: index.chosen(task=task, case=case, offsets=rows),
            polled=lambda task, seconds: self.metrics.polled(task, seconds),
        )
        pusher = Pusher(
            lambda: self.catalogue, lambda spec: open_sink(spec, self.settings), self.deliveries.pushed, self.store
        )
        return Supervisor(
            self.store,
            node,
            None if self.role == "api" else Worker(node.name, runner, self.store, now_ms, options, pusher),
            clock_ms=now_ms,
            options=SupervisorOptions(alive_s=made.takeover_after),
            reload=self._read_again,
            housekeeping=self.log.maintain,
        )

    @classmethod
    def open(cls, loaded: Loaded, *, scheduled: bool = False, role: Role = "all") -> Hub:
        """Take the data directory and open what is in it. `scheduled`: take part in what nodes share from now on.

        Raises DirectoryInUse, DirectoryTooNew, and ConfigurationInvalid for a role that the settings do not allow."""
        check_role(role, loaded.settings)
        logs.configure(loaded.settings.logging.format, loaded.settings.logging.level)
        directory = Directory(loaded.settings.data_path)
        directory.acquire()
        try:
            hub = cls(loaded, directory, role)
        except BaseException:
            directory.release()
            raise
        try:
            if scheduled:
                hub.start()
        except BaseException:
            hub.close()
            raise
        return hub

    def start(self) -> None:
        """Take part in what nodes share, and watch what flows. Raises Retry when the store does not answer."""
        self.supervisor.start()
        if self.role != "worker":
            self._monitoring.start()

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drain, close the stores, give the directory back."""
        self.supervisor.drain(timeout_s=30.0)
        self._monitoring.stop()
        self.log.close()
        self.registry.close()
        self.store.close()
        self._directory.release()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.loaded.settings

    def operator_token(self) -> str:
        """The operator's token of this data directory."""
        return self._operator_token

    def announce(self, url: str) -> None:
        """Let commands find this hub at `url`."""
        self._directory.announce(Running(url=url, pid=os.getpid(), version=__version__, role=self.role))

    def authenticate(self, token: str) -> Caller:
        """Who holds this token. Raises NotAuthenticated. Compared in constant time (S13)."""
        if hmac.compare_digest(token.encode(), self._operator_token.encode()):
            return Caller(role="operator", agency="", token_id="operator", rank="administrator")  # noqa: S106 - no secret
        found = self.store.tokens.verify(token)
        if found is None:
            raise NotAuthenticated("the token is unknown, expired or revoked", remedy="ask the hub's operator for one")
        if found.role == "person":
            role = "viewer" if found.rank == "viewer" else "operator"
            return Caller(role=role, agency="", token_id=found.id, person=found.person, rank=found.rank)
        return Caller(role="agency", agency=found.agency, token_id=found.id)

    def door(self, name: str) -> Door:
        """Where what is pushed to a connector is taken. Raises NotFound when nothing ever is, StorageFull or SourceUnavailable
        when it is not taken here now; nobody need be known to ask, so these say no more than whether to send again."""
        door = self.doors.door(name)
        if door is not None:
            return door
        spec = self.catalogue.connectors.get(name)
        if spec is None or not KINDS[spec.kind].pushed:
            raise NotFound("there is no connector of this name that takes what is pushed", remedy="check the address")
        status = self.supervisor.status(name)
        if status.outcome is not None and str(status.outcome["error"]).startswith(f"{StorageFull.__name__}:"):
            raise StorageFull("the hub has no room for more", remedy="send it again later")
        if status.running and status.worker != self.supervisor.node_name:
            why, remedy = (
                "another process of this hub runs the connector",
                "send it there: the one that runs it takes it",
            )
        elif status.state == "RUNNING":
            why, remedy = "the connector does not run yet", "send it again in a while"
        else:
            why, remedy = f"the connector is {status.state}", "send it again when its operator has resumed it"
        raise SourceUnavailable(f"{why}; nothing was taken", remedy=remedy)

    def reload(self) -> list[str]:
        """Every node reads its configuration again. Connectors with mistakes keep out; those of this node are returned."""
        self.supervisor.reload_everywhere()
        return [str(m) for m in self.catalogue.mistakes]

    def steer(self, name: str, verb: str, *, by: str = "operator") -> None:
        """pause, resume or stop a connector. `by` is who asked: it is kept with the state."""
        if verb not in STATE_OF_VERB:
            raise NotFound(f"there is no action {verb}", remedy="pause, resume or stop")
        if verb == "stop" and self.supervisor.status(name).state == "STOPPED":
            raise Conflict(f"connector {name} is stopped already")
        reason = "" if verb == "resume" else f"{verb} by an operator"
        self.supervisor.set_state(name, STATE_OF_VERB[verb], reason=reason, by=by)

    def checks(self) -> dict[str, bool]:
        """What readiness means."""
        return self._watched.healthy()

    def _read_again(self) -> None:
        """Connectors, topics, grants and subscriptions as they are declared now."""
        self.catalogue = read_catalogue(self.loaded)
        self.builder.catalogue = self.catalogue
        self._schedule()

    def freshness(self) -> Mapping[str, Freshness]:
        """Of every topic."""
        return self._watched.freshness()

    def _schedule(self) -> None:
        starts: dict[str, datetime] = {}
        for run in self.history.runs():
            if not run.replay and not run.reset:
                starts.setdefault(run.task, datetime.fromtimestamp(run.started / 1000, UTC))
        schedules = {name: schedule_of(spec) for name, spec in self.catalogue.connectors.items()}
        schedules |= {task_of(name): push_schedule_of(spec) for name, spec in self.catalogue.subscriptions.items()}
        self.supervisor.watch(schedules, starts)

    def _own_jobs(self) -> Sequence[str]:
        return sorted(self.supervisor.worker.running()) if self.supervisor.worker else []


def check_role(role: Role, settings: Settings) -> None:
    """Raises ConfigurationInvalid unless nodes of this role can share what they need to share."""
    if role == "all" or (is_postgres(settings) and is_kafka(settings)):
        return
    raise ConfigurationInvalid(
        f"`--role {role}` shares its work with other processes, and needs PostgreSQL as its store and Kafka as its log",
        where=", ".join(
            name for name, ok in (("store.url", is_postgres(settings)), ("log.url", is_kafka(settings))) if not ok
        ),
        remedy="set both (docs/how-to/two-machines.md), or serve everything in one process with `--role all`",
    )


def node_name() -> str:
    """Host, process, and chance: a restarted process is another node."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"

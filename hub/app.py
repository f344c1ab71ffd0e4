"""The composition root: the one place that sees adapters, kinds and settings together."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from connectors import KINDS
from hub import __version__, logs
from hub.adapters import open_log
from hub.builder import ConnectorBuilder, open_source, schedule_of
from hub.catalogue.load import Catalogue
from hub.catalogue.specs import ConnectorSpec
from hub.deliveries import Deliveries
from hub.directory import Directory, Running
from hub.errors import Conflict, DatongError, NotAuthenticated, NotFound
from hub.metrics import HubCollector, Metrics
from hub.model import INTERNAL_TOPICS
from hub.pipeline.cases import QuarantineDesk
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.jobs import JobRunner
from hub.pipeline.supervisor import Supervisor, SupervisorOptions
from hub.registry import Registry
from hub.secrets import Secrets
from hub.settings import Loaded, Settings
from hub.store import Store
from hub.tokens import Caller, TokenDesk
from hub.views import Views

STATE_OF_VERB: Mapping[str, Any] = {"pause": "PAUSED", "resume": "RUNNING", "stop": "STOPPED"}


def now() -> datetime:
    """The wall clock, aware. Only expiry and timestamps use it, never order (G19)."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The same in milliseconds since 1970."""
    return int(now().timestamp() * 1000)


class Hub:
    """Everything of one data directory, open. Use as a context manager."""

    def __init__(self, loaded: Loaded, directory: Directory) -> None:
        self.loaded = loaded
        self._directory = directory
        path = directory.path
        url = Secrets(self.settings.root).fill(self.settings.store.url)
        self.store = Store.open(url or f"sqlite:///{path / 'store.db'}")
        try:
            self.log = open_log(self.settings, path, now_ms)
        except BaseException:
            self.store.close()
            raise
        self.registry = Registry(self.store)
        self.catalogue = read_catalogue(loaded)
        self.history = RunHistory(self.log)
        self.builder = ConnectorBuilder(self.settings, self.catalogue, self.registry, self.log)
        runner = JobRunner(self.builder, self.log, now_ms)
        options = SupervisorOptions(workers=self.settings.supervisor.workers)
        self.supervisor = Supervisor(
            runner, self.store.leases, self.store.states, clock=now, options=options, housekeeping=self.log.maintain
        )
        self.quarantine = QuarantineDesk(
            OpenQuarantine(self.log, self.history), self.supervisor, lambda: self.catalogue
        )
        self.tokens_of = TokenDesk(self.store.tokens, lambda: self.catalogue, now)
        self.deliveries = Deliveries(self.log, self.registry, self.store, lambda: self.catalogue, now, self.settings)
        self.views = Views(self)
        self.metrics = Metrics(self._collector())
        self._operator_token = directory.operator_token()
        self._watch()

    @classmethod
    def open(cls, loaded: Loaded, *, scheduled: bool = False) -> Hub:
        """Take the data directory and open what is in it. Raises DirectoryInUse, DirectoryTooNew."""
        logs.configure(loaded.settings.logging.format, loaded.settings.logging.level)
        directory = Directory(loaded.settings.data_path)
        directory.acquire()
        try:
            hub = cls(loaded, directory)
        except BaseException:
            directory.release()
            raise
        if scheduled:
            hub.supervisor.start()
        return hub

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drain, close the stores, give the directory back."""
        self.supervisor.drain(timeout_s=30.0)
        self.log.close()
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
        import os

        self._directory.announce(Running(url=url, pid=os.getpid(), version=__version__))

    def authenticate(self, token: str) -> Caller:
        """Who holds this token. Raises NotAuthenticated. Compared in constant time (S13)."""
        if hmac.compare_digest(token.encode(), self._operator_token.encode()):
            return Caller(role="operator", agency="", token_id="operator")  # noqa: S106 - an id, not a secret
        found = self.store.tokens.verify(token, now_ms())
        if found is None:
            raise NotAuthenticated("the token is unknown, expired or revoked", remedy="ask the hub's operator for one")
        return Caller(role="agency", agency=found.agency, token_id=found.id)

    def reload(self) -> list[str]:
        """Read the configuration again. Connectors with mistakes keep out; the mistakes are returned."""
        self.catalogue = read_catalogue(self.loaded)
        self.builder.catalogue = self.catalogue
        self._watch()
        return [str(m) for m in self.catalogue.mistakes]

    def steer(self, name: str, verb: str) -> None:
        """pause, resume or stop a connector."""
        if verb not in STATE_OF_VERB:
            raise NotFound(f"there is no action {verb}", remedy="pause, resume or stop")
        if verb == "stop" and self.supervisor.status(name).state == "STOPPED":
            raise Conflict(f"connector {name} is stopped already")
        reason = "" if verb == "resume" else f"{verb} by an operator"
        self.supervisor.set_state(name, STATE_OF_VERB[verb], reason=reason, by="operator")

    def checks(self) -> dict[str, bool]:
        """What readiness means."""
        return {"log": self.log.healthy(), "store": self.store.healthy()}

    def _watch(self) -> None:
        starts: dict[str, datetime] = {}
        for run in self.history.runs():
            if not run.replay:
                starts.setdefault(run.task, datetime.fromtimestamp(run.started / 1000, UTC))
        schedules = {name: schedule_of(spec) for name, spec in self.catalogue.connectors.items()}
        self.supervisor.watch(schedules, starts)

    def _collector(self) -> HubCollector:
        return HubCollector(
            runs=self.history.runs,
            ends=lambda: {t: self.log.ends(t) for t in self.log.topics() if t not in INTERNAL_TOPICS},
            states=lambda: {n: self.supervisor.status(n).state for n in self.supervisor.names()},
            freshness=self.views.freshness,
            lags=self.deliveries.lags,
            notices=self.log.notices,
        )


def read_catalogue(loaded: Loaded, *, look: bool = False) -> Catalogue:
    """The declared connectors, topics, grants and agencies of a project.

    With `look`, sources are asked for their columns, so that expressions are checked against them."""
    specs = {name: kind.spec for name, kind in KINDS.items()}
    settings = loaded.settings

    def columns(spec: ConnectorSpec) -> pa.Schema | None:
        try:
            return open_source(spec, settings).discover()[0].columns
        except DatongError:
            return None  # not there now: `connector check` says why

    return Catalogue.load(
        settings.root,
        specs,
        schema_dirs=schema_dirs(settings.root),
        discover=columns if look else None,
        today=now().date(),
    )


def schema_dirs(project: Path) -> list[Path]:
    """Where schemas and code lists are looked for: the project's own first, then those shipped."""
    import schemas

    return [project / "schemas", Path(schemas.__file__).parent]

"""Connectors as Kafka Connect describes them: each is a source connector of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hub import __version__
from hub.api.connect.answers import Refused
from hub.app import Hub
from hub.catalogue.edit import ConnectorFile, is_name
from hub.catalogue.flat import NAME, TASKS, to_document, to_flat, to_yaml
from hub.catalogue.yaml import load_yaml
from hub.errors import ConfigurationInvalid, Conflict, NotFound
from hub.logs import audit_logger
from hub.pipeline.supervisor import ConnectorStatus
from hub.store.states import Desired

Config = dict[str, str]
STATES = ("RUNNING", "PAUSED", "STOPPED")
STOP_FIRST = (
    "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified "
    "connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
)
RESET = "The offsets for this connector have been reset successfully"
REASON = "through Kafka Connect's API"


class ConnectDesk:
    """Reads and steers through the hub's own desks, for who asks (`by`)."""

    def __init__(self, hub: Hub, by: str) -> None:
        self._hub, self._by = hub, by

    def root(self) -> dict[str, str]:
        """What answers here."""
        return {"version": __version__, "commit": "unknown", "kafka_cluster_id": "datong"}

    def names(self) -> list[str]:
        """All connectors."""
        return list(self._hub.supervisor.names())

    def expanded(self, parts: set[str]) -> dict[str, dict[str, Any]]:
        """All connectors with their status, their info, or both."""
        texts = self._hub.editing.texts() if "info" in parts else {}
        found: dict[str, dict[str, Any]] = {}
        for name, status in self._hub.supervisor.statuses().items():
            made: dict[str, Any] = {"status": self._status(status)} if "status" in parts else {}
            if name in texts:
                made["info"] = self._info(status, _flat(texts[name]))
            found[name] = made
        return found

    def status(self, name: str) -> dict[str, Any]:
        """State of the connector and of its task."""
        return self._status(self._known(name, "No status found for connector {name}"))

    def info(self, name: str) -> dict[str, Any]:
        """Configuration and tasks."""
        return self._info(self._known(name), self.config(name))

    def config(self, name: str) -> Config:
        """The flat configuration; also of a connector that is left out for its mistakes."""
        try:
            return _flat(self._hub.editing.text(name))
        except NotFound:
            raise _unknown(name) from None

    def create(self, name: str, config: Config, state: str) -> dict[str, Any]:
        """A new connector. Raises Refused, ConfigurationInvalid."""
        _same_name(name, config)
        if state not in STATES:
            raise Refused(400, f"initial_state must be one of {', '.join(STATES)}")
        if is_name(name) and name in self._hub.editing.texts():
            raise Refused(409, f"Connector {name} already exists")
        text = to_yaml(to_document({**config, NAME: name}))
        self._hub.editing.create(text, name, cast(Desired, state), by=self._by)
        self._audited("connector_written", name)
        return self.info(name)

    def put(self, name: str, config: Config) -> tuple[bool, dict[str, Any]]:
        """Replace the configuration, or create a connector: whether it is new, and its info. A file that says the same
        already stays as it is, its comments included."""
        _same_name(name, config)
        try:
            there = self._hub.editing.text(name)
        except NotFound:
            return True, self.create(name, config, "RUNNING")
        document = to_document({**config, NAME: name})
        if not _says(there, document):
            self._hub.editing.save(name, to_yaml(document), there.revision)
            self._audited("connector_written", name)
        return False, self.info(name)

    def patch(self, name: str, changes: Mapping[str, str | None]) -> dict[str, Any]:
        """Change some keys; null takes one away."""
        merged: dict[str, str | None] = {**self.config(name), **changes}
        return self.put(name, {key: text for key, text in merged.items() if text is not None})[1]

    def steer(self, name: str, verb: str) -> None:
        """pause, resume, stop. Idempotent, as Connect's are."""
        state = self._known(name, "Unknown connector {name}").state
        if verb == "stop" and state == "STOPPED":
            return
        self._hub.steer(name, verb, by=self._by)

    def restart(self, name: str, *, only_failed: bool) -> None:
        """Start anew. One that is not to run stays so."""
        state = self._known(name, "Unknown connector: {name}").state
        if state in ("PAUSED", "STOPPED") or (only_failed and state != "FAILED"):
            return
        self._hub.steering.restart(name, by=self._by)

    def delete(self, name: str) -> None:
        """Stop it, and take its file away."""
        try:
            if name in self.names():
                self._hub.steering.stop(name, by=self._by)
            self._hub.editing.delete(name)
            self._audited("connector_deleted", name)
        except NotFound:
            raise _unknown(name) from None

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """One task, of the connector's own configuration; none while it is stopped."""
        status, config = self._known(name), self.config(name)
        return [{"id": one, "config": config} for one in _tasks(status)]

    def task(self, name: str, number: int) -> dict[str, Any]:
        """State of a task."""
        for one in self.status(name)["tasks"]:
            if one["id"] == number:
                return dict(one)
        raise Refused(404, f"No status found for task {name}-{number}")

    def require_task(self, name: str, number: int) -> None:
        """Raises Refused unless there is such a task."""
        if all(one["task"] != number for one in _tasks(self._known(name, "Unknown connector: {name}"))):
            raise Refused(404, f"Unknown task: {name}-{number}")

    def topics(self, name: str) -> dict[str, Any]:
        """The topic that it publishes."""
        self._known(name)
        spec = self._hub.catalogue.connectors.get(name)
        return {name: {"topics": [spec.publish.topic] if spec else []}}

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """How far its source was read, every value masked."""
        self._known(name)
        at = self._hub.steering.position(name)
        return [] if at is None else [{"partition": {"connector": name}, "offset": at}]

    def reset(self, name: str, *, accept_duplicates: bool) -> str:
        """Read the source from its start with the next run, and what to say of it."""
        status = self._known(name)
        if status.state != "STOPPED":
            raise Refused(400, STOP_FIRST.format(name=name))
        try:
            self._hub.steering.reset(name, reason=REASON, accept_duplicates=accept_duplicates, by=self._by)
        except Conflict as error:
            raise Refused(
                409, f"{error.message} (?accept_duplicates=true allows it)" if _doubles(error) else str(error)
            ) from None
        return RESET

    def _audited(self, done: str, name: str) -> None:
        audit_logger("datong.connect").info(done, by=self._by, connector=name)

    def _known(self, name: str, otherwise: str = "Connector {name} not found") -> ConnectorStatus:
        """`otherwise`: what Connect says in this place of one that there is not."""
        try:
            return self._hub.supervisor.status(name)
        except NotFound:
            raise Refused(404, otherwise.format(name=name)) from None

    def _status(self, status: ConnectorStatus) -> dict[str, Any]:
        state = status.state if status.state != "RUNNING" or self._served() else "UNASSIGNED"
        at = {"state": state, "worker_id": status.worker or self._hub.supervisor.node_name, "version": __version__}
        trace = {"trace": status.reason} if state == "FAILED" else {}
        return {
            "name": status.name,
            "connector": {**at, **trace},
            "tasks": [{"id": one["task"], **at, **trace} for one in _tasks(status)],
            "type": "source",
        }

    def _served(self) -> bool:
        """Is a process there that runs connectors?"""
        supervisor = self._hub.supervisor
        return supervisor.worker is not None or any(n.works and supervisor.alive(n) for n in supervisor.nodes())

    def _info(self, status: ConnectorStatus, config: Config) -> dict[str, Any]:
        return {"name": status.name, "config": config, "tasks": _tasks(status), "type": "source"}


def _flat(file: ConnectorFile) -> Config:
    """A file of connectors.d in Connect's form, the number of tasks included."""
    return {**to_flat(load_yaml(file.text, file.file).data), TASKS: "1"}


def _says(file: ConnectorFile, document: Mapping[str, Any]) -> bool:
    """Does the file say this already? One that cannot be read says nothing, and may be replaced."""
    try:
        return _flat(file) == {**to_flat(document), TASKS: "1"}
    except ConfigurationInvalid:
        return False


def _tasks(status: ConnectorStatus) -> list[dict[str, Any]]:
    return [] if status.state == "STOPPED" else [{"connector": status.name, "task": 0}]


def _same_name(name: str, config: Config) -> None:
    given = config.get(NAME)
    if given is not None and given != name:
        raise Refused(400, f"Connector name configuration ({given}) doesn't match connector name in the URL ({name})")


def _unknown(name: str) -> Refused:
    return Refused(404, f"Connector {name} not found")


def _doubles(error: Conflict) -> bool:
    return "accept_duplicates" in error.remedy

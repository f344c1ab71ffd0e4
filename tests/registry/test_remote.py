"""Somebody else's registry: down, slow, wrong, back again. Nothing is dropped and no wrong id passes (F19, G10)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import httpx
import pytest

from hub.cli import templates
from hub.cli.inprocess import in_process
from hub.cli.main import run as datong
from hub.directory import Directory
from hub.errors import NotFound, RegistryUnavailable, SchemaIncompatible, SchemaInvalid
from hub.registry import Reference, Registered
from hub.registry.client import RegistryClient
from hub.registry.model import Draft
from hub.registry.remote import RemoteRegistry
from hub.registry.remote_rows import Remembered
from hub.settings import load_settings
from hub.store import Store
from tests.registry.calls import Calls, Served, f, rec, text
from tests.registry.process import Node
from tests.support.projects import make_project

ONE, TWO = rec(f("id", "string")), rec(f("id", "string"), f("n", "int", default=0))
BREAKS = rec(f("pupils"))
ADDRESS = rec(f("street", "string"), name="Address", namespace="edu")
PERSON = rec(f("home", "edu.Address"), name="Person")
REFERENCE = Reference(name="edu.Address", subject="address", version=1)


class Wire(httpx.BaseTransport):
    """Between the hub and that registry: it can be cut, refuse, or lie."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.calls = 0
        self.fault: Callable[[httpx.Request, httpx.Response], httpx.Response] | Exception | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if isinstance(self.fault, Exception):
            raise self.fault
        answer = self._inner.handle_request(request)
        return answer if self.fault is None else self.fault(request, answer)


class World:
    """The other registry, the wire to it, and hubs that use it."""

    def __init__(self, other: Calls, store: Store) -> None:
        self.other, self._store = other, store
        self.wire = Wire(other.client._transport)

    def hub(self) -> RemoteRegistry:
        """As after a restart: memory is empty, the store is not."""
        http = httpx.Client(transport=self.wire, base_url="http://localhost", headers=self.other.client.headers)
        return RemoteRegistry(RegistryClient(http), Remembered(self._store.engine, "http://other"))


@pytest.fixture
def world(store: Store, migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("hub.registry.remote.FRESH_S", 0.0)  # as if more time than that passed between all steps
    monkeypatch.setattr("hub.registry.remote.REST_S", 0.0)
    shutil.copy(migrated_file, tmp_path / "theirs.db")
    with (
        Store.open(f"sqlite:///{tmp_path / 'theirs.db'}") as theirs,
        anyio.from_thread.start_blocking_portal() as portal,
        Served(portal).calling(theirs) as other,
    ):
        yield World(other, store)


DOWN = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    lambda _request, _answer: httpx.Response(503, json={"error_code": 50002, "message": "busy"}),
    lambda _request, _answer: httpx.Response(429),
    lambda _request, _answer: httpx.Response(200, content=b"<html>a proxy's page</html>"),
    lambda _request, _answer: httpx.Response(200, json={"id": "1", "schema": None}),
]
NAMES = ["refused", "slow", "503", "429", "html", "odd"]


def test_it_registers_and_reads_there(world: World) -> None:
    world.other.registered("first", '"long"')
    hub = world.hub()
    assert hub.register("s", text(ONE)) == Registered(2, 1)
    assert hub.register("s", text(ONE)) == Registered(2, 1)
    assert world.other.get("/subjects/s/versions") == (200, [1])
    assert hub.register("s", text(TWO)) == Registered(3, 2)
    assert (hub.subjects(), hub.versions("s"), hub.latest("s").version) == (["first", "s"], [1, 2], 2)
    assert hub.parsed(3).canonical == hub.by_id(3)
    assert hub.newest("none") is None
    for missing in (lambda: hub.latest("none"), lambda: hub.parsed(99), lambda: hub.versions("none")):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(SchemaIncompatible, match="incompatible with an earlier schema"):
        hub.register("s", text(BREAKS))
    with pytest.raises(SchemaInvalid):
        hub.register("s", "{")


def test_levels_there_and_free_subjects(world: World) -> None:
    hub = world.hub()
    assert hub.register_freely("grant.g-value", text(ONE)) == Registered(1, 1)
    assert hub.register_freely("grant.g-value", text(BREAKS)) == Registered(2, 2)
    assert world.other.get("/config/grant.g-value") == (200, {"compatibilityLevel": "NONE"})
    assert (hub.level("grant.g-value"), hub.level()) == ("NONE", "BACKWARD")


def test_comparing_says_where_by_our_rules_at_their_level(world: World) -> None:
    hub = world.hub()
    hub.register("s", text(ONE))
    (found,) = hub.compare("s", Draft(text=text(BREAKS)))
    assert (found.version, found.reason.path) == (1, "pupils")
    assert hub.compare("s", Draft(text=text(BREAKS)), 1)
    assert hub.compare("none", Draft(text=text(BREAKS))) == []
    world.other.put("/config/s", {"compatibility": "NONE"})
    assert hub.compare("s", Draft(text=text(BREAKS))) == []


def test_references_there(world: World) -> None:
    hub = world.hub()
    hub.register("address", text(ADDRESS))
    made = hub.register("person", text(PERSON), (REFERENCE,))
    assert "edu.Address" in hub.parsed(made.id).names
    world.wire.fault = DOWN[0]  # type: ignore[assignment] # an exception
    again = world.hub()
    assert again.register("person", text(PERSON), (REFERENCE,)) == made
    assert "edu.Address" in again.parsed(made.id).names


@pytest.mark.parametrize("fault", DOWN, ids=NAMES)
def test_F19_what_was_seen_goes_on_through_an_outage_and_a_restart(world: World, fault: Any) -> None:
    hub = world.hub()
    made = hub.register("s", text(ONE))
    free = hub.register_freely("grant.g-value", text(TWO))
    assert hub.latest("s").schema.id == made.id
    world.wire.fault = fault
    for each in (hub, world.hub()):  # the second: after a restart of the hub
        assert each.register("s", text(ONE)) == made
        assert each.register_freely("grant.g-value", text(TWO)) == free
        assert each.latest("s").schema.id == made.id
        assert each.parsed(made.id).canonical == each.by_id(made.id)


@pytest.mark.parametrize("fault", DOWN, ids=NAMES)
def test_F19_what_was_not_seen_waits_and_goes_on_afterwards(world: World, fault: Any) -> None:
    world.other.registered("theirs", ONE)
    hub = world.hub()
    world.wire.fault = fault
    for unknown in (
        lambda: hub.register("s", text(TWO)),
        lambda: hub.register_freely("g", text(TWO)),
        lambda: hub.parsed(1),
        lambda: hub.latest("theirs"),
        lambda: hub.subjects(),
    ):
        with pytest.raises(RegistryUnavailable) as caught:
            unknown()
        assert caught.value.patient
    world.wire.fault = None
    assert hub.register("s", text(TWO)) == Registered(2, 1)
    assert hub.parsed(1).canonical == '{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}'


def test_F19_a_registry_that_is_away_is_not_asked_by_everybody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.registry.remote.REST_S", 60.0)
    hub = world.hub()
    world.wire.fault = httpx.ReadTimeout("slow")
    for _ in range(5):
        with pytest.raises(RegistryUnavailable):
            hub.register("s", text(ONE))
    assert world.wire.calls == 1


def wrong_id(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    """Another schema's id, as registries gave when their master changed."""
    if request.method == "POST" and answer.status_code == 200:
        return httpx.Response(200, json={**answer.json(), "id": 1})
    return answer


def two_of_them(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    """A second version of the same id, with another text."""
    body = {"subject": "s", "version": 2, "id": 1, "schema": '"boolean"'}
    return httpx.Response(200, json=body) if "/versions/2" in str(request.url) else answer


def other_text(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    """The right id, and a text that is another schema's."""
    data = answer.json()
    if answer.status_code == 200 and isinstance(data, dict) and "schema" in data:
        return httpx.Response(200, json={**data, "schema": '"boolean"'})
    return answer


@pytest.mark.parametrize("lie", [wrong_id, other_text])
def test_F19_a_wrong_id_is_never_taken(world: World, lie: Any) -> None:
    world.other.registered("first", '"boolean"')
    hub = world.hub()
    world.wire.fault = lie
    for _ in range(2):
        with pytest.raises(RegistryUnavailable):
            hub.register("s", text(ONE))
    world.wire.fault = None
    assert world.hub().register("s", text(ONE)) == Registered(2, 1)  # and nothing wrong was remembered


def test_G10_an_id_keeps_the_meaning_that_it_had_first(world: World) -> None:
    hub = world.hub()
    made = hub.register("s", text(ONE))
    world.wire.fault = two_of_them
    assert world.hub().parsed(made.id) == hub.parsed(made.id)  # not asked for again
    with pytest.raises(RegistryUnavailable, match="two meanings"):
        world.hub().any_version("s", 2)


# -- a whole hub


SUBJECT = "city-library.culture.branch.v1-value"
MORE = "b-{n},Branch {n},North,{n}0,12/05/1931\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "p")


class Hub:
    """A hub that uses a registry of another process, opened anew for each step."""

    def __init__(self, project: Path, node: Node) -> None:
        password = {"DATONG_REGISTRY__PASSWORD": node.token}
        self.loaded = load_settings(project, env={"DATONG_REGISTRY__URL": node.url, **password})
        self.token = ""

    def client(self) -> Any:
        return in_process(self.loaded, Directory(self.loaded.settings.data_path))

    def run(self) -> dict[str, Any]:
        with self.client() as client:
            path = "/api/v1/connectors/city-library-branches/runs"
            started = client.post(path, json={}).json()
            while True:
                found: dict[str, Any] = client.get(f"{path}/{started['run']}", params={"wait_ms": 500}).json()
                if found["state"] != "running":
                    return found

    def pulled(self) -> list[str]:
        with self.client() as client:
            self.token = self.token or client.post("/api/v1/tokens", json={"agency": "city-planning"}).json()["token"]
            path = f"/api/v1/topics/{SUBJECT.removesuffix('-value')}/consumers/g/records"
            answer = client.get(path, headers={"Authorization": f"Bearer {self.token}"})
            assert answer.status_code == 200, answer.text
            return [r["branch_id"] for r in answer.json()["records"]]


def test_F19_a_hub_drops_nothing_while_its_registry_is_away(project: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "registry")
    node.start()
    try:
        hub = Hub(project, node)
        assert hub.run()["totals"]["published"] == 3
        assert hub.pulled() == ["B-001", "B-003"]
        with node.client() as client:
            assert client.get(f"/subjects/{SUBJECT}/versions").json() == [1]
            assert client.get("/subjects/grant.planning-branches-value/versions").json() == [1]
        node.kill()
        with (project / "data" / "branches.csv").open("a") as data:
            data.writelines(MORE.format(n=n) for n in range(5, 9))
        done = hub.run()
        assert (done["state"], done["totals"]["published"], done["totals"]["quarantined"]) == ("completed", 4, 1)
        assert {"B-5", "B-8"} <= set(hub.pulled())
        schema = json.loads(templates.SCHEMA)
        schema["fields"].append({**schema["fields"][-1], "name": "closed_on"})
        (project / "schemas" / "culture" / "branch.avsc").write_text(json.dumps(schema), encoding="utf-8")
        waiting = hub.run()
        assert (waiting["state"], waiting["exit_code"]) == ("failed", 5)
        assert "RegistryUnavailable" in waiting["error"]
        node.start()
        assert hub.run()["state"] == "completed"
        with node.client() as client:
            assert client.get(f"/subjects/{SUBJECT}/versions").json() == [1, 2]
    finally:
        node.stop()


def test_commands_talk_to_that_registry(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path / "registry")
    node.start()
    try:
        monkeypatch.setenv("DATONG_REGISTRY__URL", node.url)
        monkeypatch.setenv("DATONG_REGISTRY__USERNAME", "operator")
        monkeypatch.setenv("DATONG_REGISTRY__PASSWORD", node.token)
        assert datong(["run", "--project", str(project)]) == 0
        for arguments, word in (
            (["list"], SUBJECT),
            (["show", SUBJECT], "city-library-branches"),
            (["diff", SUBJECT, "1", "1"], "nothing changes"),
            (["check", SUBJECT, str(project / "schemas/culture/branch.avsc")], "compatible with"),
        ):
            capsys.readouterr()
            assert datong(["schemas", *arguments, "--project", str(project)]) == 0
            assert word in capsys.readouterr().out
    finally:
        node.stop()

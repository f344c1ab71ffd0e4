"""Kafka Connect's REST API over a real socket: the requests of its documentation, as its tools send them (G13, R35, S13)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.api.app import create_app
from hub.api.connect.app import create_app as create_connect_app
from hub.app import Hub
from hub.catalogue.yaml import load_yaml
from hub.cli import templates
from hub.cli.listening import listening
from hub.settings import load_settings
from tests.support.ports import free_port
from tests.support.projects import make_project

NAME = "city-library-branches"
FILE = f"connectors.d/{NAME}.yaml"
UNSCHEDULED = templates.CONNECTOR_YAML.replace("schedule: every 1h\n", "")


class Served:
    """A hub that answers on its port and on that of connect.port."""

    def __init__(self, project: Path, hub: Hub, port: int, own: int) -> None:
        self.project, self.hub = project, hub
        self.api = f"http://127.0.0.1:{port}/api/v1"
        self.beside, self.own = f"http://127.0.0.1:{port}/connect", f"http://127.0.0.1:{own}"
        self.token = hub.operator_token()

    @property
    def file(self) -> Path:
        return self.project / FILE


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = make_project(tmp_path_factory.mktemp("connect"), {FILE: UNSCHEDULED})
    with ExitStack() as held:
        hub = held.enter_context(Hub.open(load_settings(project, env={}), scheduled=True))
        port, own = free_port(), free_port()
        held.enter_context(listening(create_app(hub), "127.0.0.1", port, "http.port"))
        held.enter_context(listening(create_connect_app(hub), "127.0.0.1", own, "connect.port"))
        yield Served(project, hub, port, own)


@pytest.fixture
def connect(served: Served) -> Iterator[httpx.Client]:
    """As Connect's tools call: HTTP basic, JSON. Each test begins with the connector of the template, running."""
    served.file.write_text(UNSCHEDULED)
    for path in served.file.parent.iterdir():
        if path != served.file:
            path.unlink()
    served.hub.reload()
    served.hub.supervisor.set_state(NAME, "RUNNING", reason="", by="test")
    with httpx.Client(base_url=served.own, auth=("any", served.token), timeout=60, trust_env=False) as client:
        yield client


def config_of(connect: httpx.Client, name: str = NAME) -> dict[str, str]:
    answer = connect.get(f"/connectors/{name}/config")
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def second(connect: httpx.Client, **more: str) -> dict[str, str]:
    return {**config_of(connect), "name": "second", **more}


def failure(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error_code", "message"}, body
    assert body["error_code"] == answer.status_code
    return answer.status_code, body["message"]


def test_root_names_version_commit_and_cluster(served: Served, connect: httpx.Client) -> None:
    assert set(connect.get("/").json()) == {"version", "commit", "kafka_cluster_id"}
    for base in (served.beside, f"{served.own}/connect", f"{served.beside}/"):
        answer = httpx.get(base, auth=("x", served.token), timeout=60, trust_env=False)
        assert answer.json() == connect.get("/").json()
    assert connect.get("/health").json()["status"] == "healthy"


def test_connectors_are_listed_and_expanded(served: Served, connect: httpx.Client) -> None:
    assert connect.get("/connectors").json() == [NAME]
    assert connect.get("/connectors/").json() == [NAME]
    both = connect.get("/connectors?expand=status&expand=info&expand=other").json()
    assert both == {
        NAME: {
            "status": connect.get(f"/connectors/{NAME}/status").json(),
            "info": connect.get(f"/connectors/{NAME}").json(),
        }
    }
    assert set(connect.get("/connectors?expand=status").json()[NAME]) == {"status"}
    info = both[NAME]["info"]
    assert info["name"] == info["config"]["name"] == NAME
    assert info["config"]["connector.class"] == "files"
    assert info["config"]["publish.fields.seats"] == "to_int(Seats)"
    assert info["config"]["publish.key"] == '["branch_id"]'
    assert (info["tasks"], info["type"]) == ([{"connector": NAME, "task": 0}], "source")
    assert all(isinstance(v, str) for v in info["config"].values())


def test_status_names_state_worker_and_tasks(connect: httpx.Client) -> None:
    status = connect.get(f"/connectors/{NAME}/status").json()
    assert (status["name"], status["type"], status["connector"]["state"]) == (NAME, "source", "RUNNING")
    assert status["tasks"] == [{"id": 0, **status["connector"]}]
    assert set(status["connector"]) == {"state", "worker_id", "version"}
    assert connect.get(f"/connectors/{NAME}/tasks/0/status").json() == status["tasks"][0]
    (task,) = connect.get(f"/connectors/{NAME}/tasks").json()
    assert task == {"id": {"connector": NAME, "task": 0}, "config": config_of(connect)}
    assert connect.get(f"/connectors/{NAME}/topics").json() == {NAME: {"topics": ["city-library.culture.branch.v1"]}}
    for path in ("tasks/1/status", "tasks/x/status"):
        assert failure(connect.get(f"/connectors/{NAME}/{path}"))[0] == 404


def test_a_connector_is_created_as_connect_creates_one(served: Served, connect: httpx.Client) -> None:
    wanted = second(connect)
    del wanted["name"]
    made = connect.post("/connectors", json={"name": " second ", "config": wanted})
    assert (made.status_code, made.headers["location"]) == (201, f"{served.own}/connectors/second")
    assert made.json()["config"] == {**wanted, "name": "second"}
    assert made.json()["tasks"] == [{"connector": "second", "task": 0}]
    again = connect.post("/connectors", json={"name": "second", "config": wanted})
    assert failure(again) == (409, "Connector second already exists")
    there = load_yaml((served.file.parent / "second.yaml").read_bytes(), "x").data
    assert there == {**load_yaml(served.file.read_bytes(), "x").data, "connector": "second"}
    assert connect.delete("/connectors/second").status_code == 204, "a running one is stopped first"
    assert failure(connect.delete("/connectors/second")) == (404, "Connector second not found")
    stopped = connect.post("/connectors", json={"name": "second", "config": wanted, "initial_state": "stopped"})
    assert (stopped.status_code, stopped.json()["tasks"]) == (201, [])
    assert connect.get("/connectors/second/status").json()["connector"]["state"] == "STOPPED"


def test_a_configuration_is_put_and_patched(served: Served, connect: httpx.Client) -> None:
    wanted = config_of(connect)
    comment = "# why it is so\n" + served.file.read_text()
    served.file.write_text(comment)
    same = connect.put(f"/connectors/{NAME}/config", json=wanted)
    assert (same.status_code, served.file.read_text()) == (200, comment)
    changed = connect.put(f"/connectors/{NAME}/config", json={**wanted, "source.header": 1})
    assert (changed.status_code, changed.json()["config"]["source.header"]) == (200, "1")
    patched = connect.patch(f"/connectors/{NAME}/config", json={"source.header": None, "schedule": "every 3h"})
    assert (patched.status_code, patched.json()["config"]) == (200, {**wanted, "schedule": "every 3h"})
    assert served.hub.views.connector(NAME)["schedule"] == "every 3h"
    new = connect.put("/connectors/second/config", json=second(connect))
    assert (new.status_code, new.headers["location"]) == (201, f"{served.own}/connectors/second")
    under = httpx.put(
        f"{served.beside}/connectors/third/config", json=second(connect, name="third"), auth=connect.auth, timeout=60
    )
    assert under.headers["location"] == f"{served.beside}/connectors/third"
    assert failure(connect.patch("/connectors/fourth/config", json={})) == (404, "Connector fourth not found")
    other = failure(connect.put(f"/connectors/{NAME}/config", json={**wanted, "name": "other"}))
    assert other == (400, f"Connector name configuration (other) doesn't match connector name in the URL ({NAME})")


def test_a_file_that_cannot_be_read_is_replaced(served: Served, connect: httpx.Client) -> None:
    wanted = config_of(connect)
    served.file.write_text("connector: [\n")
    served.hub.reload()
    assert connect.get(f"/connectors/{NAME}/config").status_code == 400
    mended = connect.put(f"/connectors/{NAME}/config", json=wanted)
    assert (mended.status_code, mended.json()["config"]) == (200, wanted)


def test_R35_a_bad_configuration_is_refused_with_every_error(served: Served, connect: httpx.Client) -> None:
    before = served.file.read_text()
    bad = {**config_of(connect), "schedule": "now", "publish.fields.name": "trimm(Name)", "source.pth": "x"}
    status, message = failure(connect.put(f"/connectors/{NAME}/config", json=bad))
    assert status == 400
    assert message.startswith("Connector configuration is invalid and contains the following 3 error(s):\n")
    assert failure(connect.post("/connectors", json={"name": "second", "config": bad | {"name": "second"}}))[0] == 400
    assert served.file.read_text() == before
    assert connect.get("/connectors").json() == [NAME]


def test_states_are_steered(connect: httpx.Client) -> None:
    for verb, state in (
        ("pause", "PAUSED"),
        ("resume", "RUNNING"),
        ("stop", "STOPPED"),
        ("stop", "STOPPED"),
        ("resume", "RUNNING"),
    ):
        assert connect.put(f"/connectors/{NAME}/{verb}").status_code == 202
        status = connect.get(f"/connectors/{NAME}/status").json()
        assert status["connector"]["state"] == state
        assert [t["state"] for t in status["tasks"]] == ([] if state == "STOPPED" else [state])
        assert failure(connect.put(f"/connectors/nobody/{verb}")) == (404, "Unknown connector nobody")
    assert failure(connect.put(f"/connectors/{NAME}/explode"))[0] == 404


def test_a_failed_connector_shows_its_trace_and_is_restarted(served: Served, connect: httpx.Client) -> None:
    served.hub.supervisor.set_state(NAME, "FAILED", reason="SourceUnavailable: gone", by="test")
    status = connect.get(f"/connectors/{NAME}/status").json()
    assert status["tasks"][0]["trace"] == status["connector"]["trace"] == "SourceUnavailable: gone"
    restarted = connect.post(f"/connectors/{NAME}/restart?includeTasks=true&onlyFailed=true")
    assert (restarted.status_code, restarted.json()["connector"]["state"]) == (202, "RUNNING")
    assert served.hub.supervisor.wait(NAME, 30) is not None
    assert connect.post(f"/connectors/{NAME}/restart").status_code == 204
    assert served.hub.supervisor.wait(NAME, 30) is not None
    assert connect.post(f"/connectors/{NAME}/tasks/0/restart").status_code == 204
    assert served.hub.supervisor.wait(NAME, 30) is not None
    assert failure(connect.post(f"/connectors/{NAME}/tasks/7/restart"))[0] == 404
    assert failure(connect.post("/connectors/nobody/restart"))[0] == 404


def test_G13_offsets_are_shown_masked_and_reset_when_stopped(served: Served, connect: httpx.Client) -> None:
    served.hub.supervisor.run_now(NAME)
    served.hub.supervisor.wait(NAME, 30)
    shown = connect.get(f"/connectors/{NAME}/offsets")
    (offset,) = shown.json()["offsets"]
    assert offset["partition"] == {"connector": NAME}
    assert "branches.csv" not in shown.text
    nothing = {"offsets": [{"partition": {"connector": NAME}, "offset": None}]}
    for answer in (
        connect.delete(f"/connectors/{NAME}/offsets"),
        connect.patch(f"/connectors/{NAME}/offsets", json=nothing),
    ):
        status, message = failure(answer)
        assert status == 400
        assert message.startswith("Connectors must be in the STOPPED state before their offsets can be modified.")
    connect.put(f"/connectors/{NAME}/stop")
    for bad in ({}, {"offsets": []}, {"offsets": [offset]}, [], {"offsets": "x"}):
        assert failure(connect.patch(f"/connectors/{NAME}/offsets", json=bad))[0] == 400
    assert connect.patch(f"/connectors/{NAME}/offsets", json=nothing).status_code == 200
    assert connect.get(f"/connectors/{NAME}/offsets").json() == {"offsets": []}
    done = connect.delete(f"/connectors/{NAME}/offsets")
    assert done.json() == {"message": "The offsets for this connector have been reset successfully"}


def test_plugins_are_the_kinds_and_validate_each_setting(connect: httpx.Client) -> None:
    plugins = connect.get("/connector-plugins").json()
    assert {p["class"] for p in plugins} >= {"files", "sql", "rest", "postgres", "mqtt", "webhook"}
    assert {p["type"] for p in plugins} == {"source"}
    keys = {k["name"]: k for k in connect.get("/connector-plugins/files/config").json()}
    assert keys["source.path"]["required"] is True
    assert {"name", "connector.class", "agency", "publish.topic", "tasks.max"} <= set(keys)
    sound = connect.put("/connector-plugins/files/config/validate", json=config_of(connect)).json()
    assert (sound["name"], sound["error_count"]) == ("files", 0)
    bad = {
        **config_of(connect),
        "publish.key": "branch_id",
        "source.header": "many",
        "publish.fields.name": "x(",
        "odd": "1",
    }
    del bad["agency"]
    checked = connect.put("/connector-plugins/files/config/validate", json=bad)
    assert checked.status_code == 200
    wrong = {c["value"]["name"]: c["value"]["errors"] for c in checked.json()["configs"] if c["value"]["errors"]}
    assert set(wrong) >= {"publish.key", "source.header", "publish.fields.name", "odd", "agency"}
    assert checked.json()["error_count"] == sum(map(len, wrong.values()))
    assert set(checked.json()["configs"][0]["value"]) == {"name", "value", "recommended_values", "errors", "visible"}


BODIES: dict[str, Any] = {
    "nothing": b"",
    "no-json": b"{",
    "nan": b'{"name": NaN}',
    "list": b"[]",
    "text": b'"x"',
    "deep": b"[" * 100_000,
    "bytes": b"\xff\xfe",
    "nested": b'{"name": "second", "config": {"a": {"b": 1}}}',
    "null": b'{"name": "second", "config": {"a": null}}',
    "no-config": b'{"name": "second"}',
    "number": b'{"name": 5, "config": {}}',
    "state": b'{"name": "second", "config": {}, "initial_state": "FLYING"}',
    "empty": b'{"name": "", "config": {}}',
    "path": b'{"name": "../../x", "config": {}}',
    "newline": b'{"name": "a\\nb", "config": {}}',
    "surrogate": b'{"name": "\\ud800", "config": {"\\ud800": "\\udfff"}}',
    "both": b'{"name": "second", "config": {"a": "1", "a.b": "2"}}',
    "kind": b'{"name": "second", "config": {"connector.class": "org.example.Sink"}}',
    "ours": b'{"name": "second", "config": {"source.kind": "files"}}',
    "large": json.dumps({"name": "second", "config": {"a": "x" * 1_100_000}}).encode(),
    "many": json.dumps({"name": "second", "config": {f"a{i}": "x" for i in range(21_000)}}).encode(),
    "dots": json.dumps({"name": "second", "config": {"." * 100_000: "x"}}).encode(),
    "tasks": b'{"name": "second", "config": {"tasks.max": "all"}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_S5_bad_bodies_are_refused_and_change_nothing(served: Served, connect: httpx.Client, body: bytes) -> None:
    before = sorted(p.name for p in served.file.parent.iterdir())
    assert failure(connect.post("/connectors", content=body))[0] == 400
    assert sorted(p.name for p in served.file.parent.iterdir()) == before
    as_config = json.dumps(json.loads(body)["config"]).encode() if b'"config": {' in body else body
    for method, path in (
        ("PUT", "/connectors/third/config"),
        ("PUT", "/connector-plugins/files/config/validate"),
        ("PATCH", f"/connectors/{NAME}/config"),
        ("PATCH", f"/connectors/{NAME}/offsets"),
    ):
        assert connect.request(method, path, content=as_config).status_code in (200, 400), path
    assert sorted(p.name for p in served.file.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["nobody", "%2e%2e", "..%2f..%2fdatong", "a%00", "%ff", "A", "a%0a", "x" * 3000])
def test_S16_names_that_are_none_are_not_found(connect: httpx.Client, name: str) -> None:
    for path in ("", "/config", "/status", "/tasks", "/tasks/0/status", "/offsets", "/topics"):
        assert failure(connect.get(f"/connectors/{name}{path}"))[0] == 404
    assert failure(connect.put(f"/connector-plugins/{name}/config/validate", json={}))[0] == 404
    assert failure(connect.get(f"/connector-plugins/{name}/config"))[0] == 404
    assert failure(connect.delete(f"/connectors/{name}"))[0] == 404


def test_what_is_not_offered_is_not_found(connect: httpx.Client) -> None:
    for path in ("/admin/loggers", "/connectors/a/b/c/d", "/nothing"):
        assert failure(connect.get(path)) == (404, "HTTP 404 Not Found")
    assert failure(connect.post("/connector-plugins", json={})) == (405, "HTTP 405 Method Not Allowed")
    assert failure(connect.put(f"/connectors/{NAME}/topics/reset"))[0] == 403


def test_S13_S19_only_an_operator_of_a_known_host_is_let_in(served: Served, connect: httpx.Client) -> None:
    with httpx.Client(base_url=served.own, timeout=60, trust_env=False) as anybody:
        bare = anybody.get("/connectors")
        assert failure(bare)[0] == 401
        assert bare.headers["www-authenticate"].startswith("Basic")
        for header in ("Basic", "Basic !!!", "Basic Og==", "Basic " + "x" * 9000, "Bearer no", "Digest x"):
            assert failure(anybody.get("/connectors", headers={"Authorization": header}))[0] == 401
        assert anybody.get("/connectors", auth=("any", "wrong")).status_code == 401
        assert anybody.get("/connectors", headers={"Authorization": f"Bearer {served.token}"}).status_code == 200
        token = httpx.post(
            f"{served.api}/tokens",
            headers={"Authorization": f"Bearer {served.token}"},
            json={"agency": "city-planning"},
            timeout=60,
        ).json()["token"]
        assert failure(anybody.get("/connectors", auth=("city-planning", token)))[0] == 403
        assert failure(anybody.get("/", headers={"Host": "evil.example"}))[0] == 421
        assert failure(anybody.put(f"/connectors/{NAME}/stop", headers={"Origin": "http://evil.example"}))[0] == 403
        assert anybody.get("/health").status_code == 200
    large = connect.put(f"/connectors/{NAME}/config", content=b"x" * (9 * 1024 * 1024))
    assert failure(large)[0] == 413

"""What flows and what is wrong, over real sockets: samples as an answer and as a stream, alerts that come and go (S11)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.api import overview
from hub.app import Hub
from hub.cli.listening import start
from hub.cli.main import run as command
from hub.cli.serving import make_server
from hub.settings import load_settings
from hub.watch import alerts
from tests.api.test_api import TOPIC, agency, run
from tests.api.test_streams import event_of, lines_of
from tests.support.ports import free_port
from tests.support.projects import make_project
from tests.support.waiting import eventually

NAME = "city-library-branches"
STREAM = "/api/v1/overview/stream"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "p")


@pytest.fixture
def client(project: Path) -> Iterator[httpx.Client]:
    port = free_port()
    loaded = load_settings(project, env={"DATONG_HTTP__PORT": str(port)})
    with Hub.open(loaded, scheduled=True) as hub:
        server = make_server(hub, loaded)
        thread = start(server, "http.port")
        hub.announce(f"http://127.0.0.1:{port}")
        headers = {"Authorization": f"Bearer {hub.operator_token()}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as made:
            yield made
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def told(client: httpx.Client) -> dict[str, Any]:
    return {one["id"]: one for one in client.get("/api/v1/alerts").json()["alerts"]}


def test_the_overview_shows_what_was_published(client: httpx.Client) -> None:
    assert eventually(lambda: client.get("/api/v1/overview").json()["topics"].get(TOPIC, {}).get("records") == 3)
    seen = client.get("/api/v1/overview").json()
    assert (seen["records_today"], seen["connectors"][NAME]["rows"], seen["topics"][TOPIC]["late"]) == (3, 4, False)
    assert seen["groups"] == []


def test_the_stream_goes_on_where_its_client_was(client: httpx.Client) -> None:
    with client.stream("GET", STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = lines_of(response)
        first, second = event_of(lines), event_of(lines)
    assert int(second.id) == int(first.id) + 1 == second.json["number"]
    with client.stream("GET", STREAM, headers={"Last-Event-ID": first.id}) as response:
        lines = lines_of(response)
        assert [event_of(lines).json["number"] for _ in range(2)] == [int(first.id) + 1, int(first.id) + 2]
    with client.stream("GET", STREAM, headers={"Last-Event-ID": "9" * 15}) as response:  # of a node that is ahead
        lines = lines_of(response)
        found = [event_of(lines).json["number"] for _ in range(2)]
        assert found[1] == found[0] + 1 > int(second.id)


@pytest.mark.parametrize("path", ["/api/v1/overview", STREAM, "/api/v1/alerts"])
def test_S8_an_agency_sees_none_of_it(client: httpx.Client, path: str) -> None:
    assert client.get(path, headers=agency(client)).status_code == 403
    assert client.get(path, headers={"Authorization": "Bearer nobody"}).status_code == 401


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams of a node at most."""
    monkeypatch.setattr(overview, "MOST", 2)


def test_S20_more_streams_than_may_be_are_refused_and_let_in_when_one_leaves(few: None, client: httpx.Client) -> None:
    with client.stream("GET", STREAM) as first, client.stream("GET", STREAM) as slow:
        lines = lines_of(first)  # kept: httpx closes an answer whose reader is gone
        event_of(lines)
        assert slow.headers["content-type"].startswith("text/event-stream")  # whose client reads nothing
        refused = client.get(STREAM)
        assert (refused.status_code, refused.json()["code"]) == (503, "TooBusy")
        assert client.get("/api/v1/overview").status_code == 200
    assert eventually(lambda: _is_let_in(client))


def _is_let_in(client: httpx.Client) -> bool:
    with client.stream("GET", STREAM) as response:
        return response.status_code == 200


@pytest.mark.parametrize("number", ["-1", "x", "1" * 16, "1;2"])
def test_an_id_that_is_none_is_refused(client: httpx.Client, number: str) -> None:
    assert client.get(STREAM, headers={"Last-Event-ID": number}).status_code == 422


def test_a_stream_ends_with_the_hub(project: Path) -> None:
    port = free_port()
    loaded = load_settings(project, env={"DATONG_HTTP__PORT": str(port)})
    with Hub.open(loaded, scheduled=True) as hub:
        server = make_server(hub, loaded)
        thread = start(server, "http.port")
        headers = {"Authorization": f"Bearer {hub.operator_token()}"}
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client,
            client.stream("GET", STREAM) as response,
        ):
            lines = lines_of(response)
            event_of(lines)
            server.should_exit = True
            for _line in lines:  # to its end
                pass
        thread.join(30)
        assert not thread.is_alive()


def test_alerts_come_with_their_cause_and_go_with_it(
    client: httpx.Client, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alerts, "LINGER_MS", 500)
    rows = f"quarantine_share:{NAME}"  # one of the four rows that `datong init` writes is bad
    assert eventually(lambda: rows in told(client))
    topic = project / "topics.d/branch.yaml"
    text = topic.read_text(encoding="utf-8")
    topic.write_text(text.replace("freshness: 26h", "freshness: 1s"), encoding="utf-8")
    extra = project / "topics.d/extra.yaml"
    extra.write_text("topic: nonsense\n", encoding="utf-8")
    assert client.post("/api/v1/reload", json={}).json()["mistakes"]
    mistake = "configuration_mistake:topics.d/extra.yaml:1"
    assert eventually(lambda: {mistake, f"topic_late:{TOPIC}"} <= told(client).keys())
    alert = told(client)[f"topic_late:{TOPIC}"]
    assert "its contract allows 1 s" in alert["message"]["en"]
    assert "约定时效为 1 秒" in alert["message"]["zh"]
    assert command(["alerts", "list", "--project", str(project), "--language", "zh"]) == 0
    shown = capsys.readouterr().out
    assert f"主题延迟: {TOPIC}" in shown
    assert command(["alerts", "list", "--project", str(project), "--json"]) == 0
    assert mistake in {one["id"] for one in json.loads(capsys.readouterr().out)["alerts"]}

    topic.write_text(text, encoding="utf-8")
    extra.unlink()
    data = project / "data/branches.csv"
    data.write_text(data.read_text(encoding="utf-8").replace("none", "12"), encoding="utf-8")
    client.post("/api/v1/reload", json={})
    assert run(client)["state"] == "completed"
    assert eventually(lambda: not told(client))


def test_a_command_without_a_hub_that_serves_says_what_is_wrong_now(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["alerts", "list", "--project", str(project)]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    (project / "topics.d/extra.yaml").write_text("topic: nonsense\n", encoding="utf-8")
    assert command(["alerts", "list", "--project", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "Mistake in the configuration: topics.d/extra.yaml:1" in shown
    assert "datong validate" in shown

"""Nodes that answer and nodes that work, on one PostgreSQL and one Kafka: each knows what the others do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from deploy.services import kafka, postgres
from tests.support.fault_server import FaultServer, answer
from tests.support.nodes import ROOT, Node, Site, check, site, until
from tests.support.postgres import drop_database, new_database

ROWS = 100_000  # in several batches
ANSWER = [{"N": number, "TEXT": "x"} for number in range(5)]
TOKEN = "canary-operators-own-token-of-all-nodes-01"


class Service:
    """A department's web service, which the nodes may ask. It is broken until it is mended."""

    def __init__(self) -> None:
        self.mended = Event()
        self.server = FaultServer(lambda _request: answer(ANSWER) if self.mended.is_set() else answer({}, 503))


@dataclass
class Nodes:
    """Two that answer, and one that works once it is started."""

    site: Site
    first: Node
    second: Node
    worker: Node
    service: Service

    def datong(self, *arguments: str, node: Node | None = None) -> subprocess.CompletedProcess[str]:
        """A command of an operator beside a node."""
        data = (node or self.first).data.relative_to(self.site.project)
        env = {
            "DATONG_STORE__URL": self.site.store_url,
            "DATONG_LOG__URL": f"kafka://{self.site.kafka}",
            "DATONG_DATA_DIR": str(data),
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [sys.executable, "-m", "hub.cli.main", *arguments],
            cwd=self.site.project, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def get(self, path: str, node: Node | None = None, **params: Any) -> Any:
        """JSON of an answer."""
        with (node or self.first).api() as client:
            answer = client.get(f"/api/v1{path}", params=params)
            assert answer.is_success, answer.text
            return answer.json()

    def connector(self, rows: int, **more: Any) -> str:
        """A connector that every node has read, which runs by hand."""
        name = self.site.connector(rows, schedule="", **more)
        self.reload()
        with self.second.api() as client:
            until(lambda: client.get(f"/api/v1/connectors/{name}").status_code == 200)
        return name

    def reload(self) -> None:
        with self.first.api() as client:
            assert client.post("/api/v1/reload").json() == {"mistakes": []}

    def start(self, name: str) -> str:
        """Ask for a run, at the first node."""
        with self.first.api() as client:
            answer = client.post(f"/api/v1/connectors/{name}/runs", json={})
            assert answer.status_code == 202, answer.text
            return str(answer.json()["run"])


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: postgres.Server, kafka_cluster: kafka.Cluster
) -> Iterator[Nodes]:
    database = new_database(postgres_server)
    folder = tmp_path_factory.mktemp("nodes") / "p"
    service = Service()
    with (
        closing(service.server),
        site(folder, postgres_server.url_of(database), kafka_cluster.bootstrap) as made,
    ):
        (folder / "datong.yaml").write_text(f"outbound: {{allow: ['{service.server.address}']}}\n")
        for number in range(3):  # made once, and put into each directory beforehand
            (folder / f"var/{number}").mkdir(mode=0o700)
            (folder / f"var/{number}/operator.token").touch(mode=0o600)
            (folder / f"var/{number}/operator.token").write_text(TOKEN)
        first, second = made.start("api", wait=False), made.start("api", wait=False)
        for node in (first, second):
            made.ready(node)
        name = made.connector(3, schedule="")
        with first.api() as client:
            client.post("/api/v1/reload")
            refused = client.post(f"/api/v1/connectors/{name}/runs", json={})
        assert (refused.status_code, refused.json()["code"]) == (503, "NoWorker")
        assert "serve --role worker" in refused.json()["remedy"]
        yield Nodes(made, first, second, made.start("worker", TEST_FAILPOINT="acknowledged:wait@1"), service)
    drop_database(postgres_server, database)


def test_a_run_that_is_asked_for_at_one_node_is_done_by_another_and_seen_by_all(nodes: Nodes) -> None:
    name = nodes.connector(ROWS)
    with nodes.site.held():
        run = nodes.start(name)
        path = f"/connectors/{name}/runs/{run}"
        nodes.site.in_the_middle(name)
        with nodes.second.api() as client:
            again = client.post(f"/api/v1/connectors/{name}/runs", json={})
            assert (again.status_code, nodes.worker.name in again.json()["detail"]) == (409, True)
        for node in (nodes.first, nodes.second):
            shown = nodes.get(f"/connectors/{name}", node)
            assert (shown["running"], nodes.worker.name in shown["worker"]) == (True, True)
        until(lambda: 0 < nodes.get(path, nodes.second)["totals"]["published"] < ROWS)
    until(lambda: nodes.get(path, nodes.second, wait_ms=5000)["state"] != "running")
    for node in (nodes.first, nodes.second):
        ended = nodes.get(path, node)
        assert (ended["state"], ended["exit_code"], ended["totals"]["published"]) == ("completed", 0, ROWS)
        assert nodes.get(f"/connectors/{name}", node)["running"] is False
    check(nodes.site.kafka, name, ROWS)


def test_commands_at_a_node_that_only_answers(nodes: Nodes) -> None:
    name = nodes.connector(5)
    done = nodes.datong("run", name, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["totals"]["published"] == 5
    shown = nodes.datong("connector", "show", name, "--json", node=nodes.second)
    assert shown.returncode == 0, shown.stderr
    assert [run["state"] for run in json.loads(shown.stdout)["runs"]] == ["completed"]
    listed = json.loads(nodes.datong("nodes", "--json").stdout)["nodes"]
    assert sorted((n["role"], n["alive"]) for n in listed) == [("api", True), ("api", True), ("worker", True)]


def test_R35_a_worker_answers_health_alone_and_says_so_to_commands(nodes: Nodes) -> None:
    with nodes.worker.api() as client:
        assert client.get("/readyz").json()["checks"] == {"log": "ok", "store": "ok"}
        for path in ("/api/v1/connectors", "/api/v1/topics/a.b.v1/consumers/g/records"):
            assert client.get(path).status_code == 404
        assert "datong_build_info" in client.get("/metrics").text
    anonymous = httpx.get(f"{nodes.worker.url}/metrics", timeout=60, trust_env=False)
    assert anonymous.status_code == 401
    refused = nodes.datong("run", node=nodes.worker)
    assert refused.returncode == 1
    assert "is a worker" in refused.stderr
    assert "DATONG_DATA_DIR" in refused.stderr
    with nodes.first.api() as client:
        assert 'datong_nodes{role="worker"} 1.0' in client.get("/metrics").text


def test_every_node_that_answers_watches_what_a_worker_publishes(nodes: Nodes) -> None:
    name = nodes.connector(5)
    topic = f"city.{name}.number.v1"
    done = nodes.datong("run", name, "--json")
    assert done.returncode == 0, done.stderr
    for node in (nodes.first, nodes.second):
        until(lambda node=node: nodes.get("/overview", node)["topics"].get(topic, {}).get("records") == 5)  # type: ignore[misc]
        seen = nodes.get("/overview", node)
        assert (seen["connectors"][name]["rows"], seen["connectors"][name]["state"]) == (5, "RUNNING")
        assert name not in {alert["subject"] for alert in nodes.get("/alerts", node)["alerts"]}
    with nodes.worker.api() as client:
        assert f'datong_connector_poll_seconds_count{{connector="{name}"}}' in client.get("/metrics").text
    with nodes.second.api() as client:
        assert (
            f'datong_records_published_total{{connector="{name}",topic="{topic}"}} 5.0' in client.get("/metrics").text
        )


def test_a_run_is_paused_and_resumed_from_another_node(nodes: Nodes) -> None:
    name = nodes.connector(4_000_000, files=4)
    with nodes.site.held(), nodes.second.api() as client:
        run = nodes.start(name)
        nodes.site.in_the_middle(name)
        client.put(f"/api/v1/connectors/{name}/pause")
    with nodes.second.api() as client:
        until(lambda: not nodes.site.row(name).held)
        ended = nodes.get(f"/connectors/{name}/runs/{run}")
        assert ended["state"] == "stopped"
        assert 0 < ended["totals"]["published"] < 4_000_000
        refused = client.post(f"/api/v1/connectors/{name}/runs", json={})
        assert (refused.status_code, "PAUSED" in refused.json()["detail"]) == (409, True)
        client.put(f"/api/v1/connectors/{name}/resume")
    for part in range(4):  # the rest is not worth the time: what was published is whole
        (nodes.site.project / f"data/{name}-{part:04}.csv").unlink()
    check(nodes.site.kafka, name, ended["totals"]["published"])


def test_R13_a_run_that_cannot_go_on_tells_all_nodes_why(nodes: Nodes) -> None:
    name = nodes.connector(5)
    file = nodes.site.project / f"data/{name}-0000.csv"
    file.write_text(file.read_text().replace("TEXT", "WORDS"))
    done = nodes.datong("run", name, "--json")
    (run,) = json.loads(done.stdout)["runs"]
    assert (done.returncode, run["error"].partition(":")[0]) == (1, "ColumnsChanged")
    shown = nodes.get(f"/connectors/{name}", nodes.second)
    assert (shown["state"], "TEXT" in shown["reason"]) == ("PAUSED", True)


def test_F13_a_service_that_does_not_answer_the_worker_is_told_of_at_every_node_until_it_does(nodes: Nodes) -> None:
    name = nodes.connector(0)
    file = nodes.site.project / f"connectors.d/{name}.yaml"
    old = f'{{kind: files, path: "data/{name}*.csv", stable_after_s: 0}}'
    assert old in file.read_text()
    new = f"{{kind: rest, url: '{nodes.service.server.url}/rows', tries: 20, wait_most_s: 1}}"
    file.write_text(file.read_text().replace(old, new))
    nodes.reload()
    nodes.start(name)
    until(lambda: "answers 503" in nodes.get(f"/connectors/{name}", nodes.second)["away"])
    until(lambda: f"source_unreachable:{name}" in alerts(nodes))
    nodes.service.mended.set()
    until(lambda: nodes.get(f"/connectors/{name}", nodes.second)["away"] == "")
    until(lambda: f"source_unreachable:{name}" not in alerts(nodes))
    check(nodes.site.kafka, name, 5)


def alerts(nodes: Nodes) -> set[str]:
    return {alert["id"] for alert in nodes.get("/alerts", nodes.second)["alerts"]}


def test_what_was_read_again_at_one_node_holds_at_all(nodes: Nodes) -> None:
    name = nodes.connector(5)
    assert nodes.datong("run", name).returncode == 0
    until(lambda: any(c["name"] == name for c in nodes.get("/connectors", nodes.second)["connectors"]))
    (nodes.site.project / f"connectors.d/{name}.yaml").unlink()
    nodes.reload()
    until(lambda: all(c["name"] != name for c in nodes.get("/connectors", nodes.second)["connectors"]))


def test_R20_a_replay_is_asked_for_at_one_node_and_done_by_another(nodes: Nodes) -> None:
    name = nodes.connector(0)
    with suppress(FileNotFoundError):
        (nodes.site.project / f"data/{name}-0000.csv").unlink()
    (nodes.site.project / f"data/{name}-0001.csv").write_text("N,TEXT\n0,a\nI,b\n2,c\n")
    assert nodes.datong("run", name).returncode == 0
    (case,) = nodes.get("/quarantine", nodes.second, connector=name)["cases"]
    assert (case["count"], case["path"]) == (1, "n")
    file = nodes.site.project / f"connectors.d/{name}.yaml"
    file.write_text(file.read_text().replace("to_int(N)", "CASE N WHEN 'I' THEN 1 ELSE to_int(N) END"))
    done = nodes.datong("quarantine", "replay", case["case"], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["totals"]["published"] == 1
    assert nodes.get("/quarantine", connector=name)["cases"] == []


def test_G4_a_file_is_changed_and_a_checkpoint_reset_at_a_node_that_only_answers(nodes: Nodes) -> None:
    name = nodes.connector(5)
    assert nodes.datong("run", name).returncode == 0
    with nodes.first.api() as client:
        path = f"/api/v1/connectors/{name}"
        file = client.get(f"{path}/config")
        changed = file.text.replace("connector:", "schedule: every 9h\nconnector:", 1)
        saved = client.put(f"{path}/config", content=changed.encode(), headers={"If-Match": file.headers["ETag"]})
        assert saved.status_code == 200, saved.text
        until(lambda: nodes.get(f"/connectors/{name}", nodes.second)["schedule"] == "every 9h")
        reason = {"reason": "read again"}
        assert client.post(f"{path}/reset", json=reason).status_code == 409, "it is not stopped"
        client.put(f"{path}/stop")
        assert client.post(f"{path}/reset", json=reason).status_code == 409, "mode append would give all rows twice"
        done = client.post(f"{path}/reset", json={**reason, "accept_duplicates": True})
        assert done.status_code == 200, done.text
        client.put(f"{path}/resume")
    again = nodes.datong("run", name, "--json", node=nodes.second)
    assert json.loads(again.stdout)["runs"][0]["totals"]["published"] == 5, "all were read again"
    assert nodes.get(f"/connectors/{name}", nodes.second)["state"] == "RUNNING"


def test_S16_no_node_wrote_a_secret(nodes: Nodes) -> None:
    said = nodes.site.said()
    assert nodes.site.store_url.partition("://")[2].partition("@")[0].partition(":")[2] not in said
    assert TOKEN not in said


def test_processes_of_one_project_share_no_data_directory(nodes: Nodes) -> None:
    done = nodes.datong("serve", "--role", "worker", "--port", "1")
    assert done.returncode == 1
    assert "DATONG_DATA_DIR" in done.stderr


@pytest.mark.parametrize("text", ["short", "", "ä" * 40])
def test_R35_an_operators_token_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    from hub.directory import Directory
    from hub.errors import ConfigurationInvalid

    file = tmp_path / "operator.token"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(ConfigurationInvalid, match="holds no token"):
        Directory(tmp_path).operator_token()


def test_S16_an_operators_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    from hub.directory import Directory
    from hub.errors import ConfigurationInvalid

    file = tmp_path / "operator.token"
    file.write_text(TOKEN)
    file.chmod(0o640)
    with pytest.raises(ConfigurationInvalid, match="chmod 600"):
        Directory(tmp_path).operator_token()

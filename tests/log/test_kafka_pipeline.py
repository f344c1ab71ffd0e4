"""The whole hub with its log on Kafka, as processes: killed at every step (F1), its broker away (F2), and looked over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import pytest

from deploy.services import kafka as service
from deploy.services.kafka import Cluster
from hub import blocks
from hub.failpoints import NAMES
from hub.log.kafka import KafkaLog
from hub.model import Block
from hub.pipeline.followers import RunHistory
from tests.contracts.log_contract import at
from tests.log.test_kafka_faults import eventually
from tests.support.foreign import foreign_messages
from tests.support.kafka import fresh, need_kafka, options_of
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0  # no part of what is tested
FILES, ROWS = 4, 500  # of each file; one row of each is bad
TIMES = "kafka: {append_timeout: 20}\nsupervisor: {takeover_after: 8}\n"  # the latter is waited for after each kill


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node for this module: the log's own tests write to internal topics what no hub would."""
    need_kafka()
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "pipeline")
    yield cluster
    cluster.remove()


class Project:
    """A project whose connector has a name and a topic of its own, so that tests can share a broker."""

    def __init__(self, folder: Path, cluster: Cluster, *, mode: str = "append", schedule: str = "") -> None:
        self.folder, self.cluster = folder / "p", cluster
        self.name = fresh("branches")
        self.topic = f"city-library.test.{self.name}.v1"
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_LOG__URL": f"kafka://{cluster.bootstrap}"}
        assert self.datong("init", str(self.folder), cwd=folder).returncode == 0
        (self.folder / "data/branches.csv").unlink()
        connector = self.folder / "connectors.d/city-library-branches.yaml"
        topic = self.folder / "topics.d/branch.yaml"
        for file in self.folder.rglob("*.yaml"):
            text = file.read_text().replace("city-library.culture.branch.v1", self.topic)
            file.write_text(text.replace("city-library-branches", self.name))
        text = (
            connector.read_text().replace("mode: snapshot", f"mode: {mode}").replace("schedule: every 1h\n", schedule)
        )
        if mode == "append":
            text = text.replace("  key: [branch_id]\n", "")
        connector.write_text(text.replace('branches*.csv"', 'branches*.csv"\n  stable_after_s: 0'))
        declared = topic.read_text().replace("partitions: 1", "partitions: 3")
        topic.write_text(declared.replace("scope: [district]\n", "") if mode == "append" else declared)
        (self.folder / "datong.yaml").write_text(f"http:\n  port: {free_port()}\n{TIMES}")

    def datong(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hub.cli.main", *arguments], cwd=cwd or self.folder, env={**self.env, **env},
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def fill(self, files: range, rows: int = ROWS) -> None:
        for part in files:
            lines = "".join(
                f"b{part}-{i},Branch {i},North,{'none' if i == 7 else i + 1},01/02/2003\n" for i in range(rows)
            )
            (self.folder / f"data/branches{part}.csv").write_text("Code,Name,District,Seats,Opened\n" + lines)

    def published(self) -> Counter[bytes]:
        """Every record of the topic and how often it is there, by a foreign client."""
        return Counter(m.value() or b"" for m in foreign_messages(self.cluster.bootstrap, self.topic))

    def quarantined(self) -> Counter[bytes]:
        """The same of the rows in quarantine."""
        kept = foreign_messages(self.cluster.bootstrap, "__quarantine")
        return Counter(m.key() or b"" for m in kept if m.value() and self.name.encode() in m.value())


def whole(project: Project, files: int = FILES, rows: int = ROWS) -> None:
    """0 lost, 0 doubled, in the topic and in quarantine."""
    for found, expected in ((project.published(), files * (rows - 1)), (project.quarantined(), files)):
        assert len(found) == expected
        assert max(found.values()) == 1


def kill_and_go_on(project: Project, failpoint: str) -> None:
    project.fill(range(FILES))
    killed = project.datong("run", TEST_FAILPOINT=f"{failpoint}:kill@2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    deadline = time.monotonic() + PATIENCE_S
    done = project.datong("run", "--json")
    while "another worker runs" in done.stdout and time.monotonic() < deadline:  # until the dead one's lease ends
        time.sleep(0.2)
        done = project.datong("run", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    whole(project)


def test_F1_a_run_killed_before_its_commit_goes_on(kafka_cluster: Cluster, tmp_path: Path) -> None:
    kill_and_go_on(Project(tmp_path, kafka_cluster), "appended")


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "failpoint"), [*[("append", name) for name in NAMES], ("upsert", "appended"), ("upsert", "committed")]
)
def test_F1_kill_at_every_step_loses_and_doubles_nothing(
    kafka_cluster: Cluster, tmp_path: Path, mode: str, failpoint: str
) -> None:
    kill_and_go_on(Project(tmp_path, kafka_cluster, mode=mode), failpoint)


def test_F17_fsck_finds_whole_and_torn_batches_on_kafka(kafka_cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path, kafka_cluster)
    project.fill(range(2))
    assert project.datong("run").returncode == 0
    before = json.loads(project.datong("fsck", "--json").stdout)
    assert before["whole"] >= 2
    assert not [t for t in before["torn"] if t["topic"] == project.topic]
    log = KafkaLog(options_of(kafka_cluster))
    one = blocks.decode(log.read(project.topic, 0, 0, 1).blocks[0].records, 0)
    constant = [("batch_id", b"gone-1-9"), ("batch_n", b"499")]
    part = blocks.encode(None, one.values.slice(0, 1), blocks.Headers(constant=constant))
    log.open(fresh("torn"), 1).append([Block(topic=project.topic, partition=0, count=1, records=part)], at(1))
    log.close()
    done = project.datong("fsck", "--json")
    found = [t for t in json.loads(done.stdout)["torn"] if t["topic"] == project.topic]
    assert [(t["batch"], t["written"], t["shown"]) for t in found] == [("gone-1-9", 499, 1)]
    assert done.returncode == 1


@pytest.fixture
def serving() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def serve(project: Project, log: Path) -> subprocess.Popen[str]:
    with log.open("w") as out:
        command = [sys.executable, "-m", "hub.cli.main", "serve"]
        return subprocess.Popen(command, cwd=project.folder, env=project.env, stdout=out, stderr=out, text=True)


def health(project: Project) -> dict[str, Any] | None:
    text = (project.folder / "datong.yaml").read_text()
    port = int(text.split("port:")[1].split()[0])
    try:
        return dict(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False).json())
    except httpx.HTTPError:
        return None


def rss_mb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) // 1024


def outage(project: Project, tmp_path: Path, serving: list[subprocess.Popen[str]], seconds: float) -> None:
    """The broker is away when the hub starts, and once more while it runs: told, bounded, and over when it is back."""
    node, output = project.cluster.nodes[0], tmp_path / "serve.log"
    refused = project.datong("run", "--json")
    assert refused.returncode == 5, refused.stderr
    assert "nobody answers" in refused.stderr
    serving.append(serve(project, output))
    assert eventually(lambda: "waiting: kafka://" in output.read_text(), PATIENCE_S)
    time.sleep(seconds)  # the fault itself: so long the broker is away
    project.fill(range(2))
    project.cluster.start_node(node)
    project.cluster.wait()
    assert eventually(lambda: (health(project) or {}).get("status") == "ok", PATIENCE_S)
    assert eventually(lambda: len(project.published()) == 2 * (ROWS - 1), PATIENCE_S)
    before = rss_mb(serving[0].pid)
    project.cluster.kill(node)
    assert eventually(lambda: (health(project) or {}).get("checks", {}).get("log") == "failing", PATIENCE_S)
    project.fill(range(2, FILES))
    time.sleep(seconds)
    assert rss_mb(serving[0].pid) - before < 150
    project.cluster.start_node(node)
    project.cluster.wait()
    assert eventually(lambda: len(project.published()) == FILES * (ROWS - 1), PATIENCE_S)  # by itself (G18)
    assert (health(project) or {}).get("status") == "ok"
    serving[0].terminate()
    assert serving[0].wait(PATIENCE_S) == 0
    whole(project)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_F2_a_broker_away_for_a_minute_at_the_start_and_in_mid_run(
    mortal_kafka: Cluster, tmp_path: Path, serving: list[subprocess.Popen[str]]
) -> None:
    project = Project(tmp_path, mortal_kafka, schedule="schedule: every 1s\n")
    mortal_kafka.kill(mortal_kafka.nodes[0])
    outage(project, tmp_path, serving, 60)


def write_what_no_hub_would(cluster: Cluster, task: str) -> None:
    client = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "compression.type": "gzip"})
    for topic in ("__quarantine", "__manifests", "__state"):
        for value in (b"not JSON", b'{"kind": "entry", "id": 7}', b"[]", None):
            client.produce(topic, value, task.encode() + b"\0k", partition=0)
    assert client.flush(60) == 0


def test_G9_records_that_others_wrote_into_internal_topics_fail_no_run(kafka_cluster: Cluster, tmp_path: Path) -> None:
    """On Kafka anyone with the right to the topic can. They are passed over, and the doctor tells of them."""
    project = Project(tmp_path, kafka_cluster)
    project.fill(range(1))
    assert project.datong("run").returncode == 0
    write_what_no_hub_would(kafka_cluster, project.name)
    project.fill(range(1, 2))
    done = project.datong("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("records_passed_over") == 2  # what this mode reads: quarantine and manifests
    assert len(project.published()) == 2 * (ROWS - 1)
    cases = json.loads(project.datong("quarantine", "list", "--json").stdout)["cases"]
    assert [c["count"] for c in cases if c["connector"] == project.name] == [2]
    log = KafkaLog(options_of(kafka_cluster))
    RunHistory(log).runs()
    assert [n.detail for n in log.notices() if "__manifests: 4 records are not the hub's own" in n.detail]
    log.close()


def test_R22_rows_set_aside_on_kafka_are_closed_once_though_it_was_killed_and_stay_so(
    kafka_cluster: Cluster, tmp_path: Path
) -> None:
    project = Project(tmp_path, kafka_cluster, mode="upsert")
    project.fill(range(1))
    assert project.datong("run").returncode == 0

    def mine() -> list[str]:
        listed = json.loads(project.datong("quarantine", "list", "--json").stdout)["cases"]
        return [case["case"] for case in listed if case["connector"] == project.name]

    (case,) = mine()
    command = ("quarantine", "discard", case, "--reason", "a test entry", "--json")
    killed = project.datong(*command, TEST_FAILPOINT="appended:kill@1")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert mine() == [case], "what was not committed is not there"
    deadline = time.monotonic() + PATIENCE_S
    done = project.datong(*command)
    while "another worker runs" in done.stderr and time.monotonic() < deadline:  # until the dead one's lease ends
        time.sleep(0.2)
        done = project.datong(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert mine() == []
    assert set(project.quarantined().values()) == {2}, "the entry and one closing"
    (project.folder / "data/branches1.csv").write_text((project.folder / "data/branches0.csv").read_text())
    (totals,) = [one["totals"] for one in json.loads(project.datong("run", "--json").stdout)["runs"]]
    assert (totals["read"], totals["quarantined"], totals["discarded"]) == (ROWS, 0, 1)
    assert mine() == []

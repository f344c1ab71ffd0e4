"""The demo on a real broker, by the project's one command: the same totals as on SQLite, and Kafka's own tools see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.services.kafka import tool
from tests.support.kafka import need_kafka
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def dev(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    command = [sys.executable, str(ROOT / "dev.py"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Services in a folder of the test's own."""
    need_kafka()
    made = {**os.environ, "TMPDIR": str(tmp_path), "DATONG_HTTP__PORT": str(free_port())}
    yield made
    dev("services", "kafka", "stop", cwd=tmp_path, env=made)


@pytest.mark.long
def test_the_demo_on_kafka_prints_the_totals_of_the_one_on_sqlite(tmp_path: Path, env: dict[str, str]) -> None:
    on_kafka = json.loads(dev("demo", "--kafka", "--once", "--json", cwd=tmp_path, env=env))
    assert on_kafka == json.loads(dev("demo", "--once", "--json", cwd=tmp_path, env=env))
    assert not (tmp_path / "datong-demo-kafka/var/log.db").exists()
    bootstrap = dev("services", "kafka", "start", "--print-url", cwd=tmp_path, env=env).strip().removeprefix("kafka://")
    described = tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server", bootstrap, "--describe", "--all-groups",
    )  # fmt: skip
    rows = [line.split() for line in described.splitlines() if "it-mim.education.school.v1" in line]
    groups = {row[0] for row in rows}
    assert len(groups) == 2  # one for each agency
    for row in rows:
        committed, end, lag = (int(field) for field in row[3:6])
        assert (end - committed, lag) == (lag, lag)
    assert sum(int(row[3]) for row in rows) > 0

"""The demo, whole: counts and values against an independent row-by-row script; a second run; one changed row."""

from __future__ import annotations

import io
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastavro
import pytest

from hub.cli.demonstration import make_project
from hub.cli.output import Output
from hub.log.sqlite import SqliteLog
from hub.registry import Registry
from hub.store import Store
from tests.italy import oracle
from tests.support.ports import free_port
from tests.support.reading import records_of

ROOT = Path(__file__).resolve().parents[2]
TOPICS = {
    "it-istat-divisions": "it-istat.administration.division.v1",
    "it-mim-schools": "it-mim.education.school.v1",
    "it-interior-transfers": "it-interior.finance.transfer.v1",
    "it-alessandria-requests": "it-alessandria.citizen.case.v1",
}


def datong(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hub.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_HTTP__PORT": str(free_port())}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    where = tmp_path_factory.mktemp("italy")
    done = datong("demo", "--once", "--json", "--directory", "demo", cwd=where, env=env)
    assert done.returncode == 0, done.stderr
    return where, json.loads(done.stdout)


def by_name(summary: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {c["name"]: {k: v for k, v in c.items() if k != "name"} for c in summary["connectors"]}


def test_counts_equal_an_independent_script(first: tuple[Path, dict[str, Any]]) -> None:
    _where, summary = first
    found = by_name(summary)
    for name, expected in oracle.expected().items():
        assert {k: found[name][k] for k in expected.row} == expected.row, name
        reasons = {q["reason"]: q["count"] for q in summary["quarantine"] if q["topic"] == TOPICS[name]}
        assert reasons == dict(expected.reasons), name
    assert {t["name"]: t["records"] for t in summary["topics"]} == {
        TOPICS[n]: len(e.records) for n, e in oracle.expected().items()
    }


def test_G2_every_connector_reconciles(first: tuple[Path, dict[str, Any]]) -> None:
    for row in first[1]["connectors"]:
        parts = ("published", "quarantined", "filtered", "unchanged", "deduplicated")
        assert row["read"] == sum(row[p] for p in parts) > 0


def test_subscribers_see_what_their_grants_allow(first: tuple[Path, dict[str, Any]]) -> None:
    schools = oracle.expected()["it-mim-schools"].records
    lombardy = sum(r["region"] == "03" for r in schools.values())
    found = {s["agency"]: s["records"] for s in first[1]["subscribers"]}
    assert found == {"it-lom-planning": lombardy, "it-health-promotion": len(schools)}


@pytest.mark.parametrize("connector", TOPICS)
def test_sampled_records_read_by_fastavro_equal_the_script(first: tuple[Path, dict[str, Any]], connector: str) -> None:
    data = first[0] / "demo" / "var"
    expected = oracle.expected()[connector].records
    with Store.open(f"sqlite:///{data / 'store.db'}") as store:
        registry = Registry(store)
        log = SqliteLog.at(data / "log.db", clock=lambda: 0)
        stored = records_of(log, TOPICS[connector])
        log.close()
        assert len(stored) == len(expected)
        for key, value in random.Random(7).sample(stored, 200):
            assert value is not None
            assert key is not None
            schema = fastavro.parse_schema(json.loads(registry.by_id(int.from_bytes(value[1:5], "big"))))
            assert fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) == expected[key.decode()]


def test_a_second_run_publishes_nothing_and_one_changed_row_one_record(
    first: tuple[Path, dict[str, Any]], env: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(first[0] / "demo", tmp_path / "demo")
    done = datong("demo", "--once", "--json", "--directory", "demo", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert {n: c["published"] for n, c in by_name(json.loads(done.stdout)).items()} == dict.fromkeys(TOPICS, 0)
    register = tmp_path / "demo/data/istat/comuni-2020-01-01.csv"
    register.write_bytes(register.read_bytes().replace(b",2.644,", b",2.645,", 1))
    with sqlite3.connect(tmp_path / "demo/data/alessandria/requests.db") as connection:
        connection.execute(
            "UPDATE richieste SET Stato='chiusa', Chiusa='2030-01-02', updated_at='2030-01-02' "
            "WHERE Id=(SELECT MIN(Id) FROM richieste WHERE Stato='aperta' AND Chiusa IS NULL)"
        )
    connection.close()
    done = datong("run", "--json", "--project", "demo", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    runs = {r["connector"]: r["totals"]["published"] for r in json.loads(done.stdout)["runs"]}
    assert runs == {**dict.fromkeys(TOPICS, 0), "it-istat-divisions": 1, "it-alessandria-requests": 1}


def edit(path: Path, old: str, new: str) -> None:
    """As a person does: the file is newer then."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_what_is_changed_in_the_example_reaches_the_demo(tmp_path: Path) -> None:
    example, demo, out = tmp_path / "example", tmp_path / "demo", Output(as_json=True)
    shutil.copytree(ROOT / "examples/italy", example)
    make_project(demo, out, example)
    edit(demo / "agencies.yaml", "Lombardy", "Lombardia")
    mine = (demo / "agencies.yaml").read_text(encoding="utf-8")
    edit(example / "data/mim/scuole-paritarie-2023-24.csv", "VIA NADI 23,", "VIA NADI 25,")
    edit(example / "data/alessandria/segnalazioni-municipium_2023-2024.csv", ";chiusa;2023;", ";archiviata;2023;")
    before = requests_of(demo)
    make_project(demo, out, example)
    assert "VIA NADI 25," in (demo / "data/mim/scuole-paritarie-2023-24.csv").read_text(encoding="utf-8")
    assert (demo / "agencies.yaml").read_text(encoding="utf-8") == mine
    changed = [row for row in requests_of(demo) if row not in before]
    assert [(row[0], row[1]) for row in changed] == [(655788, "archiviata")]
    assert changed[0][-1] > max(row[-1] for row in before)
    make_project(demo, out, example)
    assert [row for row in requests_of(demo) if row not in before] == changed


def requests_of(demo: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(demo / "data/alessandria/requests.db") as connection:
        rows = connection.execute("SELECT * FROM richieste").fetchall()
    connection.close()
    return rows

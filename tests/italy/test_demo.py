"""The demo, whole: counts and values against an independent row-by-row script; a second run; one changed row."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
import yaml

from examples.italy import broker
from examples.italy.service import Service, running
from hub.cli.demonstration import make_project
from hub.cli.output import Output
from hub.log.sqlite import SqliteLog
from hub.registry import Registry
from hub.settings import load_settings
from hub.store import Store
from tests.italy import oracle
from tests.support import mosquitto, workbooks
from tests.support.ports import free_port
from tests.support.reading import records_of

ROOT = Path(__file__).resolve().parents[2]
TOPICS = {
    "it-istat-divisions": "it-istat.administration.division.v1",
    "it-mim-schools": "it-mim.education.school.v1",
    "it-tn-schools": "it-tn.education.school.v1",
    "it-bz-schools-italian": "it-bz.education.school.v1",
    "it-bz-schools-german": "it-bz.education.school.v1",
    "it-dpc-regions": "it-dpc.health.epidemic-day.v1",
    "it-interior-transfers": "it-interior.finance.transfer.v1",
    "it-alessandria-requests": "it-alessandria.citizen.case.v1",
}


SENSORS = "it-lom-sensors"
READINGS = f"{SENSORS}.environment.reading.v1"
WITHOUT_MOSQUITTO = (
    "from examples.italy import broker; from hub.cli.main import main; broker.program = lambda: None; main()"
)


def datong(*arguments: str, cwd: Path, env: dict[str, str], sensors: bool = False) -> subprocess.CompletedProcess[str]:
    """By default as on a machine where mosquitto is not installed."""
    how = ("-m", "hub.cli.main") if sensors else ("-c", WITHOUT_MOSQUITTO)
    command = [sys.executable, *how, *arguments]
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
    assert f"mosquitto is not installed: {SENSORS}, sensors over MQTT, is left out" in done.stderr.replace("\n", " ")
    return where, json.loads(done.stdout)


def by_name(summary: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {c["name"]: {k: v for k, v in c.items() if k != "name"} for c in summary["connectors"]}


def test_counts_equal_an_independent_script(first: tuple[Path, dict[str, Any]]) -> None:
    _where, summary = first
    found = by_name(summary)
    assert found.keys() == oracle.expected().keys()
    records: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {topic: Counter() for topic in TOPICS.values()}
    for name, expected in oracle.expected().items():
        assert {k: found[name][k] for k in expected.row} == expected.row, name
        records[TOPICS[name]] += len(expected.records)
        reasons[TOPICS[name]] += expected.reasons
    assert {t["name"]: t["records"] for t in summary["topics"]} == dict(records)
    for topic, counts in reasons.items():
        assert {q["reason"]: q["count"] for q in summary["quarantine"] if q["topic"] == topic} == dict(counts), topic


def test_G2_every_connector_reconciles(first: tuple[Path, dict[str, Any]]) -> None:
    for row in first[1]["connectors"]:
        parts = ("published", "quarantined", "filtered", "unchanged", "deduplicated")
        assert row["read"] == sum(row[p] for p in parts) > 0


def test_subscribers_see_what_their_grants_allow(first: tuple[Path, dict[str, Any]]) -> None:
    schools = {n: e.records for n, e in oracle.expected().items() if "-schools" in n}
    lombardy = sum(r["region"] == "03" for r in schools["it-mim-schools"].values())
    found = {(s["agency"], s["topic"]): s["records"] for s in first[1]["subscribers"]}
    assert found == {
        ("it-lom-planning", "it-mim.education.school.v1"): lombardy,
        ("it-health-promotion", "it-mim.education.school.v1"): len(schools["it-mim-schools"]),
        ("it-health-promotion", "it-tn.education.school.v1"): len(schools["it-tn-schools"]),
        ("it-health-promotion", "it-bz.education.school.v1"): len(schools["it-bz-schools-italian"])
        + len(schools["it-bz-schools-german"]),
    }


@pytest.mark.parametrize("topic", sorted(set(TOPICS.values())))
def test_sampled_records_read_by_fastavro_equal_the_script(first: tuple[Path, dict[str, Any]], topic: str) -> None:
    data = first[0] / "demo" / "var"
    expected = {k: r for n, e in oracle.expected().items() if TOPICS[n] == topic for k, r in e.records.items()}
    with Store.open(f"sqlite:///{data / 'store.db'}") as store:
        registry = Registry(store)
        log = SqliteLog.at(data / "log.db", clock=lambda: 0)
        stored = records_of(log, topic)
        log.close()
        assert len(stored) == len(expected)
        for key, value in random.Random(7).sample(stored, min(200, len(stored))):
            assert value is not None
            assert key is not None
            schema = fastavro.parse_schema(json.loads(registry.by_id(int.from_bytes(value[1:5], "big"))))
            assert fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) == expected[key.decode()]


def test_a_second_run_publishes_nothing_and_a_changed_row_one_record(
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
    edit(
        tmp_path / "demo/data/dpc/dpc-covid19-ita-regioni-20221201.csv",
        ",P.A. Bolzano,",
        ",Provincia autonoma di Bolzano,",
    )
    done = datong("demo", "--once", "--json", "--directory", "demo", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    changed = ("it-istat-divisions", "it-alessandria-requests", "it-dpc-regions")
    published = {n: c["published"] for n, c in by_name(json.loads(done.stdout)).items()}
    assert published == {**dict.fromkeys(TOPICS, 0), **dict.fromkeys(changed, 1)}


def test_F25_G2_sensors_are_read_from_a_broker_of_the_demos_own_and_a_second_run_publishes_none(
    first: tuple[Path, dict[str, Any]], env: dict[str, str], tmp_path: Path
) -> None:
    mosquitto.need()
    shutil.copytree(first[0] / "demo", tmp_path / "demo")
    with socket.create_server(("127.0.0.1", 0)) as taken:  # as where 1884 is somebody else's
        port = taken.getsockname()[1]
        edit(tmp_path / "demo/connectors.d" / f"{SENSORS}.yaml", "port: 1884", f"port: {port}")
        edit(tmp_path / "demo/datong.yaml", "127.0.0.1:1884", f"127.0.0.1:{port}")
        done = datong("demo", "--once", "--json", "--directory", "demo", cwd=tmp_path, env=env, sensors=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    with broker.running(tmp_path / "demo"):  # what a demo does, which would also look through all the rest again
        done = datong("run", SENSORS, "--json", "--project", "demo", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    (again,) = json.loads(done.stdout)["runs"]
    nothing = dict.fromkeys(("filtered", "deduplicated", "deleted"), 0)
    expected = {"read": 145, "published": 140, "quarantined": 5, "unchanged": 0, **nothing}
    assert by_name(summary)[SENSORS] == expected
    assert {k: again["totals"][k] for k in expected} == {**expected, "published": 0, "unchanged": 140}
    assert {c["name"] for c in summary["connectors"]} == {*TOPICS, SENSORS}
    assert [t["records"] for t in summary["topics"] if t["name"] == READINGS] == [140]
    reasons = {q["reason"]: q["count"] for q in summary["quarantine"] if q["topic"] == READINGS}
    assert reasons == dict.fromkeys(("BAD_JSON", "BAD_NUMBER", "BAD_TIMESTAMP", "CHECK_FAILED", "NULL_REQUIRED"), 1)
    assert quantities(tmp_path / "demo/var") == published_quantities()


def quantities(data: Path) -> list[tuple[Any, ...]]:
    """What the topic has, read by fastavro."""
    with Store.open(f"sqlite:///{data / 'store.db'}") as store:
        registry, log = Registry(store), SqliteLog.at(data / "log.db", clock=lambda: 0)
        values = [value for _key, value in records_of(log, READINGS) if value is not None]
        log.close()
        schemas = [fastavro.parse_schema(json.loads(registry.by_id(int.from_bytes(v[1:5], "big")))) for v in values]
    read = [fastavro.schemaless_reader(io.BytesIO(v[5:]), s, None) for v, s in zip(values, schemas, strict=True)]
    fields = ("sensor_id", "division_code", "quantity", "unit", "quality")
    return sorted(
        (*(r[f] for f in fields), r["measured_at"].isoformat(), -1 if r["value"] is None else round(r["value"], 6))
        for r in read
    )


def published_quantities() -> list[tuple[Any, ...]]:
    """The good ones of the file, computed apart from the hub; the day is in winter."""
    found = []
    for line in (oracle.DATA / "sensors/messages.tsv").read_text(encoding="utf-8").splitlines()[:-1]:
        name, payload = line.split("\t")
        _aria, division, quantity = name.split("/")
        for row in json.loads(payload):
            text, hour = row["valore"] or "-1", row.get("ora", "T24")
            if text == "-9999.0" or "circa" in text or "T24" in hour:
                continue
            milli = row["unita"] == "mg/m3"
            at = datetime.fromisoformat(f"{hour}+01:00").astimezone(UTC).isoformat()
            quality = {"VA": "GOOD", "NV": "SUSPECT", "ND": "MISSING"}[row["stato"]]
            value = round(float(text) * (1000 if milli else 1), 6)
            found.append((row["sensore"], division, quantity, "ug/m3" if milli else row["unita"], quality, at, value))
    return sorted(found)


def test_no_broker_is_started_where_mosquitto_is_missing_or_the_project_has_no_sensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broker.running(tmp_path) as port:
        assert port is None
    make_project(tmp_path / "demo", Output(as_json=True))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(broker, "PLACES", (str(tmp_path),))
    with broker.running(tmp_path / "demo") as port:
        assert port is None
    assert not (tmp_path / "demo" / broker.OWN).exists()


def edit(path: Path, old: str, new: str) -> None:
    """As a person does: the file is newer then."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_what_is_changed_in_the_example_reaches_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example, demo, out = tmp_path / "example", tmp_path / "demo", Output(as_json=True)
    shutil.copytree(ROOT / "examples/italy", example)
    make_project(demo, out, example)
    edit(demo / "agencies.yaml", "Lombardy", "Lombardia")
    mine = (demo / "agencies.yaml").read_text(encoding="utf-8")
    edit(example / "data/mim/scuole-paritarie-2023-24.csv", "VIA NADI 23,", "VIA NADI 25,")
    edit(example / "data/alessandria/segnalazioni-municipium_2023-2024.csv", ";chiusa;2023;", ";archiviata;2023;")
    before = requests_of(demo)
    (example / "topics.d/new.yaml").write_text("topic: it-tn.education.new.v1\n", encoding="utf-8")
    capsys.readouterr()
    make_project(demo, out, example)
    told = capsys.readouterr().err.replace("\n", " ")
    assert told.count("copied again") == 2
    assert "files of the example that were not here yet: 1" in told
    assert (demo / "topics.d/new.yaml").exists()
    assert "VIA NADI 25," in (demo / "data/mim/scuole-paritarie-2023-24.csv").read_text(encoding="utf-8")
    assert (demo / "agencies.yaml").read_text(encoding="utf-8") == mine
    changed = [row for row in requests_of(demo) if row not in before]
    assert [(row[0], row[1]) for row in changed] == [(655788, "archiviata")]
    assert changed[0][-1] > max(row[-1] for row in before)
    make_project(demo, out, example)
    assert [row for row in requests_of(demo) if row not in before] == changed


def ask(service: Service, page: str) -> httpx.Response:
    url = f"http://127.0.0.1:{service.port}/regioni"
    return httpx.get(url, params={"pagina": page, "righe": "100"}, timeout=60, trust_env=False)


def test_the_civil_protections_service_turns_pages_drifts_and_refuses_now_and_then(tmp_path: Path) -> None:
    make_project(tmp_path / "demo", Output(as_json=True))
    with running(tmp_path / "demo") as service:
        assert service is not None
        pages: list[list[dict[str, Any]]] = []
        refused = []
        while not pages or pages[-1]:
            answer = ask(service, str(len(pages) + 1))
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                refused.append((service.asked, answer.headers["retry-after"]))
            else:
                pages.append(answer.raise_for_status().json()["dati"])
        assert ask(service, "0").status_code == httpx.codes.BAD_REQUEST
        assert ask(service, "9" * 5000).status_code == httpx.codes.BAD_REQUEST
    assert refused == [(5, "1"), (10, "1")]
    rows = [row for page in pages for row in page]
    assert [len(page) for page in pages] == [100] * 7 + [14, 0]
    assert Counter(len(row) for row in rows) == {24: 231, 30: 483}
    written = [r for p in sorted((oracle.DATA / "dpc").glob("*.csv")) for r in oracle.rows(p)]
    numbers = ("nuovi_positivi", "totale_casi", "tamponi")
    assert [[r["codice_regione"], r["note"], *(r[n] for n in numbers)] for r in rows] == [
        [r["codice_regione"], r["note"] or None, *(int(r[n]) for n in numbers)] for r in written
    ]


def test_a_service_whose_port_is_taken_is_found_and_allowed_at_another(tmp_path: Path) -> None:
    make_project(tmp_path / "demo", Output(as_json=True))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        old = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("connectors.d/it-dpc-regions.yaml", "datong.yaml"):
            edit(tmp_path / "demo" / name, "127.0.0.1:8090", old)
        with running(tmp_path / "demo") as service:
            assert service is not None
            new = f"127.0.0.1:{service.port}"
            assert ask(service, "1").status_code == httpx.codes.OK
    assert new != old
    assert load_settings(tmp_path / "demo").settings.outbound.allow == (new, "127.0.0.1:1884")
    spec = yaml.safe_load((tmp_path / "demo/connectors.d/it-dpc-regions.yaml").read_text(encoding="utf-8"))
    assert spec["source"]["url"] == f"http://{new}/regioni"
    with running(tmp_path / "demo") as service:
        assert service is not None
        assert service.port == int(new.rpartition(":")[2])  # and stays there


def test_a_project_without_that_connector_has_no_service(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert service is None


@pytest.mark.parametrize("kind", ["xls", "xlsx"])
def test_no_name_of_an_author_came_with_the_workbooks(kind: str) -> None:
    (path,) = (ROOT / "examples/italy/data/bz").glob(f"*.{kind}")
    if kind == "xls":
        data = path.read_bytes()
        (user,) = (body for record, body in workbooks.records(workbooks.workbook_stream(data), 0) if record == 0x5C)
        assert user[3:].strip() == b""
        properties = re.findall(
            rb"\x1e\0\0\0\x14\0\0\0(.{20})", data, re.DOTALL
        )  # author and last editor: texts of 20 bytes
        assert properties == [b" " * 16 + bytes(4)] * 2
        return
    with zipfile.ZipFile(path) as archive:
        core = archive.read("docProps/core.xml").decode()
        assert "<dc:creator></dc:creator><cp:lastModifiedBy></cp:lastModifiedBy>" in core
        assert 'absPath url=""' in archive.read("xl/workbook.xml").decode()


def requests_of(demo: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(demo / "data/alessandria/requests.db") as connection:
        rows = connection.execute("SELECT * FROM richieste").fetchall()
    connection.close()
    return rows

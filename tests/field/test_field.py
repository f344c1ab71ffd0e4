"""Every file that agencies really published, pulled by an ordinary connector file of a project (tests/field/project), one
for each family of files. What becomes of each row is held against a script that reads the files for itself (truth.py)."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pytest
import yaml

from hub.log.sqlite import SqliteLog
from hub.registry import Registry
from hub.store import Store
from tests.field.truth import FAMILIES, SHARED, Outcome
from tests.support.reading import records_of

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Path(__file__).parent / "project"
CONNECTORS: Mapping[str, Any] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(PROJECT.glob("connectors.d/*.yaml"))
}

ROWS = {  # what the pack's README says of each file, by hand: neither the hub nor truth.py counted these
    "mim-state": 50_349,
    "mim-nonstate": 11_870,
    "mim-autonomous": 1_182,
    "mim-pupils": 51_920,
    "bz-italian": 34,
    "bz-italian-addresses": 117 - 18,  # of 117 lines, 18 are headings of those below them
    "bz-german": 271 + 64 + 25 + 12 + 8,
    "tn-schools": 86 - 1,  # one line is blank
    "salute-hospitals": 1_283,
    "dpc-regions": 34 * 21,
    "dpc-provinces": 2_193,
    "dpc-regions-latest": 21,
    "dpc-provinces-latest": 149,
    "dpc-contracts": 90,
    "dpc-payments": 52,
    "istat-divisions": 7_904,
    "istat-population": 8_042,
    "istat-provinces": 107,
    "istat-ages": 210,
    "mef-income": 7_903,
    "mef-brackets": 748,
    "interior-transfers": 7_333 + 571,
    "interior-crosswalk": 7_890,
    "arpa-stations": 22,
    "arpa-readings": 297 + 360 + 297 + 290 + 280 + 289 + 266 + 296 + 265 + 248 + 272,
    "alessandria-requests": 3_428,
    "openpolis-regions": 20,
    "openpolis-provinces": 107,
    "openpolis-piedmont": 1_179,
    "openpolis-umbria": 92,
    "openpolis-regions-detailed": 20,
    "nbs-provinces": 31,
    "nbs-cities": 342,
    "nbs-areas": 2_978,
    "nbs-db-provinces": 31,
    "nbs-db-cities": 342,
    "nbs-db-areas": 2_978,
    "nbs-db-streets": 41_352,
    "nbs-db-villages": 7_535,
    "nbs-outside": 18 + 7 + 358,  # Hong Kong, Macao, Taiwan
    "bmemc-air": 2 * 35_064,
}
QUARANTINED = {  # all others have none
    # Without name, address or postcode (`Non Disponibile`); in municipalities founded after 2020, M432 and later; the
    # postcodes `.`, `1`, `011`, `122`, `0907`, `8038`.
    "mim-state": {"NULL_REQUIRED": 1_437, "UNKNOWN_CODE": 29, "CHECK_FAILED": 6},
    # Without address: 239 in the province of Bolzano, 5 in that of Trento, where 2 more have no postcode.
    "mim-autonomous": {"NULL_REQUIRED": 246},
    # The postcode `-----`.
    "mim-nonstate": {"CHECK_FAILED": 3},
    # `<=3` in a column of numbers, so that no pupil can be told.
    "mim-pupils": {"BAD_NUMBER": 35},
    # Old and shortened names of municipalities, such as IESOLO and LONATO; two are called PATERNO'.
    "salute-hospitals": {"UNKNOWN_CODE": 5, "AMBIGUOUS_NAME": 1},
    # Liguria, 2020-03-01: 17 cases fewer than the day before.
    "dpc-regions": {"CHECK_FAILED": 1},
    # Two cents more were paid than were due.
    "dpc-payments": {"CHECK_FAILED": 1},
    # Municipalities that merged on 1 January 2020: the count still has them, the register of that day has not.
    "istat-population": {"UNKNOWN_CODE": 13},
    # The two lowest brackets of Valle d'Aosta and Molise: too few taxpayers to say how many.
    "mef-brackets": {"NULL_REQUIRED": 4},
    # 23 that the crosswalk lacks, merged ones and those with an accent; nine codes that it gives to two municipalities.
    "interior-transfers": {"UNKNOWN_CODE": 32},
    # Nine codes of two municipalities each; one ISTAT code without its leading zero.
    "interior-crosswalk": {"DUPLICATE_KEY": 9, "CHECK_FAILED": 1},
    # In three files: -9999 for none, and daily means that hold it.
    "arpa-readings": {"CHECK_FAILED": 3 * 18},
    # A day of closing, yet not closed.
    "alessandria-requests": {"CHECK_FAILED": 11},
}
SUMS = {  # the number that truth.py adds up, by the topic it is published on
    "it-mim.education.pupils.v1": "pupils",
    "it-bz.education.italian.v1": "pupils",
    "it-bz.education.german.v1": "pupils",  # against the totals that stand in the workbook
    "it-bz.education.address.v1": "postcode",
    "it-tn.education.pupils.v1": "pupils",
    "it-dpc.health.region.v1": "total",
    "it-dpc.health.province.v1": "total",
    "it-dpc.finance.contract.v1": "amount",
    "it-dpc.finance.payment.v1": "paid",
    "it-istat.administration.division.v1": "population_2011",
    "it-istat.population.count.v1": "persons",
    "it-istat.population.marital.v1": "persons",
    "it-istat.population.age.v1": "persons",
    "it-mef.finance.income.v1": "taxpayers",
    "it-mef.finance.bracket.v1": "taxpayers",
    "it-interior.finance.transfer.v1": "amount",
    "it-arpa.environment.reading.v1": "value",
    "cn-bmemc.environment.air.v1": "pm25",
}
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the agencies' files are not beside this checkout")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A project after a run of all its connectors."""

    where: Path
    runs: Mapping[str, Any]


def run(project: Path, files: Path, *connectors: str) -> Mapping[str, Any]:
    """`datong run`, as a person does it."""
    command = [sys.executable, "-m", "hub.cli.main", "run", *connectors, "--json", "--project", str(project)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_FILES__ROOT": str(files)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {record["connector"]: record for record in json.loads(done.stdout)["runs"]}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    where = tmp_path_factory.mktemp("field") / "project"
    shutil.copytree(PROJECT, where)
    return Ran(where=where, runs=run(where, SHARED))


@cache
def truth(connector: str) -> Outcome:
    return FAMILIES[connector]()


def test_every_file_is_some_connectors() -> None:
    assert set(CONNECTORS) == set(FAMILIES) == set(ROWS)
    files = {path for path in SHARED.rglob("*") if path.is_file()}
    taken = {SHARED / "README.md"}
    for source in (connector["source"] for connector in CONNECTORS.values()):
        found = set(SHARED.glob(source["path"] if "path" in source else source["url"].removeprefix("sqlite:///")))
        assert found, source
        taken |= found
    assert taken == files


@pytest.mark.parametrize("connector", ROWS)
def test_G2_every_row_is_published_quarantined_or_filtered(connector: str, first: Ran) -> None:
    expected, record = truth(connector), first.runs[connector]
    assert (record["state"], record["error"]) == ("completed", "")
    totals = {name: count for name, count in record["totals"].items() if count}
    wanted = {
        "read": ROWS[connector],
        "published": expected.published,
        "quarantined": expected.reasons.total(),
        "filtered": expected.filtered,
    }
    assert totals == {name: count for name, count in wanted.items() if count}
    assert expected.read == ROWS[connector]
    assert record["reasons"] == expected.reasons == QUARANTINED.get(connector, {})


@pytest.mark.parametrize("topic", SUMS)
def test_what_arrives_adds_up_to_what_the_files_say(topic: str, first: Ran) -> None:
    connectors = [name for name, one in CONNECTORS.items() if one["publish"]["topic"] == topic]
    with Store.open(f"sqlite:///{first.where / 'var' / 'store.db'}") as store:
        registry = Registry(store)
        log = SqliteLog.at(first.where / "var" / "log.db", clock=lambda: 0)
        values = [value for _key, value in records_of(log, topic) if value is not None]
        log.close()
        schema = fastavro.parse_schema(json.loads(registry.by_id(int.from_bytes(values[0][1:5], "big"))))
    records: list[Any] = [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for value in values]
    assert sum(Decimal(str(record[SUMS[topic]])) for record in records) == sum(truth(c).total for c in connectors)


def test_G2_a_second_run_publishes_nothing(first: Ran, tmp_path: Path) -> None:
    again = tmp_path / "project"
    shutil.copytree(first.where, again)
    assert {name: record["totals"]["published"] for name, record in run(again, SHARED).items()} == dict.fromkeys(
        ROWS, 0
    )


def test_R16_a_publishers_files_in_one_zip(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    with zipfile.ZipFile(tmp_path / "regioni.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(SHARED.glob("it-health-civilprotection/regioni/*.csv")):
            archive.write(path, f"dati-regioni/{path.name}")
        archive.writestr("LEGGIMI.txt", "one file a day")
    connector = project / "connectors.d" / "dpc-regions.yaml"
    text = connector.read_text(encoding="utf-8")
    unzipped = '"it-health-civilprotection/regioni/*.csv"'
    assert unzipped in text
    connector.write_text(text.replace(unzipped, 'regioni.zip, member: "dati-regioni/*.csv"'), encoding="utf-8")
    record = run(project, tmp_path, "dpc-regions")["dpc-regions"]
    assert record["totals"]["read"] == ROWS["dpc-regions"]
    assert record["reasons"] == QUARANTINED["dpc-regions"]

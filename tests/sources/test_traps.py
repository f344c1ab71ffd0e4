"""Bombs and traps beside good files, in a hub that serves: each is refused within limits, and the hub goes on (S3, S4, S6)."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.support.push import SCHEMA, serving
from tests.support.waiting import eventually

MIB = 1 << 20
MOST_MIB = 512  # of memory, whatever comes
CONNECTOR = """\
connector: {name}
agency: city
source: {{kind: files, path: "{path}", stable_after_s: 0{more}}}
publish:
  topic: city.sensor.{name}.v1
  schema: reading.avsc
  fields: {{sensor: sensor, value: to_double(value)}}
"""
GOOD = b"sensor,value\ns-1,1.5\n"


def zip_of(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def entities(levels: int = 12) -> bytes:
    """Ten times as much with every level."""
    inner = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, levels))
    return f'<!DOCTYPE r [<!ENTITY e0 "ha">{inner}]><r><x>&e{levels - 1};</x></r>'.encode()


def linked(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def put(make: Callable[[], bytes]) -> Callable[[Path], None]:
    """Made when it is written: a bomb is large while it is made."""

    def write(path: Path) -> None:
        path.write_bytes(make())

    return write


@cache
def gzipped() -> bytes:
    return gzip.compress(b"sensor,value\n" + b"0" * (600 * MIB), 1)


BOMBS: dict[str, tuple[str, str, Callable[[Path], None]]] = {  # file, settings, what puts it there
    "zip": ("zip.zip", ", member: '*'", put(lambda: zip_of({"a.csv": b"sensor,value\n" + b"0" * (600 * MIB)}))),
    "gzip": ("gzip.csv.gz", "", put(gzipped)),
    "nested": ("nested.zip", ", member: '*'", put(lambda: zip_of({"a.zip": zip_of({"a.csv": b"0" * (64 * MIB)})}))),
    "gzips": ("gzips.csv.gz", "", put(lambda: gzip.compress(gzipped()))),
    "workbook": (
        "workbook.xlsx", "", put(lambda: zip_of({"xl/workbook.xml": b"<", "xl/worksheets/sheet1.xml": b"0" * (300 * MIB)})),
    ),
    "entities": ("entities.xml", "", put(entities)),
    "deep": ("deep.json", "", put(lambda: b"[" * (4 * MIB))),
    "long": ("long.ndjson", "", put(lambda: b'{"sensor": "' + b"0" * (64 * MIB) + b'"}')),
    "link": ("link.csv", "", linked),
    "pipe": ("pipe.csv", "", pipe),
    "device": ("device.csv", "", device),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("connectors.d", "topics.d", "schemas", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "datong.yaml").touch()
    (tmp_path / "agencies.yaml").write_text("agencies:\n  - {id: city, name: {en: City, zh: 市}}\n")
    (tmp_path / "schemas/reading.avsc").write_text(json.dumps(SCHEMA))
    for name, (file, more, content) in {**BOMBS, "good": ("good.csv", "", put(lambda: GOOD))}.items():
        (tmp_path / f"connectors.d/{name}.yaml").write_text(CONNECTOR.format(name=name, path=f"data/{file}", more=more))
        (tmp_path / f"topics.d/{name}.yaml").write_text(f"topic: city.sensor.{name}.v1\ntitle: {{en: R, zh: 读}}\n")
        content(tmp_path / "data" / file)
    return tmp_path


def most_memory(pid: int) -> int:
    """MiB that a process ever had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) // 1024


def test_S3_S4_S6_every_bomb_is_refused_within_limits_and_the_hub_keeps_serving(project: Path) -> None:
    with serving(project) as (process, client):
        client.headers["Authorization"] = f"Bearer {(project / 'var/operator.token').read_text().strip()}"
        for name in BOMBS:
            assert client.post(f"/api/v1/connectors/{name}/runs", json={}).status_code == 202, name
        assert eventually(lambda: all(ended(client, name) for name in BOMBS), 120)
        assert client.get("/livez").status_code == 200
        client.post("/api/v1/connectors/good/runs", json={})
        assert eventually(lambda: ended(client, "good"), 60)
        good = client.get("/api/v1/connectors/good/runs").json()["runs"][0]
        assert (good["state"], good["totals"]["published"]) == ("completed", 1)
        for name in BOMBS:
            run = client.get(f"/api/v1/connectors/{name}/runs").json()["runs"][0]
            assert run["totals"]["published"] == 0, name
            assert run["error"] or run["totals"]["quarantined"], name
            assert "root:" not in json.dumps(run), name
        assert most_memory(process.pid) < MOST_MIB


def ended(client: httpx.Client, name: str) -> bool:
    """Refused, or waiting to be tried again: an attempt is over and on record."""
    runs = client.get(f"/api/v1/connectors/{name}/runs").json()["runs"]
    return bool(runs) and runs[0]["state"] != "running"

"""Files as Chinese departments hand them over, through ordinary connector files: GB 18030, full width, mixed dates, old
numbers, map coordinates. What `datong validate`, `preview` and `run` make of them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.builder import draft, open_source
from hub.errors import ConfigurationInvalid
from hub.mapping.program import columns_used
from hub.pipeline.preview import PreviewRow, preview
from hub.project import read_catalogue
from hub.settings import load_settings
from tests.support.projects import write_files

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-this-test-alone-0123456789abcdef"
PEOPLE = """\
姓名,证件号码,性别,民族,出生日期,电话,户籍地
王某,１１０１０５１９４９１２３１００２Ｘ,女,汉,1949年12月31日,１３８００１３８０００,110105
李某,110105491231002,女,汉族,一九四九年十二月三十一日,17909 138 0013 8000,110228
赵某,440524188001010014,男,HA,1880.1.1,010-62552288转801,440524
钱某,110105194912310021,女,汉,1949-12-31,,110105
孙某,150203670401001,女,1,民国56年4月1日,12345,１５０２０３
周某,11010519491231002x,女,汉,49-12-31,,110105
吴某,130503670401001,男,汉,1967/4/1,12800138000,130500
郑某,'810000199001010019,男,其他,32874,,810000
冯某,110105204912310026,女,汉,2049-12-31,,110105
"""
FACILITIES = """\
编号,名称,经度,纬度,坐标,信用代码,启用
f-1,图书馆,109.852578,40.664297,百度,12150203MB0001AB70,２００１年５月
f-2,卫生室,109.846004,40.658548,高德,12150203mb0001ab70,2001-05-01
f-3,养老院,40.658548,109.846004,高德,,
f-4,学校,109.8403,40.6574,天地图,91110000600037342P,45202
"""
CAPACITY = """\
编号,时期,床位,使用
f-1,2023年第3季度,12,3.5
f-1,2023年10月,12,4
f-1,上个月,12,4
"""
FILES = {
    "agencies.yaml": "agencies:\n  - {id: cn-nm, name: {en: A city, zh: 某市}}\n",
    "secrets.d/JOIN_KEY": KEY,
    "topics.d/person.yaml": "topic: cn-nm.population.person.v1\ntitle: {en: People, zh: 人口}\n",
    "topics.d/facility.yaml": "topic: cn-nm.facility.facility.v1\ntitle: {en: Facilities, zh: 设施}\n",
    "topics.d/capacity.yaml": "topic: cn-nm.facility.capacity.v1\ntitle: {en: Capacity, zh: 能力}\n",
    "connectors.d/people.yaml": """\
connector: people
agency: cn-nm
source: {kind: files, path: data/people.csv, nulls: [""]}
publish:
  topic: cn-nm.population.person.v1
  schema: population/person.avsc
  key: [person_id]
  mode: snapshot
  fields:
    person_id: token(cn_id_15to18(证件号码), '${secret:JOIN_KEY}')
    sex: cn_sex(性别, cn_id_15to18(证件号码))
    ethnicity: cn_ethnicity(民族)
    nationality: iso_3166('中国')
    born_on: parse_date(出生日期)
    residence_code: division_current(户籍地)
    registered_code: division_code(户籍地, parse_date(出生日期))
    settlement: "'UNKNOWN'"
    phone: phone(电话)
    recorded_on: parse_date('2026年1月1日')
  checks:
    plausible: born_on < recorded_on
""",
    "connectors.d/facilities.yaml": """\
connector: facilities
agency: cn-nm
source: {kind: files, path: data/facilities.csv, nulls: [""]}
publish:
  topic: cn-nm.facility.facility.v1
  schema: facility/facility.avsc
  fields:
    facility_id: 编号
    name: 名称
    kind: CASE 名称 WHEN '图书馆' THEN 'LIBRARY' WHEN '卫生室' THEN 'CLINIC' ELSE 'OTHER' END
    operator_id: uscc(信用代码)
    division_code: division_code('150203')
    settlement: "'UNKNOWN'"
    location: >-
      CASE 坐标 WHEN '百度' THEN to_wgs84(to_double(经度), to_double(纬度), 'BD-09')
      WHEN '高德' THEN to_wgs84(to_double(经度), to_double(纬度), 'GCJ-02')
      ELSE to_wgs84(to_double(经度), to_double(纬度), 'CGCS2000') END
    opened_on: parse_period(启用).start
""",
    "connectors.d/capacity.yaml": """\
connector: capacity
agency: cn-nm
source: {kind: files, path: data/capacity.csv}
publish:
  topic: cn-nm.facility.capacity.v1
  schema: facility/capacity.avsc
  fields:
    facility_id: 编号
    period: parse_period(时期)
    measure: "'BEDS'"
    capacity: to_double(床位)
    used: to_double(使用)
    unit: "'BED_DAYS'"
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_files(tmp_path, FILES)
    (tmp_path / "secrets.d" / "JOIN_KEY").chmod(0o600)
    (tmp_path / "datong.yaml").write_text("", encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    (data / "people.csv").write_bytes(PEOPLE.encode("gb18030"))
    (data / "facilities.csv").write_text("\ufeff" + FACILITIES, encoding="utf-8")
    (data / "capacity.csv").write_bytes(CAPACITY.encode("gb18030"))
    return tmp_path


def seen(project: Path, connector: str) -> list[PreviewRow]:
    """What `datong preview` shows."""
    loaded = load_settings(project)
    catalogue, settings = read_catalogue(loaded), loaded.settings
    assert catalogue.mistakes == ()
    spec = catalogue.connectors[connector]
    plan = draft(spec, catalogue, settings)
    return preview(plan, open_source(spec, settings, columns=frozenset(columns_used(plan.mapping))), 20)


def token(number: str) -> str:
    return hmac.new(KEY.encode(), number.encode(), hashlib.sha256).hexdigest()


def test_people_of_a_register_in_gb18030(project: Path) -> None:
    rows = seen(project, "people")
    assert [(r.outcome, r.path) for r in rows] == [
        ("published", ""),
        ("published", ""),
        ("published", ""),
        ("BAD_CHECK_DIGIT", "person_id"),
        ("published", ""),
        ("AMBIGUOUS_DATE", "born_on"),
        ("BAD_PHONE", "phone"),
        ("published", ""),
        ("FUTURE_DATE", "person_id"),
    ]
    assert all(r.explanation for r in rows if r.outcome != "published")
    results = [r.result for r in rows if r.result]
    wanted = ("person_id", "sex", "ethnicity", "born_on", "residence_code", "registered_code", "phone")
    woman = token("11010519491231002X")
    assert [tuple(result[name] for name in wanted) for result in results] == [
        (woman, "2", "01", "1949-12-31", "110105", "110105", "+8613800138000"),
        (woman, "2", "01", "1949-12-31", "110118", "110228", "+8613800138000"),
        (token("440524188001010014"), "1", "01", "1880-01-01", "440513", "440524", "+861062552288"),
        (token("150203196704010013"), "2", "01", "1967-04-01", "150203", "150203", "12345"),
        (token("810000199001010019"), "1", "97", "1990-01-01", "810000", "810000", None),
    ]


def test_facilities_on_the_maps_of_three_companies_are_one_place(project: Path) -> None:
    rows = seen(project, "facilities")
    assert [(r.outcome, r.path) for r in rows] == [
        ("published", ""),
        ("published", ""),
        ("BAD_COORDINATE", "location.longitude"),  # exchanged
        ("BAD_CHECK_DIGIT", "operator_id"),
    ]
    assert "exchanged" in rows[2].explanation
    for row in rows[:2]:
        assert row.result is not None
        place = row.result["location"]
        assert (round(place["longitude"], 5), round(place["latitude"], 5)) == (109.8403, 40.6574)
        assert place["datum"] == "WGS84"
        assert (row.result["operator_id"], row.result["opened_on"]) == ("12150203MB0001AB70", "2001-05-01")


def test_periods_become_records(project: Path) -> None:
    rows = seen(project, "capacity")
    assert [(r.outcome, r.path) for r in rows] == [("published", ""), ("published", ""), ("BAD_PERIOD", "period.start")]
    assert rows[0].result is not None
    assert {k: str(v) for k, v in rows[0].result["period"].items()} == {
        "start": "2023-07-01",
        "end": "2023-09-30",
        "precision": "quarter",
    }


def datong(*arguments: str, cwd: Path) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hub.cli.main", *arguments, "--json"]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert KEY not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_R14_a_run_counts_and_warns_and_never_says_the_key(project: Path) -> None:
    (project / "data" / "people.csv").write_bytes("\n".join(PEOPLE.splitlines()[:4]).encode("gb18030") + b"\n")
    result = datong("run", "people", cwd=project)["runs"][0]
    totals = result["totals"]
    assert (totals["read"], totals["published"], totals["quarantined"]) == (3, 2, 1)
    assert result["reasons"] == {"DUPLICATE_KEY": 1}  # the same woman, once with 15 digits
    assert result["warnings"]["RETIRED_REGION"] >= 1
    assert not [p for p in (project / "var").rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]


def test_R35_a_key_that_is_not_there_is_named_and_files_without_it_are_still_checked(project: Path) -> None:
    (project / "secrets.d" / "JOIN_KEY").unlink()
    assert read_catalogue(load_settings(project)).mistakes == ()
    with pytest.raises(ConfigurationInvalid, match="the secret JOIN_KEY is not there") as refused:
        seen(project, "people")
    assert "secrets.d/JOIN_KEY" in refused.value.remedy


def test_S_a_key_in_a_file_is_a_mistake(project: Path) -> None:
    path = project / "connectors.d" / "people.yaml"
    path.write_text(path.read_text("utf-8").replace("${secret:JOIN_KEY}", KEY), encoding="utf-8")
    (mistake,) = read_catalogue(load_settings(project)).mistakes
    assert "a key does not stand in a file" in mistake.message
    assert KEY not in str(mistake)

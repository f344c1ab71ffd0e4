"""The workload: a departmental CSV extract of 17 text columns, 146 bytes a line, about 0.5 % bad rows, and its project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WEIGHTS = np.array([2, 3, 4, 5, 6, 7, 8, 9, 2, 3])
LAST = np.array(
    ["Andersson", "  O'Brien", "van der Berg ", "Müller", "Papadopoulos", "Li", "Kowalczyk", "Nguyen", "Smith"]
)
FIRST = np.array(
    ["Anna", "Bo Erik", "Carla Maria", "D'Arcy", "Émile", "Fatima", "Giorgos", "", "Ivan Petrov", "José Luis"]
)
STREET = np.array(
    ["High Street", "Rue de la Gare", "Hauptstraße", "Via Roma", "Storgatan", "Calle Mayor", "Station Road"]
)
CITY = np.array(["Springfield", "Aix", "Göteborg", "Porto", "Newcastle upon Tyne", "Gdynia"])
TAGS = np.array(["", "housing", "housing|child", "disability", "child|single-parent|review", "pension|housing"])
HEADER = (
    "RECNO,NAT_ID,SURNAME,FORENAMES,DOB,SEX_CD,STATUS_CD,MUNI_CD,AMT,HH_SIZE,UPD_TS,STREET,PCODE,CITY,CTRY,TAGS,PHONE"
)
AT_ONCE = 100_000

SCHEMA = {
    "type": "record",
    "name": "Benefit",
    "namespace": "bench",
    "fields": [
        {"name": "record_id", "type": "long"},
        {"name": "person_id", "type": "string"},
        {"name": "family_name", "type": "string"},
        {"name": "given_names", "type": ["null", "string"], "default": None},
        {"name": "birth_date", "type": {"type": "int", "logicalType": "date"}},
        {"name": "sex", "type": {"type": "enum", "name": "Sex", "symbols": ["UNKNOWN", "FEMALE", "MALE", "OTHER"]}},
        {"name": "status", "type": "string"},
        {"name": "municipality", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "household_size", "type": ["null", "int"], "default": None},
        {"name": "updated_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "address",
            "type": {
                "type": "record",
                "name": "Address",
                "fields": [
                    {"name": "street", "type": "string"},
                    {"name": "postcode", "type": "string"},
                    {"name": "city", "type": "string"},
                    {"name": "country", "type": ["null", "string"], "default": None},
                ],
            },
        },
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "phone", "type": ["null", "string"], "default": None},
    ],
}
CONNECTOR = """\
connector: benefits
agency: bench
source: {{kind: files, path: "data/*.csv", nulls: [], stable_after_s: 0}}
publish:
  topic: bench.social.benefit.v1
  schema: benefit.avsc
  key: [person_id]
  mode: {mode}
  fields:
    record_id: to_long(RECNO)
    person_id: trim(NAT_ID)
    family_name: upper(trim(SURNAME))
    given_names: nullif(trim(FORENAMES), '')
    birth_date: to_date(DOB, '%Y-%m-%d', '%d/%m/%Y', '%d.%m.%Y')
    sex: code(SEX_CD, 'bench.sex', 'bench.symbol')
    status: code(STATUS_CD, 'bench.status', 'bench.status.name')
    municipality: code(MUNI_CD, 'bench.muni', 'bench.muni.name')
    amount: to_double(AMT)
    household_size: to_int(nullif(HH_SIZE, ''))
    updated_at: to_timestamp(UPD_TS, '%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%SZ', 'UTC')
    address:
      street: trim(STREET)
      postcode: trim(PCODE)
      city: trim(CITY)
      country: nullif(CTRY, '')
    tags: split(TAGS, '|')
    phone: concat('********', substr(nullif(PHONE, ''), 9))
  checks:
    eleven_digits: matches(person_id, '^[0-9]{{11}}$')
    amount_in_range: amount >= 0 AND amount < 5300
    household: household_size BETWEEN 0 AND 50
"""


def write_project(directory: Path, rows: int, *, mode: str = "append", seed: int = 7) -> None:
    """A project whose one connector reads `rows` generated rows."""
    (directory / "data").mkdir(parents=True, exist_ok=True)
    for folder in ("connectors.d", "topics.d", "schemas/codes"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "datong.yaml").write_text("http: {port: 8080}\n")
    (directory / "agencies.yaml").write_text("agencies:\n  - {id: bench, name: {en: Benchmark, zh: 基准}}\n")
    (directory / "connectors.d/benefits.yaml").write_text(CONNECTOR.format(mode=mode))
    topic = "topic: bench.social.benefit.v1\ntitle: {en: Benefits, zh: 津贴}\npartitions: 4\n"
    (directory / "topics.d/benefit.yaml").write_text(topic)
    (directory / "schemas/benefit.avsc").write_text(json.dumps(SCHEMA))
    _codes(directory / "schemas/codes")
    write_rows(directory / "data/extract.csv", rows, seed)


def _codes(folder: Path) -> None:
    lists = {
        "bench.sex": ["code,to:bench.symbol", "M,MALE", "1,MALE", "F,FEMALE", "2,FEMALE", "X,OTHER", "9,UNKNOWN"],
        "bench.status": ["code,name", *[f"S{i:02d},STATUS_{'ACTIVE' if i % 2 else 'CLOSED'}_{i}" for i in range(40)]],
        "bench.muni": ["code,name", *[f"{1000 + i},Municipality {chr(65 + i % 26)}{i}" for i in range(400)]],
    }
    for name, lines in lists.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        about = f'list: {name}\nversion: "1"\ntitle: {{en: {name}, zh: 代码}}\nsource: generated\nlicence: Apache-2.0\n'
        (folder / f"{name}.yaml").write_text(about)


def write_rows(path: Path, rows: int, seed: int) -> None:
    """The same bytes for the same seed."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\n")
        for start in range(0, rows, AT_ONCE):
            out.write(_chunk(rng, start + 1, min(AT_ONCE, rows - start)))


def _chunk(rng: np.random.Generator, start: int, n: int) -> str:
    digits = rng.integers(0, 10, (n, 10))
    check = (digits * WEIGHTS).sum(1) % 11 % 10
    number = (digits * 10 ** np.arange(9, -1, -1)).sum(1)
    short = rng.random(n) < 0.003
    days = rng.integers(-18000, 15000, n).astype("datetime64[D]").astype(str)
    form = rng.integers(0, 3, n)
    broken = rng.random(n) < 0.002
    stamps = (1_700_000_000 + rng.integers(0, 40_000_000, n)).astype("datetime64[s]").astype(str)
    zulu = rng.random(n) < 0.3
    columns = [rng.integers(0, k, n) for k in (9, 10, 6, 40, 400, 8, 7, 6, 4, 6)]
    last, first, sex, status, muni, size, street, city, country, tags = columns
    amount = np.round(rng.gamma(2, 400, n) % 5000, 2)
    house, postcode = rng.integers(1, 300, n), rng.integers(10000, 99999, n)
    phone, silent = rng.integers(700_000_000, 799_999_999, n), rng.random(n) < 0.2
    lines = []
    for i in range(n):
        year, month, day = days[i].split("-")
        date = (days[i], f"{day}/{month}/{year}", f"{day}.{month}.{year}")[form[i]]
        person = f"{number[i]:010d}{check[i]}"
        lines.append(
            f"{start + i},{person[:10] if short[i] else person},{LAST[last[i]]},{FIRST[first[i]]},"
            f"{'31/02/1999' if broken[i] else date},{'MF12X9'[sex[i]]},S{status[i]:02d},{1000 + muni[i]},{amount[i]},"
            f"{size[i] or ''},{stamps[i] + 'Z' if zulu[i] else stamps[i].replace('T', ' ')},"
            f"{STREET[street[i]]} {house[i]},{postcode[i]},{CITY[city[i]]},{('SE', 'DE', 'FR', '')[country[i]]},"
            f"{TAGS[tags[i]]},{'' if silent[i] else f'+46{phone[i]}'}\n"
        )
    return "".join(lines)

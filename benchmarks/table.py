"""`python -m benchmarks.table load|copy|read …`: the extract as a PostgreSQL table, and what reads it. The server is named
by libpq's variables (PGHOST …)."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import psycopg

TABLE, ONE = "benefit", "benefit_one"
COLUMNS = (
    "recno bigint PRIMARY KEY, nat_id text NOT NULL, surname text, forenames text, dob text, sex_cd text,"
    " status_cd text, muni_cd int, amt double precision, hh_size int, upd_ts timestamptz, street text, pcode int,"
    " city text, ctry text, tags text, phone text"
)
EMPTY_TEXTS = "forenames, ctry, tags, phone"  # as in the extract: no NULL
FIELDS = """\
    record_id: recno
    person_id: trim(nat_id)
    family_name: upper(trim(surname))
    given_names: nullif(trim(forenames), '')
    birth_date: to_date(dob, '%Y-%m-%d', '%d/%m/%Y', '%d.%m.%Y')
    sex: code(sex_cd, 'bench.sex', 'bench.symbol')
    status: code(status_cd, 'bench.status', 'bench.status.name')
    municipality: code(CAST(muni_cd AS TEXT), 'bench.muni', 'bench.muni.name')
    amount: amt
    household_size: hh_size
    updated_at: upd_ts
    address:
      street: trim(street)
      postcode: CAST(pcode AS TEXT)
      city: trim(city)
      country: nullif(ctry, '')
    tags: split(tags, '|')
    phone: concat('********', substr(nullif(phone, ''), 9))
"""


def load(extract: Path) -> dict[str, Any]:
    """Two tables: one with all rows, one with the first; vacuumed, so that all readers find them the same."""
    with psycopg.connect(autocommit=True, options="-c TimeZone=UTC") as connection:
        for name in (TABLE, ONE):
            connection.execute(f"CREATE TABLE {name} ({COLUMNS})")
        options = f"FORMAT csv, HEADER, FORCE_NOT_NULL ({EMPTY_TEXTS})"
        with connection.cursor().copy(f"COPY {TABLE} FROM STDIN ({options})") as copy, extract.open("rb") as file:
            while piece := file.read(1 << 20):
                copy.write(piece)
        connection.execute(f"INSERT INTO {ONE} SELECT * FROM {TABLE} ORDER BY recno LIMIT 1")
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {TABLE}, {ONE}")
        connection.execute("CHECKPOINT")
        (rows,) = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone() or (0,)
    return {"read": rows, "accepted": rows, "rejected": 0}


def copy() -> dict[str, Any]:
    """COPY in binary to nowhere: the server's own limit. From before the connection to the last byte."""
    wall, cpu = time.perf_counter(), time.process_time()
    size = 0
    with (
        psycopg.connect() as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {TABLE} TO STDOUT (FORMAT binary)") as answer,
    ):
        for piece in answer:
            size += len(piece)
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    with psycopg.connect() as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone() or (0,)
    return {"read": rows, "accepted": rows, "rejected": 0, "bytes": size, **took}


def read(project: Path, connector: str) -> dict[str, Any]:
    """The connector's source, all its batches dropped. From before the connection to the last batch."""
    from threading import Event

    from hub.builder import draft, open_source
    from hub.mapping.program import columns_used
    from hub.project import read_catalogue
    from hub.settings import load_settings

    loaded = load_settings(project)
    catalogue = read_catalogue(loaded)
    spec = catalogue.connectors[connector]
    plan = draft(spec, catalogue, loaded.settings)
    source = open_source(spec, loaded.settings, columns=frozenset(columns_used(plan.mapping)))
    wall, cpu = time.perf_counter(), time.process_time()
    rows = sum(batch.read for batch in source.batches(None, Event()))
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    source.close()
    return {"read": rows, "accepted": rows, "rejected": 0, **took}


def main() -> None:
    """Run one of them and print what it did."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    loading = verbs.add_parser("load")
    loading.add_argument("extract", type=Path)
    loading.set_defaults(do=lambda chosen: load(chosen.extract))
    verbs.add_parser("copy").set_defaults(do=lambda _chosen: copy())
    reading = verbs.add_parser("read")
    reading.add_argument("project", type=Path)
    reading.add_argument("connector")
    reading.set_defaults(do=lambda chosen: read(chosen.project, chosen.connector))
    chosen = parser.parse_args()
    print(json.dumps(chosen.do(chosen)))


if __name__ == "__main__":
    main()

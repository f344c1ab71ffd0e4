"""The city's departmental database, built from its published requests: what the `sql` source pulls from in the demo."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

SOURCE = Path("data/alessandria/segnalazioni-municipium_2023-2024.csv")
DATABASE = Path("data/alessandria/requests.db")
TABLE = """
CREATE TABLE richieste (
    Id INTEGER PRIMARY KEY,
    Stato TEXT NOT NULL,
    Anno INTEGER NOT NULL,
    Creato DATE NOT NULL,
    Chiusa DATE,
    DescrizioneBreve TEXT,
    Categoria TEXT,
    updated_at DATE NOT NULL
)
"""
INSERT = "INSERT OR REPLACE INTO richieste VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def ensure(project: Path) -> None:
    """Build the database of a project unless it is there; take over what changed in its file since."""
    source, database = project / SOURCE, project / DATABASE
    if not database.exists():
        build(source, database)
    elif source.stat().st_mtime >= database.stat().st_mtime:
        update(source, database, datetime.fromtimestamp(source.stat().st_mtime, UTC).date())


def build(source: Path, database: Path) -> int:
    """All requests; `updated_at` is the closing date, else the creation date, so that closing a case is seen."""
    rows = _rows(source)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(TABLE)
        connection.executemany(INSERT, rows)
        connection.commit()
    return len(rows)


def update(source: Path, database: Path, on: date) -> int:
    """Requests that are new or changed get `on` as `updated_at`, as in a department's own table."""
    with closing(sqlite3.connect(database)) as connection:
        known = {row[0]: row[:-1] for row in connection.execute("SELECT * FROM richieste")}
        changed = [(*row[:-1], on.isoformat()) for row in _rows(source) if known.get(row[0]) != row[:-1]]
        connection.executemany(INSERT, changed)
        connection.commit()
    database.touch()
    return len(changed)


def _rows(source: Path) -> list[tuple[Any, ...]]:
    with source.open(encoding="utf-8", newline="") as handle:
        return [_row(r) for r in csv.DictReader(handle, delimiter=";")]


def _row(row: dict[str, str]) -> tuple[Any, ...]:
    created = date.fromisoformat(row["Creato"]).isoformat()
    closed = date.fromisoformat(row["Chiusa"]).isoformat() if row["Chiusa"] else None
    category = row["Categoria"] or None
    what = (int(row["Id"]), row["Stato"], int(row["Anno"]))
    return (*what, created, closed, row["DescrizioneBreve"], category, closed or created)

"""The city's departmental database, built from its published requests: what the `sql` source pulls from in the demo."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

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


def ensure(project: Path) -> None:
    """Build the database of a project unless it is there."""
    if not (project / DATABASE).exists():
        build(project / SOURCE, project / DATABASE)


def build(source: Path, database: Path) -> int:
    """All requests; `updated_at` is the closing date, else the creation date, so that closing a case is seen."""
    with source.open(encoding="utf-8", newline="") as handle, closing(sqlite3.connect(database)) as connection:
        rows = [_row(r) for r in csv.DictReader(handle, delimiter=";")]
        connection.execute(TABLE)
        connection.executemany("INSERT INTO richieste VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    return len(rows)


def _row(row: dict[str, str]) -> tuple[object, ...]:
    created = date.fromisoformat(row["Creato"]).isoformat()
    closed = date.fromisoformat(row["Chiusa"]).isoformat() if row["Chiusa"] else None
    category = row["Categoria"] or None
    what = (int(row["Id"]), row["Stato"], int(row["Anno"]))
    return (*what, created, closed, row["DescrizioneBreve"], category, closed or created)

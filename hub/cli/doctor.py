"""`datong doctor`: what a person would check first when something does not work."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hub.errors import DatongError
from hub.model import Finding

MIN_FREE_BYTES = 1024**3


def examine(project: Path) -> list[Finding]:
    """All findings. Reads only; never stops at the first."""
    from hub.settings import load_settings

    findings = [_sqlite()]
    try:
        loaded = load_settings(project)
    except DatongError as error:
        return [*findings, Finding(name="settings", ok=False, detail=str(error), remedy="mend datong.yaml")]
    findings.append(Finding(name="settings", ok=True, detail=f"project {project.name}"))
    data = loaded.settings.data_path
    findings += _disk(data if data.exists() else project)
    findings += _catalogue(project)
    findings += list(_hub(data))
    return findings


def _sqlite() -> Finding:
    ok = sqlite3.sqlite_version_info >= (3, 35, 0)
    return Finding(name="SQLite", ok=ok, detail=sqlite3.sqlite_version, remedy="Python's SQLite must be 3.35 or newer")


def _disk(path: Path) -> list[Finding]:
    free = shutil.disk_usage(path).free
    return [
        Finding(
            name="disk",
            ok=free > MIN_FREE_BYTES,
            detail=f"{free / 1024**3:.1f} GiB free",
            remedy="free some space: appends fail when the disk is full",
        )
    ]


def _catalogue(project: Path) -> list[Finding]:
    from hub.cli.author import load_catalogue

    catalogue = load_catalogue(project)
    mistakes = [Finding(name="configuration", ok=False, detail=str(m), remedy="") for m in catalogue.mistakes]
    if mistakes:
        return mistakes
    counts = f"{len(catalogue.connectors)} connectors, {len(catalogue.topics)} topics, {len(catalogue.grants)} grants"
    return [Finding(name="configuration", ok=True, detail=counts)]


def _hub(data: Path) -> Iterator[Finding]:
    import httpx

    from hub.directory import Directory

    running = Directory(data).running() if data.exists() else None
    if running is None:
        yield Finding(name="hub", ok=True, detail="not running; commands open the data directory themselves")
        return
    try:
        answer = httpx.get(f"{running.url}/readyz", timeout=5.0, trust_env=False)
        served = datetime.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC)
        skew = abs((datetime.now(UTC) - served).total_seconds())
        yield Finding(name="hub", ok=answer.status_code == 200, detail=f"{running.url} {answer.json()['checks']}")
        yield Finding(name="clock", ok=skew < 5, detail=f"{skew:.0f} s apart", remedy="set the clock by NTP")
    except (httpx.HTTPError, KeyError, ValueError):
        yield Finding(
            name="hub", ok=False, detail=f"{running.url} does not answer", remedy="restart it with `datong serve`"
        )

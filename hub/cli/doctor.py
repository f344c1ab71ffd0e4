"""`datong doctor` and `datong fsck`: what a person would check first when something does not work."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import load_project
from hub.errors import ConfigurationInvalid, DatongError
from hub.findings import Finding

if TYPE_CHECKING:
    from hub.settings import Loaded

MIN_FREE_BYTES = 1024**3
MAX_SKEW_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(doctor)
    app.command()(fsck)


def doctor(project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Check this project and its hub: configuration, sources, log, clock, disk. Example: datong doctor"""
    out = Output(as_json=as_json)
    findings = examine(project)
    if as_json:
        out.data({"findings": [vars(f) for f in findings]})
    print_findings(out, findings)
    return 0 if all(f.ok for f in findings) else 1


def print_findings(out: Output, findings: Sequence[Finding]) -> None:
    """A line for each, and the next step where one is wrong."""
    for finding in findings:
        out.line(
            f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}  {finding.detail}", style=None if finding.ok else "red"
        )
        if finding.remedy:
            out.line(f"      {'' if finding.ok else 'next: '}{finding.remedy}")


def examine(project: Path | None) -> list[Finding]:
    """All findings. Reads only; never stops at the first."""
    findings = [_sqlite()]
    try:
        loaded = load_project(project)
    except DatongError as error:
        mistakes = error.mistakes if isinstance(error, ConfigurationInvalid) else ()
        return [
            *findings,
            Finding(name="settings", ok=False, detail="; ".join((error.message, *mistakes)), remedy=error.remedy),
        ]
    settings = loaded.settings
    findings.append(Finding(name="settings", ok=True, detail=f"project {settings.root.name}"))
    findings += _disk(settings.data_path if settings.data_path.exists() else settings.root)
    findings += _catalogue(loaded)
    findings += list(_hub(settings.data_path))
    return findings


def _sqlite() -> Finding:
    ok = sqlite3.sqlite_version_info >= (3, 35, 0)
    remedy = "" if ok else "Python's SQLite must be 3.35 or newer"
    return Finding(name="SQLite", ok=ok, detail=sqlite3.sqlite_version, remedy=remedy)


def _disk(path: Path) -> list[Finding]:
    free = shutil.disk_usage(path).free
    ok = free > MIN_FREE_BYTES
    remedy = "" if ok else "free some space: appends fail when the disk is full"
    return [Finding(name="disk", ok=ok, detail=f"{free / 1024**3:.1f} GiB free", remedy=remedy)]


def _catalogue(loaded: Loaded) -> list[Finding]:
    from hub.builder import check_source
    from hub.project import read_catalogue

    catalogue = read_catalogue(loaded, look=True)
    mistakes = [Finding(name="configuration", ok=False, detail=str(m), remedy="") for m in catalogue.mistakes]
    counts = f"{len(catalogue.connectors)} connectors, {len(catalogue.topics)} topics, {len(catalogue.grants)} grants"
    sources = [
        replace(finding, name=f"source of {name}", detail=f"{finding.name}: {finding.detail}")
        for name, spec in sorted(catalogue.connectors.items())
        for finding in check_source(spec, loaded.settings).findings
    ]
    told = [Finding(name="note", ok=True, detail=str(note), remedy="") for note in catalogue.warnings]
    return [*(mistakes or [Finding(name="configuration", ok=True, detail=counts)]), *told, *sources]


def _notices(url: str, token: str) -> Iterator[Finding]:
    """What the hub itself says of its log."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{url}/api/v1/notices", headers=headers, timeout=5.0, trust_env=False).raise_for_status()
    for notice in answer.json()["notices"]:
        yield Finding(**notice)


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
        yield from _notices(running.url, Directory(data).operator_token())
        remedy = "" if skew < MAX_SKEW_S else "set the clock by NTP"
        yield Finding(name="clock", ok=skew < MAX_SKEW_S, detail=f"{skew:.0f} s apart", remedy=remedy)
    except (httpx.HTTPError, KeyError, ValueError):
        yield Finding(
            name="hub", ok=False, detail=f"{running.url} does not answer", remedy="restart it with `datong serve`"
        )


def fsck(project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Read every block of the log: checksums, and on Kafka whole batches too. Example: datong fsck

    On SQLite the hub must be stopped."""
    from hub.cli.fsck import check_kafka, check_sqlite

    settings = load_project(project).settings
    return (check_kafka if settings.log.url else check_sqlite)(settings, Output(as_json=as_json))

"""`datong run`: connectors run once, now, and what became of every row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted
from hub.cli.session import Api, connector_name, open_api
from hub.errors import ConfigurationInvalid, DatongError, NotFound

POLL_S = 0.2
TOTALS = ("read", "published", "quarantined", "filtered", "unchanged", "deduplicated", "deleted")
ALWAYS_SHOWN = TOTALS[:3]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    connectors: Annotated[list[str] | None, typer.Argument(help="Connector names or files; none means all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    accept_deletions: Annotated[
        bool,
        typer.Option("--accept-deletions", help="Publish deletions even when more than a tenth of the keys is gone."),
    ] = False,
) -> int:
    """Run connectors once, now, and wait for them. Example: datong run it-istat-divisions"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        names, left_out = _names(api, out, connectors or [])
        ended = run_connectors(api, out, names, accept_deletions=accept_deletions)
    show_runs(out, ended)
    return worst(ended) or (ConfigurationInvalid.exit_code if left_out else 0)


def worst(ended: list[dict[str, Any]]) -> int:
    """The exit code of a command that waited for these runs."""
    return max((int(r["exit_code"]) for r in ended), default=0)


def _names(api: Api, out: Output, given: list[str]) -> tuple[list[str], bool]:
    """The connectors to run, and whether one of all that were asked for is left out for a mistake in its files."""
    mistakes = api.post("/reload")["mistakes"]
    if given:
        names, missing = [connector_name(g) for g in given], False
    else:
        names = [c["name"] for c in api.get("/connectors")["connectors"]]
        missing = any(not m.startswith(("grants.d/", "subscriptions.d/", "alerts.d/")) for m in mistakes)
    if not names and mistakes:
        raise ConfigurationInvalid("no connector of this project can be used", mistakes=tuple(mistakes))
    if not names:
        raise NotFound("this project has no connectors", remedy="write one in connectors.d/, see docs/tutorial.md")
    for mistake in mistakes:
        out.note(f"left out: {mistake}")
    return names, missing


def run_connectors(api: Api, out: Output, names: list[str], *, accept_deletions: bool = False) -> list[dict[str, Any]]:
    """Start each, wait for it and show how far it is. A connector that cannot start counts as a failed run."""
    ended = []
    with out.progress() as bar:
        for name in names:
            line = bar.add_task(name, total=None, detail="")
            try:
                started = api.post(f"/connectors/{name}/runs", {"accept_deletions": accept_deletions})
                record = follow(api, name, started["run"], lambda text, t=line: bar.update(t, detail=text))
            except DatongError as error:
                record = not_started(name, error)
            ended.append(record)
            bar.update(line, total=1, completed=1)
    return ended


def follow(api: Api, name: str, run: str, show: Any) -> dict[str, Any]:
    """Wait for the end of a run; `show` is given a text of how far it is."""

    def told(record: dict[str, Any]) -> None:
        totals = record["totals"]
        if record["state"] == "running" and record["worker"] is None:
            show("waits for a worker")
        else:
            show(f"{totals['read']:,} read · {totals['published']:,} published · {totals['quarantined']:,} quarantined")

    return ended_run(api, f"/connectors/{name}/runs/{run}", told)


def ended_run(api: Api, path: str, show: Callable[[dict[str, Any]], object] = lambda _record: None) -> dict[str, Any]:
    """Wait for the end of the run at a path of the API; `show` is given its record at each look."""
    while True:
        record: dict[str, Any] = api.get(path, wait_ms=int(POLL_S * 1000))
        show(record)
        if record["state"] != "running":
            return record
        if not api.local:
            time.sleep(POLL_S / 4)


def not_started(name: str, error: DatongError) -> dict[str, Any]:
    """The record of a run that could not."""
    nothing = {"topic": None, "totals": dict.fromkeys(TOTALS, 0), "reasons": {}, "warnings": {}}
    return {"connector": name, **nothing, **not_begun(error)}


def not_begun(error: DatongError) -> dict[str, Any]:
    """What the record of a run has in common that could not start."""
    return {"run": None, "state": "failed", "notes": [], "error": error.told, "exit_code": error.exit_code or 1}


def show_runs(out: Output, ended: list[dict[str, Any]]) -> None:
    """The result of a command that waited for runs."""
    if out.as_json:
        out.data({"runs": ended})
    print_runs(out, ended)


def print_runs(out: Output, ended: list[dict[str, Any]]) -> None:
    """A table of runs, then what was wrong with any."""
    totals_table(out, ended, "connector")
    for record in ended:
        name = record["connector"]
        for reason, count in sorted(record["reasons"].items()):
            out.line(f"  {name}: {counted(count, 'row')} quarantined, {reason}", style="yellow")
        for reason, count in sorted(record["warnings"].items()):
            out.line(f"  {name}: {counted(count, 'warning')}, {reason}")
        for note in record.get("notes", ()):
            out.line(f"  {name}: {note}")
        if record["error"]:
            out.line(f"  {name}: {record['error']}", style="red")


def totals_table(out: Output, ended: list[dict[str, Any]], first: str) -> None:
    """Runs by their field `first`. What is 0 in all of them is left out, and the state where all completed, so that the
    table fits on a narrow terminal."""
    sums = {t: sum(r["totals"].get(t, 0) for r in ended) for t in (*TOTALS, "superseded", "discarded")}
    shown = [t for t in sums if sums[t] or t in ALWAYS_SHOWN]
    states = ["state"] if any(r["state"] != "completed" for r in ended) else []
    rows = [[r[first], *[r["totals"].get(t, 0) for t in shown], *[r[s] for s in states]] for r in ended]
    out.table(rows, [first, *[f"{t}>" for t in shown], *states])

"""`datong subscription`: what the hub pushes to subscribers' own systems."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.operate import steer
from hub.cli.output import Output, counted
from hub.cli.runs import ended_run, not_begun, worst
from hub.cli.session import Api, open_api
from hub.errors import DatongError

Name = Annotated[str, typer.Argument(help="The subscription's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List and steer subscriptions that the hub pushes.", no_args_is_help=True)
    group.command("list")(list_subscriptions)
    group.command("show")(show_subscription)
    group.command()(pause)
    group.command()(resume)
    group.command()(run)
    group.command("dead-letters")(dead_letters)
    app.add_typer(group, name="subscription")


def list_subscriptions(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """All subscriptions with their state. Example: datong subscription list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/subscriptions")
    if as_json:
        out.data(listed)
    rows = [
        [s["name"], _reads(s), s["kind"], s["state"], s["dead_letters"], s["reason"]] for s in listed["subscriptions"]
    ]
    out.table(rows, ["subscription<", "reads", "sink", "state", "dead letters>", "reason"])


def show_subscription(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """One subscription: state, lag, last run. Example: datong subscription show planning-table"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.get(f"/subscriptions/{name}")
    if as_json:
        out.data(found)
        return
    facts = ("name", "group", "kind", "state", "reason", "worker", "next_run", "lag", "dead_letters")
    last = found["last_run"] or {"state": None, "error": None}
    rows = [["reads", _reads(found)], *[[f.replace("_", " "), found[f]] for f in facts]]
    out.table([*rows, ["last run", last["state"]], ["its error", last["error"] or None]], ["fact", "value"])


def _reads(found: dict[str, Any]) -> str:
    return f"grant {found['grant']}" if found["grant"] else f"{found['topic']} as {found['agency']}"


def pause(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Let the batch under way end and push no more. Example: datong subscription pause planning-table"""
    steer(project, "subscriptions", name, "pause", as_json)


def resume(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Push a paused or failed subscription again. Example: datong subscription resume planning-table"""
    steer(project, "subscriptions", name, "resume", as_json)


def run(
    subscriptions: Annotated[list[str] | None, typer.Argument(help="Their names; none means all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    once: Annotated[
        bool, typer.Option("--once", help="End when all there is was pushed, instead of going on until interrupted.")
    ] = False,
) -> int:
    """Push now: for a project that no hub serves, which would do it by itself. Example: datong subscription run
    planning-table --once"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.post("/reload")
        names = subscriptions or [s["name"] for s in api.get("/subscriptions")["subscriptions"]]
        started = {name: _start(api, name, once) for name in names}
        ended = [
            ended_run(api, f"/subscriptions/{name}/runs/{run}") if isinstance(run, str) else run
            for name, run in started.items()
        ]
    if as_json:
        out.data({"runs": ended})
    for record in ended:
        for note in record["notes"]:
            out.line(f"  {record['subscription']}: {note}")
        if record["error"]:
            out.line(f"  {record['subscription']}: {record['error']}", style="red")
    rows = [
        [r["subscription"], r["totals"].get("published", 0), r["totals"].get("deleted", 0), r["state"]] for r in ended
    ]
    out.table(rows, ["subscription<", "pushed>", "of them deletions>", "state"])
    return worst(ended)


def _start(api: Api, name: str, once: bool) -> str | dict[str, Any]:
    """The run's id, or why there is none."""
    try:
        return str(api.post(f"/subscriptions/{name}/runs", {"once": once})["run"])
    except DatongError as error:
        return {"subscription": name, "totals": {}, **not_begun(error)}


def dead_letters(
    name: Name,
    retry: Annotated[bool, typer.Option("--retry", help="Have those that are open sent again.")] = False,
    letter: Annotated[str | None, typer.Option("--id", help="With --retry: only this one.", show_default=False)] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Batches that a receiver did not take, by their offsets. Example: datong subscription dead-letters
    planning-hook --retry"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        asked = api.post(f"/subscriptions/{name}/dead-letters/retry", {"id": letter})["waiting"] if retry else 0
        found = api.get(f"/subscriptions/{name}/dead-letters")
    if as_json:
        out.data({**found, "asked": asked})
    rows = [
        [d["id"], d["partition"], d["from"], d["to"], d["status"], d["since"], d["reason"]]
        for d in found["dead_letters"]
    ]
    out.table(rows, ["id<", "partition>", "from>", "to>", "status", "since", "reason"])
    if retry:
        out.line(f"{counted(asked, 'dead letter')} will be sent again by the run that pushes")
        if api.local:
            out.note(f"no hub serves this project: `datong subscription run {name} --once` sends them")

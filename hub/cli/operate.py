"""Commands of an operator: connectors, nodes, tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.runs import run, run_connectors, show_runs, totals_table, worst
from hub.cli.session import open_api
from hub.errors import ConfigurationInvalid

Name = Annotated[str, typer.Argument(help="The connector's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(reload)
    app.command()(nodes)
    app.add_typer(_connector(), name="connector")
    app.add_typer(_token(), name="token")


def nodes(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the processes that share this hub's work, and what each runs now. Example: datong nodes"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/nodes")
    if as_json:
        out.data(listed)
    rows = [
        [n["name"], n["role"], "alive" if n["alive"] else f"silent for {n['silent_s']:.0f} s", ", ".join(n["runs"])]
        for n in listed["nodes"]
    ]
    out.table(rows, ["node", "role", "sign of life", "runs"])


def reload(project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Let the running hub read connectors, topics and grants again; what a grant loses is gone at once. Example: datong
    reload"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        answer = api.post("/reload")
    if as_json:
        out.data({**answer, "served": not api.local})
    for mistake in answer["mistakes"]:
        out.line(f"left out: {mistake}", style="red")
    if api.local:
        out.note("no hub serves this project: each command reads the files itself")
    return ConfigurationInvalid.exit_code if answer["mistakes"] else 0


def _connector() -> typer.Typer:
    from hub.cli import author, drafting, editing

    group = typer.Typer(help="List and steer connectors.", no_args_is_help=True)
    group.command("list")(list_connectors)
    group.command("show")(show_connector)
    group.command()(pause)
    group.command()(stop)
    group.command()(resume)
    group.command()(drafting.new)
    group.command()(author.spec)
    group.command()(author.check)
    group.command()(author.discover)
    group.command(help=_elsewhere(author.preview))(author.preview)
    group.command(help=_elsewhere(run))(run)
    editing.register(group)
    return group


def _elsewhere(command: Callable[..., Any]) -> str:
    """The help of a command that stands at the top as well."""
    return (command.__doc__ or "").replace("Example: datong ", "Example: datong connector ")


def list_connectors(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """All connectors with their state and last run. Example: datong connector list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/connectors")
    if as_json:
        out.data(listed)
    rows = [
        [
            c["name"],
            c["topic"],
            c["state"],
            c["schedule"],
            c["last_run"] and c["last_run"]["state"],
            c["reason"] or c["away"],
        ]
        for c in listed["connectors"]
    ]
    out.table(rows, ["connector<", "topic", "state", "schedule", "last run", "reason"])


def show_connector(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """One connector: state, next run and the last runs. Example: datong connector show it-mim-schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        connector, runs = api.get(f"/connectors/{name}"), api.get(f"/connectors/{name}/runs")["runs"]
    if as_json:
        out.data({**connector, "runs": runs})
        return
    facts = ("name", "agency", "topic", "kind", "mode", "schedule", "state", "reason", "away", "worker", "next_run")
    out.table([[f, connector[f]] for f in facts], ["fact", "value"])
    totals_table(out, runs, "started")
    for note in (note for one in runs for note in one["notes"]):
        out.line(f"  {note}")


def pause(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Let the run under way finish its batch and start no more. Example: datong connector pause it-mim-schools"""
    steer(project, "connectors", name, "pause", as_json)


def stop(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Like pause, for good: nothing resumes it but you. Example: datong connector stop it-mim-schools"""
    steer(project, "connectors", name, "stop", as_json)


def resume(
    name: Name,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    accept_deletions: Annotated[
        bool, typer.Option("--accept-deletions", help="Run at once and publish deletions, however many.")
    ] = False,
) -> int:
    """Let a paused, stopped or failed connector run again. Example: datong connector resume it-mim-schools"""
    if not accept_deletions:
        steer(project, "connectors", name, "resume", as_json)
        return 0
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.put(f"/connectors/{name}/resume")
        ended = run_connectors(api, out, [name], accept_deletions=True)
    show_runs(out, ended)
    return worst(ended)


def steer(project: Path | None, kind: str, name: str, verb: str, as_json: bool) -> None:
    """Change the state of a connector or a subscription (`kind`: as in the path of the API) and say what it is now."""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.put(f"/{kind}/{name}/{verb}")
    if as_json:
        out.data(found)
    out.line(f"{name} is {found['state']}")


def _token() -> typer.Typer:
    group = typer.Typer(help="Bearer tokens of subscribing agencies.", no_args_is_help=True)
    group.command()(issue)
    group.command("list")(list_tokens)
    group.command()(revoke)
    return group


def issue(
    agency: Annotated[str, typer.Argument(help="The agency that will hold the token.")],
    days: Annotated[int, typer.Option(help="Valid for so many days.", min=1, max=3650)] = 365,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, this once. Example: datong token issue it-lom-planning"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        made = api.post("/tokens", {"agency": agency, "days": days})
    if as_json:
        out.data(made)
        return
    out.note(f"token {made['id']} for {made['agency']}, valid until {made['expires']}; only its hash is kept here")
    out.line(made["token"])


def list_tokens(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Tokens of agencies and people, never their secrets. Example: datong token list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/tokens")
    if as_json:
        out.data(listed)
    rows = [[t["id"], t["agency"], t["person"], t["created"], t["expires"], t["revoked"]] for t in listed["tokens"]]
    out.table(rows, ["id<", "agency", "person", "created", "expires", "revoked"])


def revoke(
    id: Annotated[str, typer.Argument(help="The token's id, from `datong token list`.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token now. Example: datong token revoke 3f9a"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.delete(f"/tokens/{id}")
    if as_json:
        out.data({"id": id, "revoked": True})
    out.line(f"token {id} is revoked")

"""`datong maps`: what topics have of each region."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import open_api


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Maps of maps.d: what topics have of each region.", no_args_is_help=True)
    group.command("list")(list_maps)
    group.command("show")(show_map)
    app.add_typer(group, name="maps")


def list_maps(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """All maps. Example: datong maps list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/maps")
    if as_json:
        out.data(listed)
    rows = [[m["map"], m["title"]["en"], m["topic"], m["field"], m["measure"]] for m in listed["maps"]]
    out.table(rows, ["map<", "title", "topic<", "field", "measure"])


def show_map(
    name: Annotated[str, typer.Argument(help="The map's name.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A map's number for each region. Example: datong maps show schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.get(f"/maps/{name}")
    if as_json:
        out.data(found)
        return
    out.line(f"{found['title']['en']}: {found['unit']} of {found['topic']} by {found['field']}", style="bold")
    more = ["quarantined", "records"] if found["measure"] == "quarantine" else []
    rows = [[r["key"], r["name"], _text(found, r["value"]), *(r.get(name) for name in more)] for r in found["regions"]]
    out.table(rows, ["code<", "region", f"{found['unit']}>", *(f"{name}>" for name in more)])
    if found["unplaced"]:
        out.line(f"  of no region: {found['unplaced']:,}")
    if found["untold"]:
        out.line(f"  in quarantine, and of none of them or nobody can tell: {found['untold']:,}")
    if not found["complete"]:
        out.line("  not all of it is counted yet; ask again")
    if found["note"]:
        out.line(f"  {found['note']}")


def _text(found: dict[str, Any], value: float | None) -> Any:
    """A share in percent, the others as they are."""
    return f"{value:.2%}" if found["measure"] == "quarantine" and value is not None else value

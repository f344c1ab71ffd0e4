"""`datong quarantine`: rows that could not be published, and their way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted
from hub.cli.runs import follow, not_started, show_runs, worst
from hub.cli.session import Api, error_of, open_api
from hub.errors import ConfigurationInvalid, DatongError, NotFound

ORPHANED = (
    "there is no connector {} (any more): its rows can be set aside with `datong quarantine discard`, and not replayed "
    "before its file is back or mended"
)
Case = Annotated[str, typer.Argument(help="The case's id, from `datong quarantine list`.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Rows that could not be published, and their way back.", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(show)
    group.command()(find)
    group.command("try")(try_)
    group.command()(replay)
    group.command()(discard)
    app.add_typer(group, name="quarantine")


def list_(
    topic: Annotated[str | None, typer.Option(help="Only of this topic.")] = None,
    connector: Annotated[str | None, typer.Option(help="Only of this connector.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cases: rows that failed for the same reason. Example: datong quarantine list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/quarantine", topic=topic, connector=connector)
    if as_json:
        out.data(listed)
    rows = [[c["case"], c["connector"], c["reason"], c["path"], c["count"], c["last"]] for c in listed["cases"]]
    out.table(rows, ["case<", "connector<", "reason", "field", "rows>", "last"])
    if rows:
        out.line("look at one: datong quarantine show CASE    after a fix: datong quarantine replay CASE")
    for name in sorted({c["connector"] for c in listed["cases"] if c["orphaned"]}):
        out.line(ORPHANED.format(name), style="yellow")
    _show_aside(out, listed["set_aside"])


def show(
    case: Case,
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1, max=1000)] = 20,
    row: Annotated[int | None, typer.Option(help="The row of this id first, from `datong quarantine find`.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The rows of one case: file, row number, and the failing column, masked. Example: datong quarantine show a1b2"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.get(f"/quarantine/{case}", limit=limit, row=row)
    if as_json:
        out.data(found)
        return
    out.line(f"{found['reason']} in {found['path'] or 'the row'}: {found['explanation']}", style="bold")
    for field, expression in found["fields"].items():
        out.line(f"  {field}: {' '.join(expression.split())}")
    shapes = [[one["column"], s["shape"], s["count"]] for one in found["shapes"] for s in one["shapes"]]
    shapes += [[one["column"], "others", one["others"]] for one in found["shapes"] if one["others"]]
    out.table(shapes, ["column<", "shape (letters x, digits 9)", "rows>"])
    rows = [[r["id"], r["origin"], r["row"], _masked(r["preview"], found["columns"])] for r in found["rows"]]
    out.table(rows, ["id>", "origin", "row>", "columns (masked)"])
    for one in found["rows"]:
        for column, notes in one["unusual"].items():
            out.line(f"  row {one['row']}, {column}: {'; '.join(_unusual(note) for note in notes)}")
    if found["count"] > len(rows):
        out.line(f"the first {len(rows)} of {found['count']:,} rows; --limit shows more")
    if found["count"] and found["orphaned"]:
        out.line(ORPHANED.format(found["connector"]), style="yellow")
    _show_aside(out, found["set_aside"])


def find(
    connector: Annotated[str, typer.Argument(help="A connector's name.")],
    value: Annotated[
        str | None,
        typer.Argument(help="A cell as it was read. Without it, it is asked for: then no shell remembers it."),
    ] = None,
    column: Annotated[str | None, typer.Option(help="Only in this column of the source.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Where the open rows are that have this value, such as a key. Example: datong quarantine find it-mim-schools"""
    out = Output(as_json=as_json)
    wanted = typer.prompt("Value", err=True) if value is None else value
    with open_api(project) as api:
        asked = {"connector": connector, "value": wanted, "column": column}
        found = api.post("/quarantine/find", asked)
    if as_json:
        out.data(found)
    rows = [[r["id"], r["case"], r["reason"], r["path"], r["origin"], r["row"]] for r in found["rows"]]
    if rows:
        out.table(rows, ["id>", "case<", "reason", "field", "origin", "row>"])
    else:
        out.line(f"none of {counted(found['open'], 'open row')} has this value")
    if not found["complete"]:
        out.line("not all open rows were looked at, or more of them have it: name a column")
    return 0 if rows else 1


UNUSUAL = {
    "character": "character {at} is {code} {name}",
    "last": "the last character is {code} {name}",
    "digit": "character {at} is a digit other than 0 to 9",
    "mark": "character {at} is an accent that stands apart from its letter",
    "private": "character {at} has a meaning on some systems only",
    "alphabet": "character {at} is a letter of another alphabet ({name})",
    "empty": "the text is empty",
    "more": "and {count} more",
}


def _unusual(note: dict[str, Any]) -> str:
    """What one does not see of a cell, or would not expect."""
    last = note["kind"] == "character" and "at" not in note
    return UNUSUAL["last" if last else note["kind"]].format_map(note)


def _show_aside(out: Output, aside: list[dict[str, Any]]) -> None:
    """Who closed rows for good, and why."""
    if aside:
        out.line("set aside:", style="bold")
        rows = [[a["case"], a["count"], a["by"], a["at"], a["why"]] for a in aside]
        out.table(rows, ["case<", "rows>", "by", "at", "why"])


def _masked(preview: dict[str, str], first: Sequence[str]) -> str:
    """A row's columns, those to look at first; of one that could not be split or decoded, how long it is."""
    cells = sorted(preview.items(), key=lambda cell: cell[0] not in first)
    return ", ".join(f"{name}={value}" if name else value for name, value in cells)


def try_(
    case: Case,
    file: Annotated[Path, typer.Argument(help="A new text of the connector.", exists=True, dir_okay=False)],
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1, max=200)] = 20,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """What a connector's new text would make of a case's rows; nothing is stored. Example: datong quarantine try a1b2
    schools.yaml"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        answer = api.http.post(
            "/api/v1/connectors/preview", params={"case": case, "limit": limit}, content=file.read_bytes()
        )
    if not answer.is_success:
        raise error_of(answer)
    tried = answer.json()
    if as_json:
        out.data(tried)
    rows = [[r["origin"], r["row"], r["outcome"], r["path"], r["explanation"]] for r in tried["rows"]]
    out.table(rows, ["origin", "row>", "outcome", "field", "why"])
    out.line(f"{tried['published']} would be published, {tried['filtered']} filtered, {tried['rejected']} rejected")
    return 1 if tried["rejected"] else 0


def replay(
    case: Annotated[str | None, typer.Argument(help="One case; without it all, or those of --connector.")] = None,
    connector: Annotated[str | None, typer.Option(help="All open rows of this connector.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Map quarantined rows again, after a fix. Example: datong quarantine replay --connector it-mim-schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.post("/reload")
        started, ended = _replayed(api, case, connector)
        ended += [follow(api, s["connector"], s["run"], lambda _text: None) for s in started]
    show_runs(out, ended)
    return worst(ended)


def discard(
    case: Annotated[str | None, typer.Argument(help="A case: all its open rows, unless --row names some.")] = None,
    row: Annotated[
        list[int] | None, typer.Option(help="Only the row of this id, from `datong quarantine show`; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why nobody can mend them; kept on record.")] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Set rows aside that nobody can mend; read again as they are, they stay so. Example: datong quarantine discard a1b2
    --reason 'a test entry of the school'"""
    if not reason:
        raise ConfigurationInvalid("to set rows aside needs a reason", remedy="--reason 'why'; it is kept on record")
    if case is None and not row:
        raise ConfigurationInvalid("no rows are named", remedy="name a case, or rows with --row")
    out = Output(as_json=as_json)
    with open_api(project) as api:
        started = api.post("/quarantine/discard", {"case": case, "rows": row or [], "reason": reason})["runs"]
        ended = [follow(api, s["connector"], s["run"], lambda _text: None) for s in started]
    if as_json:
        out.data({"runs": ended})
    for one in ended:
        gone = one["totals"]["discarded"]
        out.line(f"{one['connector']}: {counted(gone, 'row')} set aside")
        if one["error"]:
            out.line(f"  {one['error']}", style="red")
    return worst(ended)


def _replayed(api: Api, case: str | None, connector: str | None) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Replays that started; and of all that there could be, when none is named, the results of those that could not."""
    if case or connector:
        return api.post("/quarantine/replay", {"case": case, "connector": connector})["runs"], []
    names = {c["connector"] for c in api.get("/quarantine")["cases"]}
    if not names:
        raise NotFound("no row is quarantined")
    started, ended = [], []
    for name in sorted(names):
        try:
            started += api.post("/quarantine/replay", {"connector": name})["runs"]
        except DatongError as error:
            ended.append(not_started(name, error))
    return started, ended

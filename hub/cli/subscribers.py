"""`datong subscribers`: every group that reads, those that the hub pushes to included, and letting one read again."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted
from hub.cli.session import open_api

Group = Annotated[str, typer.Argument(help="The group's name, or AGENCY.GRANT.GROUP where several agencies use that.")]
Topic = Annotated[str, typer.Argument(help="The topic that it reads.")]
PLACES = ("earliest", "latest")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Groups that read topics: how far each is, and rewinding one.", no_args_is_help=True)
    group.command("list")(list_subscribers)
    group.command("show")(show_subscriber)
    group.command()(rewind)
    app.add_typer(group, name="subscribers")


def list_subscribers(
    topic: Annotated[str | None, typer.Option(help="Only those that read this topic.", show_default=False)] = None,
    agency: Annotated[str | None, typer.Option(help="Only those of this agency.", show_default=False)] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """All groups with their lag. Example: datong subscribers list --topic it-mim.education.school.v1"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/subscribers", topic=topic, agency=agency)
    if as_json:
        out.data(listed)
    rows = [
        [s["id"], s["topic"], s["by"], s["state"], s["grant_state"], s["lag"], s["committed_at"], s["dead_letters"]]
        for s in listed["subscribers"]
    ]
    out.table(rows, ["group<", "topic<", "by", "state", "grant", "lag>", "last commit", "dead letters>"])


def show_subscriber(group: Group, topic: Topic, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """One group: its place in each partition and its last commits. Example: datong subscribers show default
    it-mim.education.school.v1"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.get(f"/subscribers/{group}/{topic}")
    if as_json:
        out.data(found)
        return
    facts = ("id", "agency", "grant", "grant_state", "topic", "by", "subscription", "state", "reason", "lag", "reset")
    out.table([[name.replace("_", " "), found[name]] for name in facts], ["fact", "value"])
    rows = [
        [p["partition"], p["earliest"], p["committed"], p["end"], p["lag"], p["committed_at"]]
        for p in found["partitions"]
    ]
    out.table(rows, ["partition>", "earliest>", "committed>", "end>", "lag>", "last commit"])


def rewind(
    group: Group,
    topic: Topic,
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            help="`earliest`, `latest`, a moment with its zone (2026-11-25T08:00Z), or PARTITION=OFFSET, which may be given "
            "again.",
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays on record.")],
    accept_skip: Annotated[
        bool, typer.Option("--accept-skip", help="When it moves forward: leave out what lies between.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a group go on from somewhere else. Example: datong subscribers rewind default it-mim.education.school.v1
    --to earliest --reason "their database was lost" """
    out = Output(as_json=as_json)
    body = {"to": _target(to), "reason": reason, "accept_skip": accept_skip}
    with open_api(project) as api:
        done = api.post(f"/subscribers/{group}/{topic}/rewind", body)
    if as_json:
        out.data(done)
    rows = [[p, done["before"].get(p), at] for p, at in done["after"].items()]
    out.table(rows, ["partition", "was at>", "is at>"])
    skipped = f", {done['skipped']:,} left out" if done["skipped"] else ""
    out.line(f"{done['id']}: {counted(done['again'], 'offset')} will be read again{skipped}")


def _target(given: list[str]) -> Any:
    """As the API has it. A place or a moment stands alone."""
    pairs = [re.fullmatch(r"([0-9]{1,4})=([0-9]{1,18})", one) for one in given]
    if all(pairs):
        return {pair[1]: int(pair[2]) for pair in pairs if pair}
    if len(given) == 1 and given[0] in PLACES:
        return given[0]
    try:
        moment = datetime.fromisoformat(given[0]) if len(given) == 1 else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(
            "--to is `earliest`, `latest`, one moment with its zone such as 2026-11-25T08:00Z, or PARTITION=OFFSET"
        )
    return moment.isoformat()

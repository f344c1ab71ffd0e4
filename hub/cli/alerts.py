"""`datong alerts`: what a person should be told of now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import open_api


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What is wrong now, and what to do about it.", no_args_is_help=True)
    group.command("list")(list_alerts)
    group.command("test")(try_notices)
    app.add_typer(group, name="alerts")


def list_alerts(
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the texts.")] = "en",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is wrong now, each with its next step. Example: datong alerts list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/alerts")
    if as_json:
        out.data(listed)
        return
    for alert in listed["alerts"]:
        since = datetime.fromtimestamp(alert["since_ms"] / 1000, UTC).isoformat(timespec="seconds")
        out.line(f"{alert['severity']}  {alert['title'][language]}: {alert['subject']}  since {since}", style="bold")
        out.line(f"  {alert['message'][language]}")
        out.line(f"  → {alert['next_step'][language]}")
    if not listed["alerts"]:
        out.line("nothing is wrong")


def try_notices(
    name: Annotated[str | None, typer.Argument(help="One of alerts.d. Default: all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell those of alerts.d that this is a test. Example: datong alerts test on-call"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        sent = api.post("/alerts/test", {"notify": name})["sent"]
    if as_json:
        out.data({"sent": sent})
    for one in sent:
        out.line(f"{one['notify']}: {one['error'] or 'told'}")
    if not sent:
        out.line("nobody is declared in alerts.d")
    return int(any(one["error"] for one in sent))

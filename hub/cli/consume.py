"""Commands of a subscribing agency: read what a grant allows."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted
from hub.cli.session import load_project
from hub.errors import NotAuthenticated

TOKEN_ENVIRONMENT = "DATONG_TOKEN"  # noqa: S105 - a variable's name


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(subscribe)


def subscribe(
    topic: Annotated[str, typer.Argument(help="The topic to read.")],
    group: Annotated[str, typer.Option(help="Consumer group: one cursor, one reader at a time.")] = "default",
    limit: Annotated[int | None, typer.Option(help="Stop after so many records.", min=1)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new records until interrupted.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Move the cursor to the earliest record first.")
    ] = False,
    hub: Annotated[str | None, typer.Option(help="URL of the hub. Default: the hub that serves this project.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the agency's token. Default: the environment variable DATONG_TOKEN.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print records as NDJSON and commit what was printed. Example: datong subscribe it-mim.education.school.v1"""
    from hub.client import Gap, Reset
    from hub.client import subscribe as open_subscription

    out = Output(as_json=as_json)
    token = _token(token_file)
    count = 0
    with open_subscription(
        _url(hub, project), topic, token, group=group, follow=follow, from_beginning=from_beginning
    ) as subscription:
        for item in subscription.items(limit=limit):
            if isinstance(item, Gap):
                out.note(
                    f"gap in partition {item.partition}: offsets {item.from_offset} to {item.earliest - 1} are gone"
                )
            elif isinstance(item, Reset):
                out.note("the grant changed: reading again from the earliest record")
            else:
                sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
                count += 1
        sys.stdout.flush()
        subscription.commit()
        lag = subscription.lag
    out.note(f"{counted(count, 'record')}; {counted(lag, 'more offset')} to the end of the topic")


def _token(file: Path | None) -> str:
    given = file.read_bytes().decode("ascii", "replace") if file else os.environ.get(TOKEN_ENVIRONMENT, "")
    token = given.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NotAuthenticated("this is no token: one is a single word", remedy="see what the file or variable holds")
    if not token:
        raise NotAuthenticated(
            "a subscriber needs its agency's token",
            remedy=f"set {TOKEN_ENVIRONMENT}, or name a file with --token-file; the hub's operator makes one with "
            "`datong token issue AGENCY`",
        )
    return token


def _url(given: str | None, project: Path | None) -> str:
    if given:
        return given
    from hub.directory import Directory
    from hub.errors import SourceUnavailable

    running = Directory(load_project(project).settings.data_path).running()
    if running is None:
        raise SourceUnavailable(
            "no hub serves this project", remedy="start one with `datong serve`, or name one with --hub"
        )
    return running.url

"""`datong connector config|save|delete|reset|restart`: what an operator does to a connector without a shell on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.runs import follow, show_runs, worst
from hub.cli.session import Api, connector_name, error_of, open_api
from hub.errors import ConfigurationInvalid

if TYPE_CHECKING:
    import httpx

Name = Annotated[str, typer.Argument(help="The connector's name.")]
MISSING = 404


def register(group: typer.Typer) -> None:
    """Add the commands to those of `datong connector`."""
    group.command("config")(config)
    group.command()(save)
    group.command()(delete)
    group.command()(reset)
    group.command()(restart)


def config(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Print a connector's file as the hub has it. Example: datong connector config it-mim-schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        answer = _sent(api, "GET", f"/connectors/{name}/config")
    if as_json:
        out.data({"connector": name, "revision": _revision(answer), "text": answer.text})
    else:
        typer.echo(answer.text, nl=False)


def save(
    file: Annotated[Path, typer.Argument(help="The connector's new text.", exists=True, dir_okay=False)],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a connector's text and put it into connectors.d, new or in place of the one that is there. Example: datong
    connector save schools.yaml"""
    out = Output(as_json=as_json)
    text, name = file.read_bytes(), connector_name(str(file))
    path = f"/connectors/{name}/config"
    with open_api(project) as api:
        there = api.http.get(f"/api/v1{path}")
        if not there.is_success and there.status_code != MISSING:
            raise error_of(there)
        headers = {} if there.status_code == MISSING else {"If-Match": there.headers.get("ETag", "")}
        made = _sent(api, "PUT", path, content=text, headers=headers).json()
    if as_json:
        out.data(made)
    out.line(f"{made['file']} is {'new' if made['created'] else 'saved'}; the connector is {made['state']}")
    if made["running"]:
        out.line("the run under way ends as it began; `datong connector restart` begins with the new text")


def delete(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Take a stopped connector's file away; its topic stays. Example: datong connector delete it-mim-schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.delete(f"/connectors/{name}/config")
    if as_json:
        out.data({"connector": name, "deleted": True})
    out.line(f"{name} is deleted; its topic, its quarantine and how far it was read stay")


def reset(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; kept on record.")] = "",
    accept_duplicates: Annotated[
        bool, typer.Option("--accept-duplicates", help="In mode append: publish every row once more.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a stopped connector read its source from the start. Example: datong connector reset it-mim-schools --reason
    'file mended'"""
    if not reason:
        raise ConfigurationInvalid("a reset needs a reason", remedy="--reason 'why'; it is kept on record")
    out = Output(as_json=as_json)
    with open_api(project) as api:
        done = api.post(f"/connectors/{name}/reset", {"reason": reason, "accept_duplicates": accept_duplicates})
    if as_json:
        out.data(done)
    out.line(f"{name} reads its source from the start when it is resumed")


def restart(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """End a connector's run after its batch, forget a failure, run anew and wait. Example: datong connector restart
    it-mim-schools"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        started = api.post(f"/connectors/{name}/restart")
        ended = [follow(api, name, started["run"], lambda _text: None)]
    show_runs(out, ended)
    return worst(ended)


def _sent(api: Api, method: str, path: str, **options: Any) -> httpx.Response:
    response = api.http.request(method, f"/api/v1{path}", **options)
    if response.is_success:
        return response
    raise error_of(response)


def _revision(response: httpx.Response) -> str:
    return str(response.headers["ETag"]).strip('"')

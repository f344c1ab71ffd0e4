"""`datong people`: who may log in to the console."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import PERSON_TOKEN, open_api

LONGEST = 1_000  # characters read as a password; the hub says how many it takes
Name = Annotated[str, typer.Argument(help="The person's name: lower-case letters, digits, '.', '_' and '-'.")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, not by a question.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="People who may log in to the console.", no_args_is_help=True)
    group.command("list")(list_people)
    group.command()(add)
    group.command()(change)
    group.command()(remove)
    group.command()(token)
    app.add_typer(group, name="people")


def list_people(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """People, their roles, and from where log-ins wait after wrong passwords. Example: datong people list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/people")
    if as_json:
        out.data(listed)
    rows = [[p["name"], p["role"], p["created"], _waits(p["waits"])] for p in listed["people"]]
    out.table(rows, ["name<", "role", "created", "log-ins wait"])


def add(
    name: Name,
    role: Annotated[
        str, typer.Option(help="viewer: sees all. operator: acts too. administrator: people too.")
    ] = "viewer",
    password_stdin: Stdin = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a person log in to the console. Example: datong people add wang.fang --role operator"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        made = api.post("/people", {"name": name, "role": role, "password": _password(password_stdin)})
    _say(out, made, "may log in as")


def change(
    name: Name,
    role: Annotated[str | None, typer.Option(help="viewer, operator or administrator.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_stdin: Stdin = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Another role or password, or else end waiting; logs the person out. Example: datong people change li.na --password"""
    out = Output(as_json=as_json)
    new = _password(password_stdin) if password or password_stdin else None
    with open_api(project) as api:
        made = api.patch(f"/people/{name}", {"role": role, "password": new})
    _say(out, made, "was logged out, and may log in as")


def remove(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """End a person's access now. Example: datong people remove wang.fang"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.delete(f"/people/{name}")
    if as_json:
        out.data({"name": name, "removed": True})
    out.line(f"{name} may not log in any more")


def token(
    name: Name,
    days: Annotated[int, typer.Option(help="Valid for so many days.", min=1, max=3650)] = 90,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token by which commands and API act as this person; print it, this once. Example: datong people token li.na"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        made = api.post(f"/people/{name}/tokens", {"days": days})
    if as_json:
        out.data(made)
        return
    out.note(f"token {made['id']} of {name}, valid until {made['expires']}; commands use it from {PERSON_TOKEN}")
    out.line(made["token"])


def _waits(waits: dict[str, int]) -> str:
    """From where, and for how long."""
    said = []
    if waits["networks"]:
        said.append(f"from {waits['networks']} network{'s' * (waits['networks'] > 1)}: {waits['networks_s']} s")
    if waits["elsewhere_s"]:
        said.append(f"from where there was no log-in yet: {waits['elsewhere_s']} s")
    return ", ".join(said)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline(LONGEST).rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _say(out: Output, made: dict[str, Any], what: str) -> None:
    if out.as_json:
        out.data(made)
        return
    out.line(f"{made['name']} {what} {made['role']}")

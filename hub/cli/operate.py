"""Commands of an operator: run connectors, look at topics and quarantine, hand out tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import Api, open_api, project_of
from hub.errors import ConfigurationInvalid, DatongError, NotFound

Name = Annotated[str, typer.Argument(help="The connector's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(topics)
    app.add_typer(_connector(), name="connector")
    app.add_typer(_token(), name="token")
    app.command()(doctor)
    app.command()(fsck)


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
        names = _names(api, out, connectors or [])
        ended = run_connectors(api, out, names, accept_deletions=accept_deletions)
    if as_json:
        out.data({"runs": ended})
    else:
        print_runs(out, ended)
    return max((int(r["exit_code"]) for r in ended), default=0)


def _names(api: Api, out: Output, given: list[str]) -> list[str]:
    """Connector names; a file stands for the connector it declares."""
    if given:
        for mistake in api.post("/reload")["mistakes"]:
            out.note(f"left out: {mistake}")
    known = [c["name"] for c in api.get("/connectors")["connectors"]]
    if not given:
        if not known:
            raise NotFound("this project has no connectors", remedy="write one in connectors.d/, see docs/tutorial.md")
        return known
    return [Path(g).stem if g.endswith((".yaml", ".yml")) else g for g in given]


def run_connectors(api: Api, out: Output, names: list[str], *, accept_deletions: bool = False) -> list[dict[str, Any]]:
    """Start each, wait for it and show how far it is. A connector that cannot start counts as a failed run."""
    ended = []
    with out.progress() as bar:
        for name in names:
            line = bar.add_task(name, total=None, detail="")
            try:
                started = api.post(f"/connectors/{name}/runs", {"accept_deletions": accept_deletions})
                record = _follow(api, name, started["run"], lambda text, t=line: bar.update(t, detail=text))
            except DatongError as error:
                record = _not_started(name, error)
            ended.append(record)
            bar.update(line, total=1, completed=1)
    return ended


def _follow(api: Api, name: str, run: str, show: Any) -> dict[str, Any]:
    while True:
        record: dict[str, Any] = api.get(f"/connectors/{name}/runs/{run}", wait_ms=int(POLL_S * 1000))
        totals = record["totals"]
        show(f"{totals['read']:,} read · {totals['published']:,} published · {totals['quarantined']:,} quarantined")
        if record["state"] != "running":
            return record
        if not api.local:
            time.sleep(POLL_S / 4)


def _not_started(name: str, error: DatongError) -> dict[str, Any]:
    return {
        "connector": name,
        "run": None,
        "topic": None,
        "state": "failed",
        "totals": dict.fromkeys(TOTALS, 0),
        "reasons": {},
        "warnings": {},
        "notes": [],
        "error": f"{error.code}: {error}",
        "exit_code": error.exit_code or 1,
    }


def print_runs(out: Output, ended: list[dict[str, Any]]) -> None:
    """A table of runs, then what was wrong with any."""
    rows = [[r["connector"], *[r["totals"][t] for t in TOTALS], r["state"]] for r in ended]
    out.table(rows, ["connector", *[f"{t}>" for t in TOTALS], "state"])
    for record in ended:
        for reason, count in sorted(record["reasons"].items()):
            out.line(
                f"  {record['connector']}: {count:,} {'row' if count == 1 else 'rows'} quarantined, {reason}",
                style="yellow",
            )
        for reason, count in sorted(record["warnings"].items()):
            out.line(f"  {record['connector']}: {count:,} warnings, {reason}")
        for note in record.get("notes", ()):
            out.line(f"  {record['connector']}: {note}")
        if record["error"]:
            out.line(f"  {record['connector']}: {record['error']}", style="red")


def topics(
    topic: Annotated[str | None, typer.Argument(help="One topic, in detail.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List topics, or show one: contract, schema, partitions, freshness. Example: datong topics"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        if topic:
            _show_topic(out, api.get(f"/topics/{topic}"))
            return
        listed = api.get("/topics")
    if as_json:
        out.data(listed)
    columns = ["topic<", "title", "records>", "partitions>", "mode", "sharing", "freshness"]
    rows = [
        [t["topic"], t["title"].get("en", ""), t["records"], t["partitions"], t["mode"], t["sharing"], t["freshness"]]
        for t in listed["topics"]
    ]
    out.table(rows, columns)


def _show_topic(out: Output, topic: dict[str, Any]) -> None:
    if out.as_json:
        out.data(topic)
        return
    out.line(f"{topic['topic']}  {topic['title'].get('en', '')}  {topic['title'].get('zh', '')}", style="bold")
    facts = ("agency", "mode", "key", "scope", "sharing", "records", "freshness", "schema_id")
    out.table([[name, _text(topic[name])] for name in facts], ["fact", "value"])
    out.table(
        [[p["partition"], p["earliest"], p["end"]] for p in topic["offsets"]], ["partition>", "earliest>", "end>"]
    )
    out.table([[f["name"], f["type"], f["doc"], f["doc_zh"]] for f in topic["fields"]], ["field", "type", "", ""])


def _text(value: object) -> object:
    return ", ".join(str(v) for v in value) if isinstance(value, list) else value


def _connector() -> typer.Typer:
    group = typer.Typer(help="List and steer connectors.", no_args_is_help=True)

    @group.command("list")
    def list_(project: ProjectOption = None, as_json: JsonOption = False) -> None:
        """All connectors with their state and last run. Example: datong connector list"""
        out = Output(as_json=as_json)
        with open_api(project) as api:
            listed = api.get("/connectors")
        if as_json:
            out.data(listed)
        rows = [
            [c["name"], c["topic"], c["state"], c["schedule"], c["last_run"] and c["last_run"]["state"], c["reason"]]
            for c in listed["connectors"]
        ]
        out.table(rows, ["connector", "topic", "state", "schedule", "last run", "reason"])

    @group.command()
    def show(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
        """One connector: state, next run and the last runs. Example: datong connector show it-mim-schools"""
        out = Output(as_json=as_json)
        with open_api(project) as api:
            connector, runs = api.get(f"/connectors/{name}"), api.get(f"/connectors/{name}/runs")["runs"]
        if as_json:
            out.data({**connector, "runs": runs})
            return
        facts = ("name", "agency", "topic", "kind", "mode", "schedule", "state", "reason", "next_run")
        out.table([[f, connector[f]] for f in facts], ["fact", "value"])
        print_runs(out, runs)

    @group.command()
    def pause(name: Name, project: ProjectOption = None) -> None:
        """Let the run under way finish its batch and start no more. Example: datong connector pause it-mim-schools"""
        _steer(project, name, "pause")

    @group.command()
    def stop(name: Name, project: ProjectOption = None) -> None:
        """Like pause, for good: nothing resumes it but you. Example: datong connector stop it-mim-schools"""
        _steer(project, name, "stop")

    @group.command()
    def resume(
        name: Name,
        project: ProjectOption = None,
        accept_deletions: Annotated[
            bool, typer.Option("--accept-deletions", help="Run at once and publish deletions, however many.")
        ] = False,
    ) -> None:
        """Let a paused, stopped or failed connector run again. Example: datong connector resume it-mim-schools"""
        _steer(project, name, "resume")
        if accept_deletions:
            run([name], project, accept_deletions=True)

    _kind_commands(group)
    return group


def _steer(project: Path | None, name: str, verb: str) -> None:
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
    from hub.cli import author

    group = typer.Typer(help="List and steer connectors.", no_args_is_help=True)
    group.command("list")(list_connectors)
    group.command("show")(show_connector)
    group.command()(pause)
    group.command()(stop)
    group.command()(resume)
    group.command()(author.spec)
    group.command()(author.check)
    group.command()(author.discover)
    group.command(help=_elsewhere(author.preview))(author.preview)
    group.command(help=_elsewhere(run))(run)
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
        [c["name"], c["topic"], c["state"], c["schedule"], c["last_run"] and c["last_run"]["state"], c["reason"]]
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
    facts = ("name", "agency", "topic", "kind", "mode", "schedule", "state", "reason", "worker", "next_run")
    out.table([[f, connector[f]] for f in facts], ["fact", "value"])
    totals_table(out, runs, "started")


def pause(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Let the run under way finish its batch and start no more. Example: datong connector pause it-mim-schools"""
    _steer(project, name, "pause", as_json)


def stop(name: Name, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Like pause, for good: nothing resumes it but you. Example: datong connector stop it-mim-schools"""
    _steer(project, name, "stop", as_json)


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
        _steer(project, name, "resume", as_json)
        return 0
    out = Output(as_json=as_json)
    with open_api(project) as api:
        api.put(f"/connectors/{name}/resume")
        ended = run_connectors(api, out, [name], accept_deletions=True)
    show_runs(out, ended)
    return worst(ended)


def _steer(project: Path | None, name: str, verb: str, as_json: bool) -> None:
    out = Output(as_json=as_json)
    with open_api(project) as api:
        connector = api.put(f"/connectors/{name}/{verb}")
    if as_json:
        out.data(connector)
    out.line(f"{name} is {connector['state']}")


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
    """Tokens by agency, never their secrets. Example: datong token list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/tokens")
    if as_json:
        out.data(listed)
    rows = [[t["id"], t["agency"], t["created"], t["expires"], t["revoked"]] for t in listed["tokens"]]
    out.table(rows, ["id<", "agency", "created", "expires", "revoked"])


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

"""Commands of an operator: run connectors, look at topics, schemas and quarantine, hand out tokens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import Api, connect, project_of
from hub.errors import ConfigurationInvalid, DatongError, NotFound

Name = Annotated[str, typer.Argument(help="The connector's name.")]
Case = Annotated[str, typer.Argument(help="The case's id, from `datong quarantine list`.")]
POLL_S = 0.2
TOTALS = ("read", "published", "quarantined", "filtered", "unchanged", "deduplicated", "deleted")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(topics)
    app.command()(schemas)
    app.add_typer(_connector(), name="connector")
    app.add_typer(_quarantine(), name="quarantine")
    app.add_typer(_token(), name="token")
    app.command()(doctor)
    app.command()(fsck)


def open_api(project: Path | None) -> Any:
    """A context manager: the hub of a project."""
    from hub.settings import load_settings

    return connect(load_settings(project_of(project)))


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
    columns = ["topic", "title", "records>", "partitions>", "mode", "sharing", "freshness"]
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


def schemas(
    subject: Annotated[str | None, typer.Argument(help="One subject: print its latest schema.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List registered schemas, or print one. Example: datong schemas it-istat.statistics.division.v1-value"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        if subject:
            out.data(api.get(f"/schemas/{subject}"))
            return
        listed = api.get("/schemas")
    if as_json:
        out.data(listed)
    out.table(
        [[s["subject"], s["version"], s["id"], s["level"]] for s in listed["schemas"]],
        ["subject", "version>", "id>", "level"],
    )


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
        state = api.put(f"/connectors/{name}/{verb}")
    Output(as_json=False).line(f"{name} is {state['state']}")


def _kind_commands(group: typer.Typer) -> None:
    from hub.cli import author

    group.command("spec")(author.spec)
    group.command("check")(author.check)
    group.command("discover")(author.discover)


def _quarantine() -> typer.Typer:
    group = typer.Typer(help="Rows that could not be published, and their way back.", no_args_is_help=True)

    @group.command("list")
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
        rows = [
            [c["case"], c["connector"], c["stage"], c["reason"], c["path"], c["count"], c["first"], c["last"]]
            for c in listed["cases"]
        ]
        out.table(rows, ["case", "connector", "stage", "reason", "field", "rows>", "first", "last"])
        if rows:
            out.line("look at one: datong quarantine show CASE    after a fix: datong quarantine replay CASE")

    @group.command()
    def show(
        case: Case,
        limit: Annotated[int, typer.Option(help="Rows at most.")] = 20,
        project: ProjectOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """The rows of one case: file, row number, and the failing column, masked. Example: datong quarantine show a1b2"""
        out = Output(as_json=as_json)
        with open_api(project) as api:
            found = api.get(f"/quarantine/{case}", limit=limit)
        if as_json:
            out.data(found)
            return
        out.line(f"{found['reason']} in {found['path'] or 'the row'}: {found['explanation']}", style="bold")
        rows = [[r["origin"], r["row"], ", ".join(f"{k}={v}" for k, v in r["preview"].items())] for r in found["rows"]]
        out.table(rows, ["origin", "row>", "columns (masked)"])

    _replay_command(group)
    return group


def _replay_command(group: typer.Typer) -> None:
    @group.command()
    def replay(
        case: Annotated[str | None, typer.Argument(help="One case; without it, all of --connector.")] = None,
        connector: Annotated[str | None, typer.Option(help="All open rows of this connector.")] = None,
        project: ProjectOption = None,
        as_json: JsonOption = False,
    ) -> int:
        """Map quarantined rows again, after a fix. Example: datong quarantine replay --connector it-mim-schools"""
        out = Output(as_json=as_json)
        with open_api(project) as api:
            api.post("/reload")
            started = api.post("/quarantine/replay", {"case": case, "connector": connector})
            ended = [_follow(api, s["connector"], s["run"], lambda _text: None) for s in started["runs"]]
        if as_json:
            out.data({"runs": ended})
        print_runs(out, ended)
        return max((int(r["exit_code"]) for r in ended), default=0)


def _token() -> typer.Typer:
    group = typer.Typer(help="Bearer tokens of subscribing agencies.", no_args_is_help=True)

    @group.command()
    def issue(
        agency: Annotated[str, typer.Argument(help="The agency that will hold the token.")],
        days: Annotated[int, typer.Option(help="Valid for so many days.")] = 365,
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

    @group.command("list")
    def list_(project: ProjectOption = None, as_json: JsonOption = False) -> None:
        """Tokens by agency, never their secrets. Example: datong token list"""
        out = Output(as_json=as_json)
        with open_api(project) as api:
            listed = api.get("/tokens")
        if as_json:
            out.data(listed)
        rows = [[t["id"], t["agency"], t["created"], t["expires"], t["revoked"]] for t in listed["tokens"]]
        out.table(rows, ["id", "agency", "created", "expires", "revoked"])

    @group.command()
    def revoke(
        id: Annotated[str, typer.Argument(help="The token's id, from `datong token list`.")],
        project: ProjectOption = None,
    ) -> None:
        """End a token now. Example: datong token revoke 3f9a"""
        with open_api(project) as api:
            api.delete(f"/tokens/{id}")
        Output(as_json=False).line(f"token {id} is revoked")

    return group


def fsck(project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Read every block of a stopped hub's log and check its CRC32C. Example: datong fsck"""
    from hub.app import now_ms
    from hub.directory import Directory
    from hub.log.sqlite import SqliteLog
    from hub.settings import load_settings

    out = Output(as_json=as_json)
    settings = load_settings(project_of(project)).settings
    if settings.log.url:
        raise ConfigurationInvalid(
            "fsck reads the SQLite log of this machine, and this hub's log is Kafka", where="log.url",
            remedy="Kafka's brokers check and repair their log themselves; readers check every batch's CRC32C",
        )  # fmt: skip
    directory = Directory(settings.data_path)
    directory.acquire()
    try:
        log = SqliteLog.at(directory.path / "log.db", clock=now_ms)
        corrupt = log.verify()
        log.close()
    finally:
        directory.release()
    places = [{"topic": c.topic, "partition": c.partition, "offset": c.offset} for c in corrupt]
    if as_json:
        out.data({"corrupt": places})
    for place in places:
        out.line(f"corrupt: {place['topic']}/{place['partition']} at offset {place['offset']}", style="red")
    out.line("no corrupt block" if not corrupt else f"{len(corrupt)} corrupt blocks; restore them from a backup")
    return 1 if corrupt else 0


def doctor(project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Check this project and its hub: configuration, sources, log, clock, disk. Example: datong doctor"""
    from hub.cli.doctor import examine

    out = Output(as_json=as_json)
    findings = examine(project_of(project))
    if as_json:
        out.data({"findings": [vars(f) for f in findings]})
    for finding in findings:
        out.line(
            f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}  {finding.detail}", style=None if finding.ok else "red"
        )
        if not finding.ok and finding.remedy:
            out.line(f"      next: {finding.remedy}")
    return 0 if all(f.ok for f in findings) else 1

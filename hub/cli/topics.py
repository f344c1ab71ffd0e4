"""`datong topics`: what there is, who may read it, who does, and a masked look at the newest records."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import open_api

Topic = Annotated[str, typer.Argument(help="The topic's name.")]
FACTS = ("agency", "mode", "key", "scope", "sharing", "records", "bytes", "retention", "freshness", "schema_id")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(topics)
    group.command("list")(list_topics)
    group.command("show")(show_topic)
    app.add_typer(group, name="topics")


def topics(context: typer.Context, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List topics, as `datong topics list` does. Example: datong topics"""
    if context.invoked_subcommand is None:
        list_topics(project, as_json)
    elif project is not None or as_json:
        raise typer.BadParameter(f"options stand behind the command: datong topics {context.invoked_subcommand} …")


def list_topics(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """All topics: title, records, freshness. Example: datong topics list"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        listed = api.get("/topics")
    if as_json:
        out.data(listed)
    columns = ["topic<", "title", "records>", "partitions>", "mode", "sharing", "freshness"]
    rows = [
        [t["topic"], t["title"].get("en", ""), t["records"], t["partitions"], t["mode"], t["sharing"], t["freshness"]]
        for t in listed["topics"]
    ]
    out.table(rows, columns)


def show_topic(
    topic: Topic,
    sample: Annotated[
        bool, typer.Option("--sample", help="Show the newest records; what is not public is masked.")
    ] = False,
    limit: Annotated[int, typer.Option(help="With --sample: so many records.", min=1, max=100)] = 20,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """One topic: contract, fields, size, who may read it and who does. Example: datong topics show
    it-mim.education.school.v1 --sample"""
    out = Output(as_json=as_json)
    with open_api(project) as api:
        found = api.get(f"/topics/{topic}")
        readers = api.get(f"/topics/{topic}/readers")
        found |= {"grants": readers["grants"], "groups": readers["groups"]}
        if sample:
            found["sample"] = api.get(f"/topics/{topic}/sample", limit=limit)
    if as_json:
        out.data(found)
        return
    _show(out, found)
    if sample:
        _show_sample(out, found["sample"])


def _show(out: Output, topic: dict[str, Any]) -> None:
    out.line(f"{topic['topic']}  {topic['title'].get('en', '')}  {topic['title'].get('zh', '')}", style="bold")
    out.table([[name.replace("_", " "), _text(name, topic[name])] for name in FACTS], ["fact", "value"])
    out.table(
        [[p["partition"], p["earliest"], p["end"]] for p in topic["offsets"]], ["partition>", "earliest>", "end>"]
    )
    out.table(
        [[f["name"], f["type"], f["unit"], f["classification"], f["doc"], f["doc_zh"]] for f in topic["fields"]],
        ["field", "type", "unit", "class", "", ""],
    )
    out.table(
        [
            [g["grant"], g["agency"], g["purpose"], ", ".join(g["fields"]), g["where"], g["until"], g["state"]]
            for g in topic["grants"]
        ],
        ["grant<", "may read", "purpose", "fields", "where", "until", "state"],
    )
    out.table(
        [[g["id"], g["by"], g["state"], g["lag"], g["committed_at"]] for g in topic["groups"]],
        ["group<", "by", "state", "lag>", "last commit"],
    )


def _text(name: str, value: Any) -> object:
    if name == "bytes" and value is None:
        return "not known"
    if name != "retention":
        return ", ".join(str(v) for v in value) if isinstance(value, list) else value
    if value["compacted"]:
        return "the newest record of each key"
    parts = [f"{value['age_s']:,.0f} s"] if value["age_s"] is not None else []
    parts += [f"{value['bytes']:,} bytes a partition"] if value["bytes"] is not None else []
    return " or ".join(parts) or "for ever"


def _show_sample(out: Output, sample: dict[str, Any]) -> None:
    names = list(dict.fromkeys(name for record in sample["records"] for name in record["values"]))
    rows = [
        [r["partition"], r["offset"], r["op"], *(_cell(r["values"].get(name)) for name in names)]
        for r in sample["records"]
    ]
    out.table(rows, ["partition>", "offset>", "op", *names], "newest records")
    for note in sample["notes"]:
        out.line(f"  {note}")


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value

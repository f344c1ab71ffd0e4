"""Commands of somebody who writes connectors: init, validate, preview, and a kind's spec, check and discover."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted, safe
from hub.cli.session import connector_name, load_project
from hub.errors import Conflict, NotFound

if TYPE_CHECKING:
    from hub.catalogue.load import Catalogue
    from hub.catalogue.specs import ConnectorSpec
    from hub.pipeline.preview import PreviewRow
    from hub.settings import Settings


class ConfigAction(StrEnum):
    """What `datong config` prints."""

    SHOW = "show"
    SCHEMA = "schema"


Target = Annotated[str, typer.Argument(help="A connector's name or file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(validate)
    app.command()(preview)
    app.command("test")(check_examples)
    app.command()(config)


def init(
    directory: Annotated[Path, typer.Argument(help="The new project's directory.")],
    as_json: JsonOption = False,
) -> None:
    """Make a small project that works at once. Example: datong init my-hub"""
    from hub.cli.templates import FILES

    out = Output(as_json=as_json)
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", remedy="name a new directory")
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        out.line(f"wrote {directory / name}")
    if as_json:
        out.data({"directory": str(directory), "files": list(FILES)})
    out.line()
    out.line(f"next: cd {directory}", style="bold")
    out.line("      datong preview city-library-branches    see rows and results side by side")
    out.line("      datong run                              publish")


def validate(
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Find every mistake of the project's files at once, each with its line. Example: datong validate"""
    from hub.project import read_catalogue

    out = Output(as_json=as_json)
    loaded = load_project(project)
    catalogue = read_catalogue(loaded, look=True)
    mistakes = list(catalogue.mistakes)
    notes = [*map(str, catalogue.warnings), *_unread(catalogue, loaded.settings)]
    if as_json:
        named = [vars(m) for m in mistakes]
        out.data({"mistakes": named, "notes": notes, "connectors": sorted(catalogue.connectors)})
    for mistake in mistakes:
        out.line(str(mistake), style="red")
    for note in notes:
        out.line(f"note: {note}", style="yellow")
    if mistakes:
        out.line(counted(len(mistakes), "mistake"))
        return 3
    kinds: list[tuple[Sized, str]] = [(catalogue.connectors, "connector"), (catalogue.topics, "topic")]
    kinds += [(catalogue.grants, "grant")]
    kinds += [(catalogue.subscriptions, "subscription")] if catalogue.subscriptions else []
    kinds += [(catalogue.maps, "map")] if catalogue.maps else []
    out.line("valid: " + ", ".join(counted(len(found), kind) for found, kind in kinds), style="green")
    return 0


def _unread(catalogue: Catalogue, settings: Settings) -> Iterator[str]:
    """Sources that cannot be read now: nothing of their files is wrong, but their columns were not looked at either."""
    from hub.builder import check_source

    for name, spec in sorted(catalogue.connectors.items()):
        for finding in check_source(spec, settings).findings:
            if not finding.ok:
                remedy = f" ({finding.remedy})" if finding.remedy else ""
                yield f"the source of {name} cannot be read now: {finding.detail}{remedy}"


def preview(
    connector: Target,
    limit: Annotated[int, typer.Option(help="Source rows to look at, at most.", min=1, max=1000)] = 10,
    rejected: Annotated[bool, typer.Option("--rejected", help="Show only rows that would not be published.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show source rows beside their results or rejections; nothing is stored. Example: datong preview it-mim-schools"""
    from hub.builder import draft, open_source
    from hub.mapping.program import columns_used
    from hub.pipeline.preview import preview as make_preview

    out = Output(as_json=as_json)
    spec, catalogue, settings = _spec(connector, project)
    plan = draft(spec, catalogue, settings)
    rows = make_preview(plan, open_source(spec, settings, columns=frozenset(columns_used(plan.mapping))), limit)
    shown = [r for r in rows if r.outcome != "published"] if rejected else rows
    if as_json:
        out.data({"connector": spec.connector, "rows": [vars(r) for r in shown]})
        return
    for row in shown:
        _show_row(out, row)
    good = sum(r.outcome == "published" for r in rows)
    more = "; --limit 1000 looks at more" if len(rows) == limit < 1000 else ""
    out.line(f"{counted(len(rows), 'row')}: {good} would be published, {len(rows) - good} not{more}")


def _show_row(out: Output, row: PreviewRow) -> None:
    style = {"published": "green", "filtered": "dim"}.get(row.outcome, "red")
    why = f" in {row.path}: {row.explanation}" if row.explanation else ""
    out.line(f"row {row.row}  {row.outcome}{why}", style=style)
    left = [(safe(k), _text(v)) for k, v in (row.source or {}).items()]
    right = [(safe(k), _text(v)) for k, v in _flat(row.result or {})]
    rows = [
        [
            *(left[i] if i < len(left) else ("", "")),
            "→" if i < len(right) else "",
            *(right[i] if i < len(right) else ("", "")),
        ]
        for i in range(max(len(left), len(right)))
    ]
    out.table(rows, ["source", "", "", "result", ""])
    out.line()


def _flat(result: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in result.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


def _text(value: Any) -> str:
    return "NULL" if value is None else safe(value)


def check_examples(
    connector: Annotated[str, typer.Argument(help="A connector's name. Default: all.", show_default=False)] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check the examples that are kept beside connectors (examples.d). Example: datong test it-mim-schools"""
    from hub.builder import draft
    from hub.catalogue.examples import read_examples
    from hub.errors import ConfigurationInvalid
    from hub.pipeline.examples import Wanted, differences

    out = Output(as_json=as_json)
    root = load_project(project).settings.root
    examples, mistakes = read_examples(root)
    if mistakes:
        raise ConfigurationInvalid("the examples are not valid", mistakes=tuple(str(m) for m in mistakes))
    if connector and connector not in examples:
        raise NotFound(f"there are no examples of {connector}", remedy=f"write examples.d/{connector}.yaml")
    results = []
    for name in [connector] if connector else sorted(examples):
        spec, catalogue, settings = _spec(name, project)
        plan = draft(spec, catalogue, settings)
        for number, one in enumerate(examples[name].examples, 1):
            found = differences(plan, Wanted(**one.model_dump(exclude={"name"})))
            results.append({"connector": name, "example": number, "name": one.name, "differences": found})
    if as_json:
        out.data({"examples": results})
    _show_tests(out, results)
    return 1 if any(r["differences"] for r in results) else 0


def _show_tests(out: Output, results: list[dict[str, Any]]) -> None:
    for one in results:
        title = f"{one['connector']}, example {one['example']}" + (f" ({one['name']})" if one["name"] else "")
        for difference in one["differences"]:
            out.line(f"{title}: {difference}", style="red")
    failed = sum(bool(r["differences"]) for r in results)
    out.line(
        f"{len(results)} examples: {len(results) - failed} as they say, {failed} not",
        style="red" if failed else "green",
    )


def config(
    action: Annotated[
        ConfigAction, typer.Argument(help="show, or schema (JSON Schemas of the files, for editors).")
    ] = ConfigAction.SHOW,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting, its value and where it comes from. Example: datong config show"""
    from hub.settings import show

    out = Output(as_json=as_json)
    if action is ConfigAction.SCHEMA:
        from connectors import sink_specs, source_specs
        from hub.catalogue.schemas import json_schemas

        out.data(json_schemas(source_specs(), sink_specs()))
        return
    rows = show(load_project(project))
    if as_json:
        out.data({"settings": [{"setting": k, "value": v, "origin": o} for k, v, o in rows]})
    out.table([list(r) for r in rows], ["setting", "value", "origin"])


def spec(
    kind: Annotated[str, typer.Argument(help="A kind of source, such as files.")],
    as_json: JsonOption = False,
) -> None:
    """The settings of a kind of source; with --json as JSON Schema. Example: datong connector spec files"""
    from connectors import KINDS
    from hub.catalogue.described import described

    if kind not in KINDS:
        raise NotFound(f"there is no kind {kind}", remedy=f"known: {', '.join(KINDS)}")
    out, schema = Output(as_json=as_json), KINDS[kind].spec.model_json_schema()
    if as_json:
        out.data(schema)
    rows = [[s.name, s.value, "required" if s.required else s.default, s.text] for s in described(schema, schema)]
    out.table(rows, ["setting<", "value", "default", "what it is"])


def check(connector: Target, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Is a connector's source reachable and readable? Example: datong connector check it-mim-schools"""
    from hub.builder import check_source
    from hub.cli.doctor import print_findings

    out = Output(as_json=as_json)
    found, _catalogue, settings = _spec(connector, project)
    report = check_source(found, settings)
    if as_json:
        out.data({"findings": [vars(f) for f in report.findings]})
    print_findings(out, report.findings)
    return 0 if report.ok else 5


def discover(connector: Target, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """The columns that a connector's source has. Example: datong connector discover it-mim-schools"""
    from hub.builder import open_source

    out = Output(as_json=as_json)
    found, _catalogue, settings = _spec(connector, project)
    with closing(open_source(found, settings)) as source:
        streams = source.discover()
    if as_json:
        out.data({"streams": [{"name": s.name, "columns": {f.name: str(f.type) for f in s.columns}} for s in streams]})
    for stream in streams:
        out.line(stream.name, style="bold")
        out.table([[f.name, str(f.type)] for f in stream.columns], ["column", "type"])


def _spec(connector: str, project: Path | None) -> tuple[ConnectorSpec, Catalogue, Settings]:
    """A connector's declaration by name or file. The mistakes that keep it out are the error."""
    from hub import logs
    from hub.catalogue.mistakes import did_you_mean
    from hub.errors import ConfigurationInvalid
    from hub.project import read_catalogue

    name = connector_name(connector)
    loaded = load_project(project)
    logs.configure(loaded.settings.logging.format, loaded.settings.logging.level)
    catalogue = read_catalogue(loaded)
    found = catalogue.connectors.get(name)
    if found is None:
        mistakes = tuple(str(m) for m in catalogue.mistakes)
        if mistakes:
            raise ConfigurationInvalid(f"connector {name} cannot be used", mistakes=mistakes)
        known = catalogue.connectors
        remedy = did_you_mean(name, known) or f"known: {', '.join(sorted(known)) or 'none'}"
        raise NotFound(f"there is no connector {name}", remedy=remedy)
    return found, catalogue, loaded.settings

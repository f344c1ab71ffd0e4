"""Commands of somebody who writes connectors: init, validate, preview, and a kind's spec, check and discover."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, safe
from hub.cli.session import project_of
from hub.errors import Conflict, NotFound

if TYPE_CHECKING:
    from hub.catalogue.load import Catalogue
    from hub.pipeline.preview import PreviewRow

Target = Annotated[str, typer.Argument(help="A connector's name or file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(validate)
    app.command()(preview)
    app.command()(config)


def load_catalogue(project: Path) -> Catalogue:
    """The project's catalogue, mistakes included, without opening the hub."""
    from hub.app import read_catalogue
    from hub.settings import load_settings

    return read_catalogue(load_settings(project), look=True)


def init(
    directory: Annotated[Path, typer.Argument(help="The new project's directory.")],
) -> None:
    """Make a small project that works at once. Example: datong init my-hub"""
    from hub.cli.templates import FILES

    out = Output(as_json=False)
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", remedy="name a new directory")
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        out.line(f"wrote {directory / name}")
    out.line()
    out.line(f"next: cd {directory}", style="bold")
    out.line("      datong preview city-library-branches    see rows and results side by side")
    out.line("      datong run                              publish")


def validate(
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Find every mistake of the project's files at once, each with its line. Example: datong validate"""
    out = Output(as_json=as_json)
    catalogue = load_catalogue(project_of(project))
    mistakes = list(catalogue.mistakes)
    if as_json:
        out.data({"mistakes": [vars(m) for m in mistakes], "connectors": sorted(catalogue.connectors)})
    for mistake in mistakes:
        out.line(str(mistake), style="red")
    if mistakes:
        out.line("1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes")
        return 3
    counts = f"{len(catalogue.connectors)} connectors, {len(catalogue.topics)} topics, {len(catalogue.grants)} grants"
    out.line(f"valid: {counts}", style="green")
    return 0


def preview(
    connector: Target,
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1, max=1000)] = 10,
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
    if as_json:
        out.data({"connector": spec.connector, "rows": [vars(r) for r in rows]})
        return
    for row in rows:
        _show_row(out, row)
    good = sum(r.outcome == "published" for r in rows)
    out.line(f"{len(rows)} rows: {good} would be published, {len(rows) - good} not")


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


def config(
    action: Annotated[str, typer.Argument(help="show, or schema (JSON Schemas of the files, for editors).")] = "show",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting, its value and where it comes from. Example: datong config show"""
    from hub.settings import load_settings, show

    out = Output(as_json=as_json)
    if action == "schema":
        from connectors import KINDS
        from hub.catalogue.schemas import json_schemas

        out.data(json_schemas({name: kind.spec for name, kind in KINDS.items()}))
        return
    rows = show(load_settings(project_of(project)))
    if as_json:
        out.data({"settings": [{"setting": k, "value": v, "origin": o} for k, v, o in rows]})
    out.table([list(r) for r in rows], ["setting", "value", "origin"])


def spec(kind: Annotated[str, typer.Argument(help="A kind of source, such as files.")]) -> None:
    """The settings of a kind of source, as JSON Schema. Example: datong connector spec files"""
    from connectors import KINDS

    if kind not in KINDS:
        raise NotFound(f"there is no kind {kind}", remedy=f"known: {', '.join(KINDS)}")
    Output(as_json=True).data(KINDS[kind].spec.model_json_schema())


def check(connector: Target, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Is a connector's source reachable and readable? Example: datong connector check it-mim-schools"""
    from hub.builder import open_source

    out = Output(as_json=as_json)
    found, _catalogue, settings = _spec(connector, project)
    report = open_source(found, settings).check()
    if as_json:
        out.data({"findings": [vars(f) for f in report.findings]})
    for finding in report.findings:
        out.line(
            f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}  {finding.detail}", style=None if finding.ok else "red"
        )
        if finding.remedy:
            out.line(f"      {finding.remedy}")
    return 0 if report.ok else 5


def discover(connector: Target, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """The columns that a connector's source has. Example: datong connector discover it-mim-schools"""
    from hub.builder import open_source

    out = Output(as_json=as_json)
    found, _catalogue, settings = _spec(connector, project)
    streams = open_source(found, settings).discover()
    if as_json:
        out.data({"streams": [{"name": s.name, "columns": {f.name: str(f.type) for f in s.columns}} for s in streams]})
    for stream in streams:
        out.line(stream.name, style="bold")
        out.table([[f.name, str(f.type)] for f in stream.columns], ["column", "type"])


def _spec(connector: str, project: Path | None) -> tuple[Any, Catalogue, Any]:
    """A connector's declaration by name or file. Its own mistakes are the error."""
    from hub.app import read_catalogue
    from hub.errors import ConfigurationInvalid
    from hub.settings import load_settings

    loaded = load_settings(project_of(project))
    catalogue = read_catalogue(loaded)
    name = Path(connector).stem if connector.endswith((".yaml", ".yml")) else connector
    found = catalogue.connectors.get(name)
    if found is None:
        mistakes = tuple(str(m) for m in catalogue.mistakes)
        if mistakes:
            raise ConfigurationInvalid(f"connector {name} cannot be used", mistakes=mistakes)
        raise NotFound(f"there is no connector {name}", remedy=f"known: {', '.join(sorted(catalogue.connectors))}")
    return found, catalogue, loaded.settings

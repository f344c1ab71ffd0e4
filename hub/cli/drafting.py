"""`datong connector new`: from a source to a connector that can be previewed, with what was guessed said aloud."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import load_project
from hub.errors import ConfigurationInvalid, Conflict

if TYPE_CHECKING:
    import pyarrow as pa

    from hub.catalogue.propose import Field
    from hub.ports import Source
    from hub.settings import Settings

SAMPLE_ROWS = 1000
WORKBOOKS = ("workbook", "xlsx", "xlsm", "xls", "ods")
LAST_ROWS = 50  # of a workbook, looked at for its footer
LINE = 110  # columns of the YAML that is written
Mode = Literal["append", "upsert", "snapshot"]


def new(
    name: Annotated[str, typer.Argument(help="The connector's name, such as city-library-branches.")],
    agency: Annotated[str, typer.Option(help="The agency that publishes; added to agencies.yaml if new.")] = "",
    topic: Annotated[str, typer.Option(help="The topic: agency.domain.entity.v1.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of source; `datong connector spec KIND` shows its settings.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the source: path=data/x.csv, header=2, paging.by=page."),
    ] = None,
    schema: Annotated[
        str, typer.Option(help="An existing schema, such as education/school.avsc. Default: a new one.")
    ] = "",
    key: Annotated[
        str, typer.Option(help="Columns that identify a row, with commas. Default: the first unique one.")
    ] = "",
    mode: Annotated[str, typer.Option(help="append, upsert or snapshot. Default: snapshot where there is a key.")] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Look at a source and write a connector for it. Example: datong connector new city-trees --agency city-parks
    --topic city-parks.nature.tree.v1 --kind files --set path=data/trees.xlsx --set header=2"""
    from hub import logs
    from hub.catalogue.propose import likely_key, look

    out = Output(as_json=as_json)
    loaded = load_project(project)
    logs.configure(loaded.settings.logging.format, loaded.settings.logging.level)
    root = loaded.settings.root
    target = root / "connectors.d" / f"{name}.yaml"
    if target.exists():
        raise Conflict(f"{target.relative_to(root)} is there already", remedy="choose another name, or edit that file")
    answers = _Answers(asks=sys.stdin.isatty() and not as_json)
    agency = agency or answers.ask("Agency that publishes (id)", "--agency")
    topic = topic or answers.ask(f"Topic, {agency}.domain.entity.v1", "--topic", default=f"{agency}.data.{name}.v1")
    kind = kind or answers.ask("Kind of source", "--kind", default="files")
    source = _source(kind, settings or [], answers)
    sampled = _look(kind, source, loaded.settings, name)
    source, sample = sampled.source, sampled.rows
    columns = look(sample)
    keys = [k.strip() for k in key.split(",") if k.strip()] or likely_key(columns)
    unknown = [k for k in keys if k not in sample.schema.names]
    if unknown:
        raise ConfigurationInvalid(
            f"the source has no column `{unknown[0]}`", remedy=", ".join(sample.schema.names[:40])
        )
    draft = _Draft(root=root, name=name, agency=agency, topic=topic, source=source, where=sampled.where, keys=keys,
                   mode=mode)  # fmt: skip
    mapping = draft.with_schema(schema) if schema else draft.with_new_schema(columns)
    if schema:
        from hub.catalogue.propose import draft_mapping

        mapping = draft_mapping(draft.target, columns, draft.symbols)
    written = draft.write(mapping, required=schema == "")
    return _report(out, root, name, written, mapping, sampled)


class _Answers:
    """What the flags left open: asked on a terminal, told otherwise."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def ask(self, question: str, flag: str, default: str | None = None) -> str:
        if not self.asks:
            raise ConfigurationInvalid(f"{flag} is not given", remedy=f"{question}: say it with {flag}")
        return str(typer.prompt(question, default=default))


def _source(kind: str, given: Sequence[str], answers: _Answers) -> dict[str, Any]:
    """The settings of the source, checked by its kind."""
    import yaml
    from pydantic import ValidationError

    from connectors import KINDS

    if kind not in KINDS:
        raise ConfigurationInvalid(f"`{kind}` is not a kind of source", remedy=f"known: {', '.join(KINDS)}")
    made: dict[str, Any] = {"kind": kind}
    for one in given:
        path, equals, value = one.partition("=")
        if not equals:
            raise ConfigurationInvalid(f"`--set {one}` has no `=`", remedy="--set path=data/x.csv")
        at = made
        *steps, last = path.split(".")
        for step in steps:
            at = at.setdefault(step, {})
        at[last] = yaml.safe_load(value) if not value.startswith(("*", "&", "!")) else value
    for required, about in KINDS[kind].spec.model_fields.items():
        if about.is_required() and required not in made:
            made[required] = answers.ask(f"{required}: {about.description}", f"--set {required}=…")
    try:
        KINDS[kind].spec.model_validate(made)
    except ValidationError as error:
        mistakes = tuple(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationInvalid("the source's settings are not valid", mistakes=mistakes) from None
    return made


@dataclass(frozen=True, kw_only=True)
class _Sampled:
    """Rows of the table, the settings that give them, and what was noticed on the way."""

    rows: pa.RecordBatch
    looked_at: int
    source: dict[str, Any]
    where: str = ""  # leaves out what is none of the table
    notes: Sequence[str] = ()


def _look(kind: str, source: dict[str, Any], settings: Settings, name: str) -> _Sampled:
    """A sample of the source, and of the list within it where it is one document."""
    from hub.catalogue.noticed import MORE_PAGES, delimiter, envelope, footer
    from hub.catalogue.propose import reference

    notes: list[str] = []
    mark = delimiter(_header(kind, source, settings, name)) if _is_csv(source) and "delimiter" not in source else ""
    if mark:
        source = {**source, "delimiter": mark}
        notes.append(f"the columns are taken to have {json.dumps(mark)} between them: `delimiter: {json.dumps(mark)}`")
    rows = _sample(kind, source, settings, name)
    document = envelope(rows) if _is_json(kind, source) and "items" not in source else None
    if document is not None:
        source = {**source, "items": document.items}
        if kind == "rest" and document.paging and "paging" not in source:
            source["paging"] = dict(document.paging)
        notes += document.notes
        rows = _sample(kind, source, settings, name)
    if kind == "rest" and "paging" not in source and not any("paging:" in note for note in notes):
        notes.append(f"one page is read; if there are more, {MORE_PAGES}")
    last = footer(rows) if _is_workbook(source) else None  # of others, the end is not in the sample
    if last is None:
        return _Sampled(rows=rows, looked_at=rows.num_rows, source=source, notes=notes)
    where = f"{reference(last.column)} IS NOT NULL" if last.column else ""
    left_out = f"left out by `where: {where}`" if where else "leave it out with `where:`"
    notes.append(f"the last {last.rows} of these rows, nearly blank or sums, look like a footer: {left_out}")
    table = rows.slice(0, rows.num_rows - last.rows)
    return _Sampled(rows=table, looked_at=rows.num_rows, source=source, where=where, notes=notes)


def _header(kind: str, source: Mapping[str, Any], settings: Settings, name: str) -> Sequence[str]:
    with _opened(kind, source, settings, name) as opened:
        found: Sequence[str] = opened.discover()[0].columns.names
        return found


def _opened(kind: str, source: Mapping[str, Any], settings: Settings, name: str) -> closing[Source]:
    from connectors import KINDS
    from hub.builder import open_kind

    return closing(open_kind(kind, KINDS[kind].spec.model_validate(source), settings, task=name, mode="append"))


def _sample(kind: str, source: Mapping[str, Any], settings: Settings, name: str) -> pa.RecordBatch:
    """Some rows of the source; of a workbook the last ones too, where its footer is."""
    import pyarrow as pa

    whole = _is_workbook(source)
    head = tail = None
    failed: list[str] = []
    with _opened(kind, source, settings, name) as opened:
        for batch in opened.batches(None, Event()):
            failed += [f.reason for f in batch.failures]
            if batch.records.num_rows:
                head, tail = head or batch.records, batch.records
                if not whole:
                    break
    if head is None or tail is None:
        raise _nothing(failed)
    if (head is tail and head.num_rows <= SAMPLE_ROWS) or head.schema != tail.schema or not whole:
        return head.slice(0, SAMPLE_ROWS)
    ends = [head.slice(0, SAMPLE_ROWS - LAST_ROWS), tail.slice(max(tail.num_rows - LAST_ROWS, 0))]
    return pa.Table.from_batches(ends).combine_chunks().to_batches()[0]


def _nothing(failed: Sequence[str]) -> ConfigurationInvalid:
    """Why there is no sample: no rows, or none that can be read."""
    if not failed:
        remedy = "see `datong connector check` once it has some"
        return ConfigurationInvalid("the source has no rows to look at", remedy=remedy)
    reasons = ", ".join(sorted(set(failed)))
    return ConfigurationInvalid(
        f"none of the {len(failed):,} rows that were looked at can be read ({reasons})",
        remedy="of a text file, say where its header is and what stands between columns: --set header=3 "
        "--set 'delimiter=;'",
    )


def _is_csv(source: Mapping[str, Any]) -> bool:
    return _format(source) in ("csv", "txt")


def _is_json(kind: str, source: Mapping[str, Any]) -> bool:
    return kind == "rest" or _format(source) == "json"


def _is_workbook(source: Mapping[str, Any]) -> bool:
    return _format(source) in WORKBOOKS


def _format(source: Mapping[str, Any]) -> str:
    """Of files, the format that is set, or the ending; of other kinds nothing."""
    name = str(source.get("member") or source.get("path") or "").lower().removesuffix(".gz")
    return str(source.get("format") or name.removesuffix(".topo.json").rpartition(".")[2])


class _Draft:
    """The files of one new connector."""

    def __init__(
        self, *, root: Path, name: str, agency: str, topic: str, source: dict[str, Any], where: str, keys: list[str],
        mode: str,
    ) -> None:  # fmt: skip
        self._root, self._name, self._agency, self._topic = root, name, agency, topic
        self._source, self._where, self._keys, self._mode = source, where, keys, mode
        steps = topic.split(".")
        self._domain, self._entity = (steps[1], steps[-2]) if len(steps) >= 4 else ("data", name)
        self._schema_name = f"{self._domain}/{self._entity}.avsc"
        self._schema_text = ""
        self.target: Any = None
        self.symbols: Mapping[str, Sequence[str]] = {}

    def with_schema(self, schema: str) -> list[Field]:
        """Use one that is there."""
        from hub.builder import symbols_of
        from hub.catalogue.schema_files import Refused, SchemaFiles
        from hub.project import schema_dirs

        found = SchemaFiles(folders=schema_dirs(self._root)).get(schema)
        if isinstance(found, Refused):
            raise ConfigurationInvalid(found.message, where=schema, remedy=found.suggestion)
        self._schema_name, self.target, self.symbols = schema, found.columns, symbols_of(found.record)
        return []

    def with_new_schema(self, columns: Sequence[Any]) -> list[Field]:
        """Make one after the columns."""
        from hub.catalogue.propose import draft_schema

        title = "".join(part.capitalize() for part in self._entity.replace("_", "-").split("-"))
        schema, mapping = draft_schema(title, f"gov.datong.{self._domain.replace('-', '_')}", columns, self._keys)
        self._schema_text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        return mapping

    def write(self, mapping: Sequence[Field], *, required: bool) -> list[str]:
        """Every file that is not there yet; the names of those written."""
        files = {f"connectors.d/{self._name}.yaml": self._connector(mapping)}
        if required:
            files[f"schemas/{self._schema_name}"] = self._schema_text
        topics = (self._root / "topics.d").glob("*.y*ml")
        if not any(f"topic: {self._topic}\n" in p.read_text("utf-8", "replace") for p in topics):
            files[f"topics.d/{self._name}.yaml"] = self._topic_text()
        written = []
        for name, text in files.items():
            path = self._root / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
        return written + self._add_agency()

    def _connector(self, mapping: Sequence[Field]) -> str:
        key = [f.path for name in self._keys for f in mapping if f.column == name and f.expression]
        mode = self._mode or ("snapshot" if key else "append")
        publish: dict[str, Any] = {"topic": self._topic, "schema": self._schema_name}
        if mode != "append":
            publish["key"] = key
        publish |= {"mode": mode, "where": self._where} if self._where else {"mode": mode}
        publish |= {"fields": {f.path: f.expression for f in mapping if f.expression}}
        document = {"connector": self._name, "agency": self._agency, "source": self._source, "publish": publish}
        text = _text_of(document)
        left = [f for f in mapping if not f.expression]
        notes = "".join(f"    # {f.path}: {f.note}\n" for f in left)
        return text + notes

    def _topic_text(self) -> str:
        title = self._entity.replace("-", " ").replace("_", " ").capitalize()
        document = {
            "topic": self._topic,
            "title": {"en": title},
            "partitions": 1,
            "sharing": "conditional",
        }
        return _text_of(document)

    def _add_agency(self) -> list[str]:
        """At the end of agencies.yaml, where it is a list and lacks this one."""
        path = self._root / "agencies.yaml"
        text = path.read_text(encoding="utf-8") if path.exists() else "agencies:\n"
        import yaml

        known = yaml.safe_load(text) or {}
        if any(isinstance(a, dict) and a.get("id") == self._agency for a in known.get("agencies") or []):
            return []
        entry = f"  - id: {self._agency}\n    name: {{en: {self._agency}, zh: {self._agency}}}\n"
        path.write_text(text.rstrip("\n") + "\n" + entry, encoding="utf-8")
        return ["agencies.yaml"]


def _report(out: Output, root: Path, name: str, written: list[str], mapping: Sequence[Field], sampled: _Sampled) -> int:
    from hub.project import read_catalogue

    mistakes = [
        m for m in read_catalogue(load_project(root), look=True).mistakes if m.file in written or name in m.file
    ]
    if out.as_json:
        out.data(
            {
                "written": written,
                "fields": [vars(f) for f in mapping],
                "mistakes": [vars(m) for m in mistakes],
                "rows_looked_at": sampled.looked_at,
                "notes": list(sampled.notes),
            }
        )
        return 3 if mistakes else 0
    for file in written:
        out.line(f"wrote {file}")
    out.line(f"looked at {sampled.looked_at:,} rows")
    for note in sampled.notes:
        out.line(f"note: {note}", style="yellow")
    out.table([[f.path, f.expression or "?", f.note] for f in mapping], ["field", "expression", "note"])
    for mistake in mistakes:
        out.line(str(mistake), style="red")
    out.line()
    out.line(f"next: {'mend what is red, then ' if mistakes else ''}datong preview {name}", style="bold")
    return 3 if mistakes else 0


def _text_of(document: Mapping[str, Any]) -> str:
    """As a person writes it."""
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=LINE)

"""`datong connector new`: from a source to a connector that can be previewed, with what was guessed said aloud."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import load_project
from hub.errors import ConfigurationInvalid, Conflict

if TYPE_CHECKING:
    import pyarrow as pa

    from hub.catalogue.propose import Field
    from hub.settings import Settings

SAMPLE_ROWS = 1000
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
    from hub.catalogue.propose import likely_key, look

    out = Output(as_json=as_json)
    loaded = load_project(project)
    root = loaded.settings.root
    target = root / "connectors.d" / f"{name}.yaml"
    if target.exists():
        raise Conflict(f"{target.relative_to(root)} is there already", remedy="choose another name, or edit that file")
    answers = _Answers(asks=sys.stdin.isatty() and not as_json)
    agency = agency or answers.ask("Agency that publishes (id)", "--agency")
    topic = topic or answers.ask(f"Topic, {agency}.domain.entity.v1", "--topic", default=f"{agency}.data.{name}.v1")
    kind = kind or answers.ask("Kind of source", "--kind", default="files")
    source = _source(kind, settings or [], answers)
    sample = _sample(kind, source, loaded.settings, name)
    columns = look(sample)
    keys = [k.strip() for k in key.split(",") if k.strip()] or likely_key(columns)
    unknown = [k for k in keys if k not in sample.schema.names]
    if unknown:
        raise ConfigurationInvalid(
            f"the source has no column `{unknown[0]}`", remedy=", ".join(sample.schema.names[:40])
        )
    draft = _Draft(root=root, name=name, agency=agency, topic=topic, kind=kind, source=source, keys=keys, mode=mode)
    mapping = draft.with_schema(schema) if schema else draft.with_new_schema(columns)
    if schema:
        from hub.catalogue.propose import draft_mapping

        mapping = draft_mapping(draft.target, columns, draft.symbols)
    written = draft.write(mapping, required=schema == "")
    return _report(out, root, name, written, mapping, sample.num_rows)


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


def _sample(kind: str, source: Mapping[str, Any], settings: Settings, name: str) -> pa.RecordBatch:
    """Some rows of the source."""
    from connectors import KINDS
    from hub.builder import open_kind

    opened = open_kind(kind, KINDS[kind].spec.model_validate(source), settings, task=name, mode="append")
    stop = Event()
    try:
        for batch in opened.batches(None, stop):
            if batch.records.num_rows:
                stop.set()
                return batch.records.slice(0, SAMPLE_ROWS)
    finally:
        opened.close()
    raise ConfigurationInvalid(
        "the source has no rows to look at", remedy="see `datong connector check` once it has some"
    )


class _Draft:
    """The files of one new connector."""

    def __init__(
        self, *, root: Path, name: str, agency: str, topic: str, kind: str, source: dict[str, Any], keys: list[str],
        mode: str,
    ) -> None:  # fmt: skip
        self._root, self._name, self._agency, self._topic, self._kind = root, name, agency, topic, kind
        self._source, self._keys, self._mode = source, keys, mode
        steps = topic.split(".")
        self._domain, self._entity = (steps[1], steps[-2]) if len(steps) >= 4 else ("data", name)
        self._schema_name = f"{self._domain}/{self._entity}.avsc"
        self._schema_text = ""
        self.target: Any = None
        self.symbols: Mapping[str, Sequence[str]] = {}

    def with_schema(self, schema: str) -> list[Field]:
        """Use one that is there."""
        from hub.app import schema_dirs
        from hub.builder import symbols_of
        from hub.catalogue.schema_files import Refused, SchemaFiles

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
        publish |= {"mode": mode, "fields": {f.path: f.expression for f in mapping if f.expression}}
        document = {"connector": self._name, "agency": self._agency, "source": self._source, "publish": publish}
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=LINE)
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
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=LINE)

    def _add_agency(self) -> list[str]:
        """At the end of agencies.yaml, where it is a list and lacks this one."""
        path = self._root / "agencies.yaml"
        text = path.read_text(encoding="utf-8") if path.exists() else "agencies:\n"
        known = yaml.safe_load(text) or {}
        if any(isinstance(a, dict) and a.get("id") == self._agency for a in known.get("agencies") or []):
            return []
        entry = f"  - id: {self._agency}\n    name: {{en: {self._agency}, zh: {self._agency}}}\n"
        path.write_text(text.rstrip("\n") + "\n" + entry, encoding="utf-8")
        return ["agencies.yaml"]


def _report(out: Output, root: Path, name: str, written: list[str], mapping: Sequence[Field], rows: int) -> int:
    from hub.app import read_catalogue

    mistakes = [
        m for m in read_catalogue(load_project(root), look=True).mistakes if m.file in written or name in m.file
    ]
    if out.as_json:
        out.data(
            {
                "written": written,
                "fields": [vars(f) for f in mapping],
                "mistakes": [vars(m) for m in mistakes],
                "rows_looked_at": rows,
            }
        )
        return 3 if mistakes else 0
    for file in written:
        out.line(f"wrote {file}")
    out.line(f"looked at {rows:,} rows")
    out.table([[f.path, f.expression or "?", f.note] for f in mapping], ["field", "expression", "note"])
    for mistake in mistakes:
        out.line(str(mistake), style="red")
    out.line()
    out.line(f"next: {'mend what is red, then ' if mistakes else ''}datong preview {name}", style="bold")
    return 3 if mistakes else 0

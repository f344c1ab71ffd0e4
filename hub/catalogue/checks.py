"""What can only be seen across files: connectors, topics, schemas and agencies must fit each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from hub.access.project import UnknownField, project
from hub.catalogue.declared import Declared
from hub.catalogue.mistakes import Mistake, Place, checked, did_you_mean, nearest
from hub.catalogue.schema_files import Refused, SchemaFile, SchemaFiles, scalar_columns
from hub.catalogue.specs import AgencySpec, ConnectorSpec, GrantSpec, TopicSpec
from hub.errors import DatongError, ExpressionInvalid
from hub.mapping.codelists import CodeLists
from hub.mapping.language import parse_expression
from hub.mapping.program import MappingSpec, Problem, columns_used, compile_filter, leaves, problems
from hub.mapping.typing import Typed

Discover = Callable[[ConnectorSpec], "pa.Schema | None"]
CLEAR_PASSWORD = re.compile(r"://[^/\s:@]*:(?!\$\{secret:)[^/\s@]+@")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What declarations are checked against."""

    agencies: Mapping[str, AgencySpec]
    claimed_agencies: Collection[str] | None  # also those whose entry has mistakes; None: nobody can say
    topics: Mapping[str, Declared[TopicSpec]]
    claimed_topics: Mapping[str, str]  # also those whose file has mistakes
    schemas: SchemaFiles
    codes: CodeLists
    kinds: Mapping[str, type[BaseModel]]  # of sources
    sinks: Mapping[str, type[BaseModel]]
    discover: Discover | None = None


def with_source(one: Declared[ConnectorSpec], context: Context) -> tuple[Declared[ConnectorSpec], list[Mistake]]:
    """The connector with its source as its kind's own value, and what is wrong with the source."""
    source, mistakes = of_kind(one.spec.source, "source", one.place, context.kinds)
    if source is None:
        return one, mistakes
    return Declared(spec=one.spec.model_copy(update={"source": source}), place=one.place), mistakes


def of_kind(
    raw: Any, part: str, place: Place, kinds: Mapping[str, type[BaseModel]]
) -> tuple[BaseModel | None, list[Mistake]]:
    """The settings of a source or a sink as the value of their kind, or what is wrong with them."""
    if not isinstance(raw, dict):
        return None, [place.mistake((part,), "must have fields of its own", "at least `kind`")]
    name = raw.get("kind")
    kind = name if isinstance(name, str) else ""
    if kind not in kinds:
        suggestion = did_you_mean(kind, kinds) or f"known: {', '.join(sorted(kinds))}"
        mistake = place.mistake((part, "kind"), f"is not a kind of {part}", suggestion)
        meant = nearest(kind, kinds)
        more = _settings(kinds[meant], {**raw, "kind": meant}, part, place)[1] if meant else []
        return None, [mistake, *more]
    return _settings(kinds[kind], raw, part, place)


def _settings(
    model: type[BaseModel], raw: dict[str, Any], part: str, place: Place
) -> tuple[BaseModel | None, list[Mistake]]:
    at = Place(file=place.file, document=place.document, prefix=(part,))
    made, mistakes = checked(model, raw, at)
    mistakes += [
        at.mistake((name,), "a password stands in the file", "write ${secret:NAME} in its place")
        for name, value in raw.items()
        if isinstance(value, str) and CLEAR_PASSWORD.search(value)
    ]
    return made, mistakes


def check_agency(one: Declared[Any], path: str, context: Context) -> Iterator[Mistake]:
    """An agency that is declared."""
    claimed = context.claimed_agencies
    if claimed is not None and one.spec.agency not in claimed:
        suggestion = did_you_mean(one.spec.agency, claimed) or "declare it in agencies.yaml"
        yield one.place.mistake((path,), f"`{one.spec.agency}` is not a declared agency", suggestion)


def check_connector(one: Declared[ConnectorSpec], context: Context, *, look: bool) -> Iterator[Mistake]:
    """Agency, topic, schema, key and mapping of a connector. `look`: its source may be asked for columns."""
    publish, place = one.spec.publish, one.place
    yield from check_agency(one, "agency", context)
    if publish.topic.partition(".")[0] != one.spec.agency:
        rest = publish.topic.partition(".")[2]
        yield place.mistake(
            ("publish", "topic"),
            f"a topic begins with the agency that publishes it (R9), here {one.spec.agency}",
            f"`{one.spec.agency}.{rest}`",
        )
    yield from _declared_topic(publish.topic, ("publish", "topic"), place, context)
    if publish.mode != "append" and not publish.key:
        suggestion = "name the fields that identify a record"
        yield place.mistake(("publish", "key"), f"mode {publish.mode} needs a key", suggestion)
    schema: SchemaFile | Refused | None = context.schemas.get(publish.schema_file)
    if isinstance(schema, Refused):
        yield place.mistake(("publish", "schema"), schema.message, schema.suggestion)
        schema = context.schemas.meant(publish.schema_file)
    if schema is not None:
        yield from _key(one, schema)
    yield from _mapping(one, schema, context, look=look)


def _declared_topic(topic: str, path: tuple[str, ...], place: Place, context: Context) -> Iterator[Mistake]:
    if topic not in context.claimed_topics:
        entity = topic.split(".")[-2]
        suggestion = did_you_mean(topic, context.claimed_topics) or f"declare it in topics.d/{entity}.yaml"
        yield place.mistake(path, f"topic `{topic}` is not declared", suggestion)


def _key(one: Declared[ConnectorSpec], schema: SchemaFile) -> Iterator[Mistake]:
    known = scalar_columns(schema.columns)
    for i, name in enumerate(one.spec.publish.key):
        path = ("publish", "key", i)
        if name not in known:
            yield one.place.mistake(path, f"`{name}` is no plain field of {schema.name}", did_you_mean(name, known))
        elif known[name].nullable:
            yield one.place.mistake(
                path, f"`{name}` may be null in {schema.name}, a key may not", "make it required there"
            )


def _mapping(
    one: Declared[ConnectorSpec], schema: SchemaFile | None, context: Context, *, look: bool
) -> Iterator[Mistake]:
    """What the mapping's own checker finds. Columns of an unknown source are of no type, which fits every type."""
    spec = one.spec.publish.mapping
    columns: pa.Schema | None = None
    if context.discover is not None and look:
        try:
            columns = context.discover(one.spec)
        except DatongError as error:
            yield one.place.mistake(("source",), f"the columns cannot be seen: {error.message}", error.remedy)
    if columns is None:
        columns = pa.schema([(name, pa.null()) for name in sorted(_columns(spec))])
    if schema is None:
        found = list(_without_target(spec, columns, context.codes))
    else:
        found = problems(spec, columns, schema.columns, context.codes)
    for problem in found:
        section, _, name = problem.path.partition(".")
        path = ("publish", section, name) if name else ("publish", section)
        at = f", at character {problem.position + 1}" if problem.position else ""
        yield one.place.mistake(path, problem.message + at, problem.suggestion)


def _without_target(spec: MappingSpec, columns: pa.Schema, codes: CodeLists) -> Iterator[Problem]:
    """What is wrong with expressions whatever the schema is: words, functions, source columns."""
    typed = Typed({**dict.fromkeys(spec.optional, pa.string()), **{f.name: f.type for f in columns}}, codes)
    texts = {**{f"fields.{k}": v for k, v in spec.fields.items()}, **({"where": spec.where} if spec.where else {})}
    for path, text in texts.items():
        try:
            typed.check(parse_expression(text, typed.columns))
        except ExpressionInvalid as error:
            yield Problem(path=path, message=error.message, position=error.position, suggestion=error.remedy)


def _columns(spec: MappingSpec) -> set[str]:
    """Source columns of every expression that can be read; the others are the checker's to report."""
    used: set[str] = set()
    for text in [*spec.fields.values(), *([spec.where] if spec.where else [])]:
        try:
            used |= columns_used(MappingSpec(fields={"": text}))
        except ExpressionInvalid:
            continue
    return used


def check_same(one: Declared[ConnectorSpec], first: Declared[ConnectorSpec]) -> Iterator[Mistake]:
    """Two connectors of one topic publish one kind of record."""
    mine, theirs = one.spec.publish, first.spec.publish
    for path, same in (
        ("schema", mine.schema_file == theirs.schema_file),
        ("mode", mine.mode == theirs.mode),
        ("key", mine.key == theirs.key),
    ):
        if not same:
            yield one.place.mistake(
                ("publish", path),
                f"{first.file} publishes {mine.topic} with another {path}",
                "connectors of one topic share schema, mode and key; or publish another topic",
            )


def check_topic(one: Declared[TopicSpec], publisher: ConnectorSpec | None, context: Context) -> Iterator[Mistake]:
    """A topic's agency, and its fields against the schema of the connector that publishes it."""
    yield from check_agency(one, "topic", context)
    if publisher is None:
        return
    keyed = publisher.publish.mode != "append"
    if one.spec.scope and not keyed:
        yield one.place.mistake(
            ("scope",), "only keyed topics have a scope (R19)", "row filters may use any field here"
        )
    if one.spec.retention and keyed:
        yield one.place.mistake(("retention",), "keyed topics are compacted, not trimmed by age or size (R8)")
    schema = context.schemas.get(publisher.publish.schema_file)
    if isinstance(schema, Refused):
        return
    known = scalar_columns(schema.columns)
    for i, name in enumerate(one.spec.scope):
        if name not in known:
            yield one.place.mistake(
                ("scope", i), f"`{name}` is no plain field of {schema.name}", did_you_mean(name, known)
            )
    yield from _event_time(one, schema, known)


def _event_time(one: Declared[TopicSpec], schema: SchemaFile, known: Mapping[str, pa.Field]) -> Iterator[Mistake]:
    name = one.spec.event_time
    if name is None:
        return
    if name not in known:
        message = f"`{name}` is no plain field of {schema.name}"
        yield one.place.mistake(("event_time",), message, did_you_mean(name, known))
    elif not (pa.types.is_date(known[name].type) or pa.types.is_timestamp(known[name].type)):
        times = [n for n, f in known.items() if pa.types.is_date(f.type) or pa.types.is_timestamp(f.type)]
        suggestion = f"such fields are: {', '.join(times)}" if times else ""
        yield one.place.mistake(("event_time",), f"`{name}` is neither a date nor a timestamp", suggestion)


def check_grant(one: Declared[GrantSpec], publisher: ConnectorSpec | None, context: Context) -> Iterator[Mistake]:
    """A grant's agency, topic, fields and row filter."""
    spec, place = one.spec, one.place
    yield from check_agency(one, "agency", context)
    yield from _declared_topic(spec.topic, ("topic",), place, context)
    topic = context.topics.get(spec.topic)
    if topic is not None and topic.spec.sharing == "not shared":
        yield place.mistake(("topic",), f"{topic.file} says that this topic is not shared")
    schema = None if publisher is None else context.schemas.get(publisher.publish.schema_file)
    if publisher is None or not isinstance(schema, SchemaFile):
        yield from _filter_syntax(one)
        return
    for i, name in enumerate(spec.fields):
        if not _has(schema, name):
            yield place.mistake(
                ("fields", i), f"{schema.name} has no field `{name}`", did_you_mean(name, _paths(schema))
            )
    keyed = publisher.publish.mode != "append"
    lacking = [k for k in publisher.publish.key if k not in spec.fields] if keyed else []
    if lacking:
        yield place.mistake(
            ("fields",), f"a grant on a keyed topic includes its key (R27), here {', '.join(lacking)}", "add it"
        )
    yield from _filter(one, schema, topic.spec.scope if keyed and topic else None)


def _filter_syntax(one: Declared[GrantSpec]) -> Iterator[Mistake]:
    try:
        _ = one.spec.filter_fields
    except ExpressionInvalid as error:
        yield one.place.mistake(("where",), error.message, error.remedy)


def _filter(one: Declared[GrantSpec], schema: SchemaFile, scope: tuple[str, ...] | None) -> Iterator[Mistake]:
    """The row filter compiles, and on a keyed topic sees scope fields only (R19). `scope` None: any field."""
    if one.spec.where is None:
        return
    try:
        compile_filter(one.spec.where, schema.columns)
        outside = [f for f in one.spec.filter_fields if scope is not None and f not in scope]
    except ExpressionInvalid as error:
        at = f", at character {error.position + 1}" if error.position else ""
        yield one.place.mistake(("where",), error.message + at, error.remedy)
        return
    if outside:
        yield one.place.mistake(
            ("where",),
            f"row filters of a keyed topic use its scope only (R19), not {', '.join(outside)}",
            f"the scope is: {', '.join(scope or ()) or 'empty'}",
        )


def _has(schema: SchemaFile, path: str) -> bool:
    try:
        project(schema.record, [path])
    except UnknownField:
        return False
    return True


def _paths(schema: SchemaFile) -> list[str]:
    return sorted({path for path, _ in leaves(schema.columns)} | {f.name for f in schema.columns})

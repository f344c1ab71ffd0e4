"""The kinds of source and of sink there are: two visible tables. A kind's module is imported when one of it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from connectors.context import SinkContext, SourceContext
from connectors.sinks.specs import FileSpec, TableSpec, WebhookSpec
from connectors.sources import push_specs
from connectors.sources.rest_specs import RestSpec
from connectors.sources.specs import FilesSpec, PostgresSpec, SqlSpec
from hub.ports import Sink, Source


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of source: its settings and how to open one."""

    name: str
    summary: str
    spec: type[BaseModel]
    build: Callable[[Any, SourceContext], Source]
    pushed: bool = False  # by HTTP, to /api/v1/intake/CONNECTOR
    takes: bool = False  # what it is sent goes to one reader: a look at it would take it from the connector that runs
    inside: bool = (
        False  # it speaks to databases alone, whose private addresses need no entry in `outbound.allow` (ADR 17)
    )


@dataclass(frozen=True, kw_only=True)
class SinkKind:
    """A kind of sink: its settings and how to open one."""

    name: str
    summary: str
    spec: type[BaseModel]
    build: Callable[[Any, SinkContext], Sink]
    own_place: bool  # the subscriber's system keeps how far it is (`Sink.positions`): nobody else can move it


def _files(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.files import FilesSource

    return FilesSource(spec, context)


def _mqtt(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.mqtt import MqttSource

    return MqttSource(spec, context)


def _postgres(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.postgres import PostgresSource

    return PostgresSource(spec, context)


def _rest(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.rest import RestSource

    return RestSource(spec, context)


def _sql(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.sql import SqlSource

    return SqlSource(spec, context)


def _posted(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.webhook import WebhookSource

    return WebhookSource(spec, context)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="files",
            summary="Files under one directory, on an SFTP server or in zip files: CSV, TSV, NDJSON, JSON, GeoJSON, TopoJSON, "
            "XML, and workbooks (XLSX, XLS, ODS).",
            spec=FilesSpec,
            build=_files,
        ),
        Kind(
            name="mqtt",
            summary="Messages of an MQTT broker (3.1.1 and 5, QoS 1), acknowledged to it when they are durable.",
            spec=push_specs.MqttSpec,
            build=_mqtt,
            takes=True,
        ),
        Kind(
            name="postgres",
            summary="A table of PostgreSQL at speed, whole or by transaction: what commits late is not lost.",
            spec=PostgresSpec,
            build=_postgres,
            inside=True,
        ),
        Kind(
            name="rest",
            summary="A web service that answers with JSON, page by page, whole or what changed since.",
            spec=RestSpec,
            build=_rest,
        ),
        Kind(
            name="sql",
            summary="A table of any database that SQLAlchemy speaks to, whole or incremental.",
            spec=SqlSpec,
            build=_sql,
            inside=True,
        ),
        Kind(
            name="webhook",
            summary="Records that a department's system sends by HTTP, signed; it is answered when they are durable.",
            spec=push_specs.WebhookSpec,
            build=_posted,
            pushed=True,
            takes=True,
        ),
    )
}


def _table(spec: Any, context: SinkContext) -> Sink:
    from connectors.sinks.table import TableSink

    return TableSink(spec, context)


def _file(spec: Any, context: SinkContext) -> Sink:
    from connectors.sinks.file import FileSink

    return FileSink(spec, context)


def _webhook(spec: Any, context: SinkContext) -> Sink:
    from connectors.sinks.webhook import WebhookSink

    return WebhookSink(spec, context)


SINKS: Mapping[str, SinkKind] = {
    kind.name: kind
    for kind in (
        SinkKind(
            name="table",
            summary="A table of the subscriber's database: rows by key, deletions applied, offsets in the same transaction.",
            spec=TableSpec,
            build=_table,
            own_place=True,
        ),
        SinkKind(
            name="file",
            summary="Files in a directory: one for each batch, whole or not there.",
            spec=FileSpec,
            build=_file,
            own_place=True,
        ),
        SinkKind(
            name="webhook",
            summary="JSON by POST to an address of the subscriber's, signed; what fails for good is set aside.",
            spec=WebhookSpec,
            build=_webhook,
            own_place=False,
        ),
    )
}


def source_specs() -> Mapping[str, type[BaseModel]]:
    """The settings of each kind of source."""
    return {name: kind.spec for name, kind in KINDS.items()}


def sink_specs() -> Mapping[str, type[BaseModel]]:
    """The settings of each kind of sink."""
    return {name: kind.spec for name, kind in SINKS.items()}

"""The kinds of source there are: a visible table. A kind's module is imported when a connector of it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from connectors.context import SourceContext
from connectors.sources.rest_specs import RestSpec
from connectors.sources.specs import FilesSpec, PostgresSpec, SqlSpec
from hub.ports import Source


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of source: its settings and how to open one."""

    name: str
    summary: str
    spec: type[BaseModel]
    build: Callable[[Any, SourceContext], Source]


def _files(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.files import FilesSource

    return FilesSource(spec, context)


def _postgres(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.postgres import PostgresSource

    return PostgresSource(spec, context)


def _rest(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.rest import RestSource

    return RestSource(spec, context)


def _sql(spec: Any, context: SourceContext) -> Source:
    from connectors.sources.sql import SqlSource

    return SqlSource(spec, context)


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
            name="postgres",
            summary="A table of PostgreSQL at speed, whole or by transaction: what commits late is not lost.",
            spec=PostgresSpec,
            build=_postgres,
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
        ),
    )
}

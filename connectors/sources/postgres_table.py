"""What the catalogue of a PostgreSQL server says of a table: looked up with parameters, so that no name of a
configuration is ever part of a statement (S1)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.sources.postgres_columns import Column, quote
from connectors.sources.postgres_session import Session
from hub.errors import ColumnsChanged, ConfigurationInvalid

OLDEST = 140_000  # the first with TID range scans, which start in the middle of a table
STORED = ("r", "m")  # kinds of relation that keep rows: a place in them can be gone back to

TABLE = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
       has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'),
       has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname = $2 OR ($2 = '' AND pg_catalog.pg_table_is_visible(c.oid)))
"""
NEAR = """
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege(c.oid, 'SELECT')
  AND (n.nspname = $1 OR ($1 = '' AND pg_catalog.pg_table_is_visible(c.oid) AND n.nspname <> 'pg_catalog'))
LIMIT 1000
"""
COLUMNS = """
WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, b.attname, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT b.attname::text,
       CASE WHEN e.oid IS NULL THEN t.typname ELSE e.typname END::text, e.oid IS NOT NULL, b.modifier,
       pg_catalog.has_column_privilege({oid}::oid, b.attnum, 'SELECT'),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = {oid} AND i.indisprimary AND b.attnum = ANY (i.indkey)),
       (CASE WHEN e.oid IS NULL THEN t.typnamespace ELSE e.typnamespace END)::regnamespace = 'pg_catalog'::regnamespace
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid AND e.typtype <> 'd'
ORDER BY b.attnum
"""
PARTS = """
WITH RECURSIVE parts AS (
    SELECT {oid}::oid AS oid
    UNION
    SELECT i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
)
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::bigint,
       coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::bigint,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END
           / pg_catalog.current_setting('block_size')::bigint,
       c.reltoastrelid <> 0 AND pg_catalog.pg_relation_size(c.reltoastrelid) > 0,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind <> 'p' ORDER BY c.oid
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A relation that holds rows: the table itself, a partition, or a view."""

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind
    rows: int  # estimate of the last ANALYZE; -1: never
    file: int  # changes when the table is rewritten, and every row with it gets another place
    blocks: int
    large: bool  # some cells are kept outside the row
    readable: bool

    @property
    def quoted(self) -> str:
        """`"schema"."name"`"""
        return f"{quote(self.schema)}.{quote(self.name)}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, partitioned table or view, and the relations that hold its rows."""

    oid: int
    schema: str
    name: str
    kind: str
    whole: bool  # the user has SELECT on all of it, not on some columns only
    columns: Sequence[Column]
    primary_key: Sequence[str]
    parts: Sequence[Part]

    @property
    def quoted(self) -> str:
        """`"schema"."name"`"""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def names(self) -> Sequence[str]:
        """Of its columns."""
        return tuple(c.name for c in self.columns)

    @property
    def stored(self) -> bool:
        """Every row has a place that can be gone back to, and a transaction that wrote it."""
        return all(p.kind in STORED for p in self.parts)

    @property
    def by_place(self) -> bool:
        """The user may ask for places and transactions too."""
        return self.stored and self.whole and all(p.readable for p in self.parts)

    @property
    def rows(self) -> int | None:
        """Estimate; None where the table was never analysed."""
        return None if any(p.rows < 0 for p in self.parts) or not self.stored else sum(p.rows for p in self.parts)

    @property
    def lockable(self) -> bool:
        """LOCK TABLE takes it."""
        return self.whole and self.kind in ("r", "p", "v")


def find(session: Session, table: str) -> Table:
    """The table of that name. Raises ConfigurationInvalid when there is none, or when it may not be read."""
    (version,) = session.rows("SELECT current_setting('server_version_num')::int")[0]
    if version < OLDEST:
        raise ConfigurationInvalid(
            "the server is older than PostgreSQL 14", where="source.url", remedy="read it with `kind: sql`"
        )
    schema, _, name = table.rpartition(".")
    found = session.rows(TABLE, name, schema) if "\0" not in table else []
    if not found:
        known = [row[0] for row in session.rows(NEAR, schema)] if "\0" not in table else []
        close = difflib.get_close_matches(name, known, 1)
        remedy = f"did you mean `{close[0]}`?" if close else "write it as in the database: schema.table, case and all"
        raise ConfigurationInvalid("the database has no such table or view", where="source.table", remedy=remedy)
    oid, schema, name, kind, readable, whole = found[0]
    if not readable:
        raise ConfigurationInvalid(
            "the user may not read this table",
            where="source.table",
            remedy=f"GRANT SELECT on the table and USAGE on its schema, then {session.resume}",
        )
    rows = session.rows(COLUMNS.format(oid=int(oid)))
    return Table(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        whole=whole,
        columns=[_column(*row) for row in rows],
        primary_key=[row[0] for row in rows if row[5]],
        parts=_parts(session, oid),
    )


def _column(name: str, kind: str, array: bool, modifier: int, readable: bool, _key: bool, own: bool) -> Column:
    """A type of the same name in another schema is not the server's own."""
    return Column(name=name, type=kind if own else "", array=array, modifier=modifier, readable=readable)


def _parts(session: Session, oid: int) -> list[Part]:
    names = ("oid", "schema", "name", "kind", "rows", "file", "blocks", "large", "readable")
    return [Part(**dict(zip(names, row, strict=True))) for row in session.rows(PARTS.format(oid=int(oid)))]


def wanted(table: Table, columns: frozenset[str] | None, key: Sequence[str]) -> list[Column]:
    """The columns to read, in the table's order. Those that a mapping wants and the table lacks are the hub's to name."""
    names = set(table.names)
    lost = [k for k in key if k not in names]
    if lost:
        close = difflib.get_close_matches(lost[0], list(names), 1)
        raise ColumnsChanged(
            "the table lacks a key column", where="source.key", remedy=f"did you mean `{close[0]}`?" if close else ""
        )
    chosen = [c for c in table.columns if columns is None or c.name in columns]
    if not all(c.readable for c in chosen):
        raise ConfigurationInvalid(
            "the user may not read every column that is wanted",
            where="source.table",
            remedy="GRANT SELECT on " + ", ".join(c.name for c in chosen if not c.readable),
        )
    return chosen

"""The settings of each kind: checked when a connector is read, published as JSON Schema, printed by `connector spec`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connectors.below import WHY, has_credential, leads_to_credential

MAX_COLUMNS = 2_000


def _below_root(value: str) -> str:
    if "\0" in value or {"", ".", ".."} & {*value.split("/")}:
        raise ValueError("is a path below the files root, without `..` | such as data/schools-*.csv")
    if has_credential(value.split("/")):
        raise ValueError(f"is the name of credentials | {WHY}")
    return value


def _directory(value: str) -> str:
    if leads_to_credential(value):
        raise ValueError(f"is the name of credentials | {WHY}")
    return value


def _mark(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise ValueError('must be one ASCII character | a tab is written "\\t"')
    return value


def _encoding(value: str | None) -> str | None:
    """One that Python can decode text by, line by line or as a whole."""
    try:
        if value is not None:
            b"a".decode(value)
    except UnicodeError:
        return value  # UTF-16, whose characters have more bytes
    except (LookupError, ValueError):
        raise ValueError(
            "is not an encoding that is known here | such as utf-8, cp1252, gb18030 or utf-16-le"
        ) from None
    return value


def distinct(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """No name twice."""
    again = next((v for i, v in enumerate(value or ()) if v in (value or ())[:i]), None)
    if again is not None:
        raise ValueError(f"names `{again}` twice")
    return value


Mark = Annotated[str, AfterValidator(_mark), Field(min_length=1, max_length=1)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


FileFormat = Literal["csv", "tsv", "ndjson", "json", "geojson", "topojson", "xml", "workbook"]


class SftpSpec(BaseModel):
    """A directory of an SFTP server, in place of the files root."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        description="Host name or address of the server. A private one must stand in the setting `outbound.allow`.",
        pattern=r"^[A-Za-z0-9.:-]{1,253}$",
    )
    port: int = Field(22, description="Its TCP port.", ge=1, le=65535)
    user: str = Field(description="Who logs in.", min_length=1, max_length=200)
    host_key: str = Field(
        description="The server's public key, as a line of its `.pub` file or of known_hosts without the host: "
        "`ssh-ed25519 AAAA…`. Any other key is refused.",
        max_length=4000,
    )
    password: str = Field("", description="Log in by this password, as `${secret:NAME}`.", max_length=200, repr=False)
    private_key: str = Field(
        "", description="Log in by this private key (OpenSSH form), as `${secret:NAME}`.", max_length=200, repr=False
    )
    directory: Annotated[str, AfterValidator(_directory)] = Field(
        ".", description="Directory on the server; `path` is below it.", max_length=1000
    )
    connect_timeout_s: float = Field(15, description="Seconds until the server must have answered.", gt=0, le=300)


class FilesSpec(BaseModel):
    """Files under the project's directory, or on an SFTP server (R15, R16)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["files"] = Field(description="Always `files`.")
    path: Annotated[str, AfterValidator(_below_root)] = Field(
        description="Glob below the files root, such as `data/schools-*.csv.gz`. No `..`. What is hidden, is "
        "`secrets.d` or ends with `.token`, `.key`, `.pem` and such never matches: those are credentials.",
        max_length=1000,
    )
    format: FileFormat | None = Field(
        None,
        description="By default from the file's ending; `.gz` is taken off first. `workbook` is XLSX, XLS and ODS.",
    )
    sftp: SftpSpec | None = Field(None, description="Read from an SFTP server in place of the files root.")
    member: str | None = Field(
        None,
        description="`path` names zip files; the members that match this glob are read as files of their own.",
        min_length=1,
        max_length=1000,
    )
    items: str | None = Field(
        None,
        description="Where a document's rows stand. JSON: names with dots between them, `*` for any name, which becomes "
        "the column `key` (`key1`, `key2` …); an array there gives its elements, an object is one row; by default the "
        "document itself. GeoJSON: by default `features`. TopoJSON: the object's name, by default every object. XML: "
        "element names from the root on, such as `register/school`; by default the children of the root.",
        max_length=500,
    )
    sheet: int | str | None = Field(
        None,
        description="Workbooks: number (1 = first) or name of the sheet. A glob such as `*` reads all sheets that match, "
        "as one table with the column `@sheet`. By default the first.",
    )
    header_rows: int = Field(
        1,
        description="Workbooks: lines that the header is high; their texts are joined, merged cells count for all columns "
        "they cover.",
        ge=1,
        le=10,
    )
    group_column: str | None = Field(
        None,
        description="Workbooks: a row whose first cell alone is filled is a heading, and stands in this column of the rows "
        "below it. Without it such rows are rows like others, which `where` may filter.",
        min_length=1,
        max_length=200,
    )
    delimiter: Mark = Field(",", description="One character between columns (CSV).")
    quote: Mark = Field('"', description="The character around fields that hold delimiters.")
    header: int = Field(
        1, description="Line of the header, 1 = first; lines before it are skipped. 0: there is none.", ge=0, le=100
    )
    columns: Annotated[tuple[str, ...] | None, AfterValidator(distinct)] = Field(
        None,
        description="Names of the columns of a file without header; set `header: 0`.",
        min_length=1,
        max_length=MAX_COLUMNS,
    )
    encoding: Annotated[str | None, AfterValidator(_encoding)] = Field(
        None,
        description="Declared encoding. Without it: BOM, then strict UTF-8, then strict GB 18030, for all of a file.",
    )
    nulls: tuple[str, ...] = Field(
        ("",), description="Cell texts that mean NULL. `NA` is a province unless listed here."
    )
    snapshot_of: Literal["newest", "union"] | None = Field(
        None, description="In snapshot mode, of several files: the newest by name, or all together."
    )
    stable_after_s: float = Field(
        0.5, description="Seconds a file must have been left alone before it is read.", ge=0, le=3600
    )
    max_expansion: int = Field(
        100, description="A gzip file or zip member that grows by more than this factor is refused.", ge=1
    )
    watch_s: float | None = Field(
        None,
        description="A drop folder: look for new and changed files every so many seconds, within one run that goes on; "
        "with `schedule: continuous`. Unfinished files (`.part`, `.tmp`, `.filepart`) never match.",
        ge=0.1,
        le=86_400,
    )

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.delimiter == self.quote:
            raise ValueError("`delimiter` and `quote` are the same character")
        if self.header == 0 and self.columns is None:
            raise ValueError("a file without header needs `columns` | name them in their order")
        return self


class SqlSpec(BaseModel):
    """A table or view of a relational database, read only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sql"] = Field(description="Always `sql`.")
    url: str = Field(
        description="SQLAlchemy URL. A password comes as `${secret:NAME}`. `sqlite:///data/x.db` is below the files root.",
        max_length=2000,
    )
    table: str = Field(
        description="Table or view, `schema.table` where needed; looked up, never spliced.", max_length=300
    )
    cursor: str | None = Field(
        None, description="Column that grows with every change. With it only new and changed rows are read."
    )
    key: tuple[str, ...] = Field((), description="Columns that, with the cursor, order rows without ties.")
    overlap: Seconds = Field(
        0,
        description="Read rows again whose cursor is at most this far behind the last (seconds for dates and times, units "
        "for numbers), since commits may come late. Rows met before are counted as deduplicated.",
        ge=0,
    )
    statement_timeout_s: Seconds = Field(
        300, description="Seconds a statement may take, where the database can say so.", gt=0
    )


class PostgresSpec(BaseModel):
    """A table of a PostgreSQL database (14 or newer), read only, in Arrow batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["postgres"] = Field(description="Always `postgres`.")
    url: str = Field(
        description="`postgresql://user:${secret:NAME}@host:5432/database`, and `?sslmode=verify-full&sslrootcert=…`. "
        "A password that is a secret may have any characters; elsewhere `@`, `/` and such are percent-encoded, as in any URL.",
        max_length=2000,
    )
    table: str = Field(
        description="Table, `schema.table` where needed; looked up, never spliced. A partitioned table is read with all its "
        "partitions, which the user must be allowed to read. A view has no transaction ids: `incremental: none`.",
        max_length=300,
    )
    incremental: Literal["xmin", "none"] | None = Field(
        None,
        description="`xmin`, the default of modes append and upsert: each run reads the rows that were written by "
        "transactions that ended since the last one. PostgreSQL keeps with each row the number (xmin) of the transaction "
        "that wrote it; a run reads up to the oldest transaction still open, so rows of slow transactions come in a later "
        "run and none is lost, whatever the order of commits; a transaction that stays open holds all later rows back. A "
        "row changed several times between two runs comes once, as it is now. Deleted rows are not seen: mode snapshot "
        "derives them. A change that writes no row is not seen, such as the default of a new column. Each run looks "
        "through the whole table, since xmin cannot have an index; where that is too slow, `kind: sql` reads by a `cursor` "
        "column, with its caveat. Freezing (VACUUM) keeps xmin; a row left alone for more than four billion transactions "
        "may come once more. After a restore, a failover or a replaced table the numbers mean something else, and the "
        "run stops and says so. `none`: the whole table in each run; mode snapshot always does that.",
    )
    key: tuple[str, ...] = Field(
        (), description="Columns that make a row unique, where the table has no primary key: checked to be there."
    )
    statement_timeout_s: float = Field(
        300, description="Seconds a statement may take: 128 MiB of a table, or the whole of a view.", gt=0, le=86_400
    )
    connect_timeout_s: float = Field(10, description="Seconds until the server must have answered.", gt=0, le=300)

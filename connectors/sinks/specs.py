"""The settings of each kind of sink: checked when a subscription is read, published as JSON Schema."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TableSpec(BaseModel):
    """A table of the subscriber's database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["table"] = Field(description="Always `table`.")
    url: str = Field(
        description="SQLAlchemy URL; a password comes as `${secret:NAME}`. `sqlite:///data/x.db` is below the files root.",
        max_length=2000,
    )
    table: str = Field(
        description="Table, `schema.table` where needed. Made when it is not there: a column for each field of the grant, "
        "nested ones as JSON text.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$",
    )


class FileSpec(BaseModel):
    """Files below the files root: one for each batch, whole or not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["file"] = Field(description="Always `file`.")
    directory: str = Field(description="Directory below the files root; made when it is not there.", max_length=1000)
    format: Literal["ndjson", "csv", "avro", "parquet"] = Field(
        "ndjson", description="`avro` is an Avro object container file."
    )

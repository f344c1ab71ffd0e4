"""The settings of each kind of sink: checked when a subscription is read, published as JSON Schema."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TableSpec(BaseModel):
    """A table of the subscriber's database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["table"] = Field(description="Always `table`.")
    url: str = Field(
        description="SQLAlchemy URL; a password comes as `${secret:NAME}`. `sqlite:///data/x.db` is below the files root. "
        "A private address must stand in the setting `outbound.allow` as `host:port`.",
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
    directory: str = Field(
        description="Directory below the files root; made when it is not there. Not hidden, nor named like credentials.",
        max_length=1000,
    )
    format: Literal["ndjson", "csv", "avro", "parquet"] = Field(
        "ndjson", description="`avro` is an Avro object container file."
    )


class WebhookSpec(BaseModel):
    """An address that is sent each batch as JSON, signed as Standard Webhooks says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["webhook"] = Field(description="Always `webhook`.")
    url: str = Field(
        description="Where batches are sent by POST. A private address must stand in the setting `outbound.allow`.",
        pattern=r"^https?://[^\s@#]{1,1990}$",
    )
    secret: str = Field(
        description="`${secret:NAME}` of the key that signs: `whsec_` and 24 to 64 random bytes in base64.",
        pattern=r"^\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,63}\}$",
    )
    ca_file: str = Field("", description="PEM file below the files root, of the authority that signed its certificate.")
    timeout_s: float = Field(15.0, description="Seconds to connect, and between two signs of life.", ge=0.1, le=300)
    max_records: int = Field(1_000, description="Records in a batch, at most.", ge=1, le=10_000)
    tries: int = Field(8, description="How often a batch is sent before it counts as failed.", ge=1, le=100)
    wait_most_s: float = Field(
        60.0,
        description="Seconds between two tries, at most; waits double from 1, `Retry-After` counts.",
        ge=0.1,
        le=3600,
    )
    on_failure: Literal["dead_letter", "stop"] = Field(
        "dead_letter",
        description="`dead_letter`: its offsets are kept for `datong subscription dead-letters`, and the next batch is sent. "
        "`stop`: the subscription stops, nothing is left out.",
    )

"""A delivery as a Parquet file: the columns of the Arrow form, zstd."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from hub.delivery.binary import about_columns
from hub.delivery.read import Delivery
from hub.errors import SinkRefused


def to_parquet(delivery: Delivery) -> bytes:
    """One file, one row group for each million rows. Raises SinkRefused for a field that Parquet does not have."""
    columns = {
        **about_columns(delivery),
        **dict(zip(delivery.records.schema.names, delivery.records.columns, strict=True)),
    }
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(pa.table(columns), sink, compression="zstd")
    except pa.ArrowNotImplementedError:
        raise SinkRefused(
            "Parquet has no unions of several types",
            where=delivery.plan.topic,
            remedy="`format: avro`, or another field",
        ) from None
    made: bytes = sink.getvalue().to_pybytes()
    return made

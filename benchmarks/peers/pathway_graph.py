"""pathway: a static CSV through a Python function to Kafka as raw bytes. Headers can only be columns: left out."""

from __future__ import annotations

import pathway as pw  # type: ignore[import-not-found]  # in an environment of its own

from benchmarks.peers.common import QUEUE, SETTINGS, Arguments, Job
from benchmarks.schema import COLUMNS


def main() -> None:
    """The extract has no more rows than are asked for: pathway reads all of it."""
    arguments, job = Arguments(), Job()
    schema = pw.schema_builder({name: pw.column_definition(dtype=str) for name in COLUMNS})
    table = pw.io.csv.read(str(arguments.file), schema=schema, mode="static")

    @pw.udf(deterministic=True)  # type: ignore[untyped-decorator]  # it has no types
    def convert(*row: str) -> bytes | None:
        record = job.record(row)
        return record.value if record is not None else None

    made = table.select(key=pw.this.NAT_ID, value=convert(*[table[name] for name in COLUMNS]))
    good = made.filter(pw.this.value.is_not_none())
    key = pw.apply_with_type(str.encode, bytes, pw.this.key)
    out = good.select(key=key, value=pw.unwrap(pw.this.value))
    settings = {"bootstrap.servers": arguments.bootstrap, **SETTINGS, **QUEUE}
    pw.io.kafka.write(out, settings, arguments.topic, format="raw", key=out.key, value=out.value)
    job.start()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    job.report()


if __name__ == "__main__":
    main()

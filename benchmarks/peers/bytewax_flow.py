"""bytewax: CSVSource → filter_map → KafkaSink."""

from __future__ import annotations

import bytewax.operators as op  # type: ignore[import-not-found]  # in an environment of its own
from bytewax.connectors.files import CSVSource  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from benchmarks.peers.common import QUEUE, SETTINGS, Arguments, Job


def main() -> None:
    """The extract has no more rows than are asked for: CSVSource reads all of it."""
    arguments, job = Arguments(), Job()

    def convert(row: dict[str, str]) -> KafkaSinkMessage | None:
        record = job.record(row.values())
        return KafkaSinkMessage(record.key, record.value, headers=record.headers) if record is not None else None

    flow = Dataflow("extract")
    read = op.input("read", flow, CSVSource(arguments.file, batch_size=1000))
    good = op.filter_map("convert", read, convert)
    op.output("send", good, KafkaSink([arguments.bootstrap], arguments.topic, add_config={**SETTINGS, **QUEUE}))
    job.start()
    run_main(flow)
    job.report()


if __name__ == "__main__":
    main()

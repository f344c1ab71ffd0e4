"""FastStream's Confluent broker: each record published without waiting for its confirmation."""

from __future__ import annotations

import asyncio

from faststream.confluent import KafkaBroker  # type: ignore[import-not-found]  # in an environment of its own

from benchmarks.peers.common import Arguments, Job, lines


async def run() -> None:
    """Leaving the broker's context flushes."""
    arguments, job = Arguments(), Job()
    broker = KafkaBroker(arguments.bootstrap, compression_type="lz4", linger_ms=5, enable_idempotence=True, logger=None)
    await broker.start()
    job.start()
    for row in lines(arguments):
        record = job.record(row)
        if record is not None:
            headers = {name: value.decode() for name, value in record.headers}
            while True:
                try:
                    await broker.publish(
                        record.value, topic=arguments.topic, key=record.key, headers=headers, no_confirm=True
                    )
                    break
                except BufferError:  # librdkafka's queue is full: wait for the broker
                    await asyncio.sleep(0.01)
    await broker.stop()
    job.report()


if __name__ == "__main__":
    asyncio.run(run())

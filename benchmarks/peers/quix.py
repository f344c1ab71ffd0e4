"""quixstreams: a source of its own that converts and produces."""

from __future__ import annotations

import os
import time

from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own
from quixstreams.sources import Source  # type: ignore[import-not-found]

from benchmarks.peers.common import QUEUE, SETTINGS, Arguments, Job, lines

ARGUMENTS = Arguments()


class Converting(Source):  # type: ignore[misc]  # it has no types
    """Runs in a process of quixstreams' making, so it reports from there."""

    def run(self) -> None:
        """Called by the application."""
        job = Job()
        job.start()
        for row in lines(ARGUMENTS):
            record = job.record(row)
            if record is not None:
                self.produce(key=record.key, value=record.value, headers=record.headers)
        self.flush()
        job.report()


def main() -> None:
    """Run until the source has nothing more."""
    app = Application(
        broker_address=ARGUMENTS.bootstrap,
        consumer_group=f"bench-{time.time_ns()}",
        auto_create_topics=False,
        loglevel="ERROR",
        producer_extra_config={**SETTINGS, **QUEUE},
    )
    topic = app.topic(ARGUMENTS.topic, value_serializer="bytes", key_serializer="bytes")
    app.add_source(Converting("converting"), topic=topic)
    app.run()


if __name__ == "__main__":
    main()
    os._exit(0)

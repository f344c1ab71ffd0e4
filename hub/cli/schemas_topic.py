"""Reading another registry's `_schemas` topic from Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hub.cli.session import project_of

if TYPE_CHECKING:
    from hub.registry.dump import Dump

TOPIC = "_schemas"


def dump_of_topic(source: str, project: Path | None) -> Dump:
    """`kafka://HOST:PORT,…/TOPIC`, reached as the project's settings `kafka.…` say. Raises NotFound, LogUnavailable."""
    from hub.adapters import kafka_options
    from hub.log.kafka.whole import whole_topic
    from hub.registry.schemas_topic import dump_of_records
    from hub.settings import load_settings

    address, _, topic = source.removeprefix("kafka://").partition("/")
    options = kafka_options(load_settings(project_of(project)).settings, address)
    return dump_of_records(whole_topic(options, topic or TOPIC))

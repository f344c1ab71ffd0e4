"""`datong fsck`: is everything in the log what it was when it was written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.cli.output import Output, counted
from hub.directory import Directory

if TYPE_CHECKING:
    from hub.settings import Settings


def check_sqlite(settings: Settings, out: Output) -> int:
    """Every block's CRC32C, of a hub that is stopped."""
    from hub.app import now_ms
    from hub.log.sqlite import SqliteLog

    directory = Directory(settings.data_path)
    directory.acquire()
    try:
        log = SqliteLog.at(directory.path / "log.db", clock=now_ms)
        corrupt = log.verify()
        log.close()
    finally:
        directory.release()
    places = [{"topic": c.topic, "partition": c.partition, "offset": c.offset} for c in corrupt]
    if out.as_json:
        out.data({"corrupt": places})
    for place in places:
        out.line(f"corrupt: {place['topic']}/{place['partition']} at offset {place['offset']}", style="red")
    out.line(f"{counted(len(corrupt), 'corrupt block')}; restore from a backup" if corrupt else "no corrupt block")
    return 1 if corrupt else 0


def check_kafka(settings: Settings, out: Output) -> int:
    """Every batch's CRC32C, and that no batch is torn (G3); beside a hub that runs, too."""
    from hub.adapters import open_log
    from hub.app import now_ms
    from hub.log.kafka import KafkaLog

    log = open_log(settings, settings.data_path, now_ms)
    assert isinstance(log, KafkaLog)
    try:
        found = log.verify()
    finally:
        log.close()
    if out.as_json:
        out.data(found.as_json())
    for corrupt in found.corrupt:
        out.line(f"corrupt: {corrupt.where}; the rest of this partition was not looked at", style="red")
    for torn in found.torn:
        out.line(
            f"torn: batch {torn.batch} of {torn.topic} shows {torn.shown:,} of {torn.written:,} records", style="red"
        )
    out.line(f"{found.batches:,} batches are whole, {len(found.torn)} torn, {found.unjudged:,} not judged")
    if found.unjudged:
        out.note("not judged: parts of them were taken by retention or compaction")
    return 1 if found.corrupt or found.torn else 0

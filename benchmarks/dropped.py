"""`python -m benchmarks.dropped [--tally] -- ARGUMENTS`: the hub's command line with a log that drops published records.

For the null sink. All else is as ever: checkpoints, manifests and quarantine are written to the SQLite log."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hub.app
from benchmarks.content import Tally
from hub import blocks as sections
from hub.cli.main import run
from hub.log.sqlite import SqliteLog
from hub.model import INTERNAL_TOPICS, Appended, Block, Checkpoint
from hub.ports import OpenLog
from hub.settings import Settings

TALLY: list[Tally] = []


class DroppingLog(SqliteLog):
    """Gives published records an offset and forgets them."""

    def append_for(self, task: str, epoch: int, blocks: Sequence[Block], checkpoint: Checkpoint) -> Appended:
        """See `hub.ports.Writer.append`."""
        kept = [block for block in blocks if block.topic in INTERNAL_TOPICS]
        super().append_for(task, epoch, kept, checkpoint)
        for block in blocks if TALLY else ():
            if block.topic not in INTERNAL_TOPICS:
                records = sections.decode(bytes(block.records), 0)
                for key, value in zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True):
                    TALLY[0].add(key, value)
        return Appended(offsets=[0] * len(blocks))


def open_log(settings: Settings, directory: Path, clock_ms: Callable[[], int]) -> OpenLog:
    """In the place of the hub's own; `log.url` is not looked at."""
    del settings
    return DroppingLog.at(directory / "log.db", clock=clock_ms)


def main(arguments: list[str]) -> int:
    """Run a command of the hub and print its JSON, with the tally of what was dropped."""
    options, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    if "--tally" in options:
        TALLY.append(Tally())
    hub.app.open_log = open_log  # type: ignore[attr-defined]  # the composition root takes this one
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = run(command)
    print(json.dumps({**json.loads(said.getvalue()), **(TALLY[0].answer() if TALLY else {})}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

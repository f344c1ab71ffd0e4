"""Named places where a test may kill or hold the process: TEST_FAILPOINT="appended:kill@3" (R34). Nothing happens without
it.

Actions: `kill` (SIGKILL to itself), `term` (SIGTERM, and three seconds for the main thread to hear it), `exit` (code 70,
without cleaning up), `raise` (LogUnavailable); `@n`: the n-th hit. `wait`: from the n-th hit on it stays there while the
file exists that TEST_FAILPOINT_WHILE names, so that a test meets what is under way and not what is over.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from hub.errors import LogUnavailable

HEARD_S = 3.0
LOOK_S = 0.01
NAMES = ("fetched", "mapped", "begin", "appended", "committed", "acknowledged")
PUSH_NAMES = ("resumed", "pulled", "written", "acked")  # of a subscription that is pushed
RESTART_NAMES = ("asked", "ended")  # of a connector that an operator lets run anew


def _parse(text: str) -> tuple[str, str, int]:
    name, _, rest = text.partition(":")
    action, _, nth = rest.partition("@")
    return name, action, int(nth or 1)


_WANTED = _parse(os.environ.get("TEST_FAILPOINT", ""))
_HITS: Iterator[int] = itertools.count(1)


def hit(name: str) -> None:
    """The program passes `name`."""
    if name != _WANTED[0]:
        return
    count = next(_HITS)
    if _WANTED[1] == "wait":
        while count >= _WANTED[2] and Path(os.environ["TEST_FAILPOINT_WHILE"]).exists():
            time.sleep(LOOK_S)
    elif count != _WANTED[2]:
        return
    elif _WANTED[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif _WANTED[1] == "term":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(HEARD_S)
    elif _WANTED[1] == "exit":
        os._exit(70)
    elif _WANTED[1] == "raise":
        raise LogUnavailable(f"failpoint {name}")

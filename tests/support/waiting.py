"""Waiting for what becomes true by itself."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(true: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Does it become true in time?"""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True

"""A hub that starts before what it needs: it waits, and says for what (G18)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hub.errors import Retry

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.directory import Role
    from hub.settings import Loaded

FIRST_S, MOST_S = 1.0, 15.0


def open_when_ready(loaded: Loaded, note: Callable[[str], None], role: Role = "all") -> Hub:
    """Open the hub with its schedules. What may pass, such as a broker that is away, is waited for without end."""
    from hub.app import Hub

    wait_s = FIRST_S
    while True:
        try:
            return Hub.open(loaded, scheduled=True, role=role)
        except Retry as error:
            note(f"waiting: {error}")
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, MOST_S)

"""The doors that push sources have open in this process: a source runs where its lease is, so only there is one (ADR 15)."""

from __future__ import annotations

import threading

from hub.ports import Door


class Doors:
    """By connector. Implements `hub.ports.Intake`; safe from many threads."""

    def __init__(self) -> None:
        self._open: dict[str, Door] = {}
        self._lock = threading.Lock()

    def open(self, task: str, door: Door) -> None:
        """See `hub.ports.Intake.open`."""
        with self._lock:
            self._open[task] = door

    def close(self, task: str, door: Door) -> None:
        """See `hub.ports.Intake.close`."""
        with self._lock:
            if self._open.get(task) is door:
                del self._open[task]

    def door(self, task: str) -> Door | None:
        """The one that is open here."""
        return self._open.get(task)

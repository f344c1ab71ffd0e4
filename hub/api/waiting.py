"""Those who wait for news of a topic: one watcher a topic, however many wait, and no thread for any of them (R28)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from hub.ports import LogReader

LOOK_S = 1.0  # how long a watcher waits before it looks whether anybody still does


@dataclass(frozen=True, eq=False)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event
    positions: Mapping[int, int]

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # its loop has ended, and with it whoever waited
            self.loop.call_soon_threadsafe(self.woken.set)


class Waiting:
    """Wakes who waits when a topic grows. One for each log; used on any event loop."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._waiters: dict[str, list[_Waiter]] = {}  # by topic; a topic in it has a watcher
        self._stopped = False

    async def news(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> None:
        """Until the topic may have grown past these positions, the time is up, or the hub stops. It may be for nothing: look
        again. A partition without position was not read yet."""
        waiter = _Waiter(asyncio.get_running_loop(), asyncio.Event(), dict(positions))
        self._add(topic, waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.woken.wait()
        except TimeoutError:
            return
        finally:
            self._remove(topic, waiter)

    @property
    def stopped(self) -> bool:
        """Does the hub end?"""
        return self._stopped

    def stop(self) -> None:
        """Nobody waits any longer, or again: a server that ends waits for its requests. From any thread."""
        with self._lock:
            self._stopped = True
            woken = [waiter for waiters in self._waiters.values() for waiter in waiters]
        for waiter in woken:
            waiter.wake()

    def _add(self, topic: str, waiter: _Waiter) -> None:
        with self._lock:
            if self._stopped:
                waiter.woken.set()
                return
            watched = topic in self._waiters
            self._waiters.setdefault(topic, []).append(waiter)
        if not watched:
            threading.Thread(target=self._watch, args=(topic,), name=f"watch {topic}", daemon=True).start()

    def _remove(self, topic: str, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._waiters.get(topic, ()):
                self._waiters[topic].remove(waiter)

    def _watch(self, topic: str) -> None:
        """Ends when nobody waits any more."""
        while True:
            with self._lock:
                if not self._waiters[topic]:
                    del self._waiters[topic]
                    return
                positions = _earliest(self._waiters[topic])
            try:
                grew = self._log.wait(topic, positions, LOOK_S)
            except Exception:  # whatever it is, those who wait find out when they read
                grew = True
            if grew:
                with self._lock:
                    woken, self._waiters[topic] = self._waiters[topic], []
                for waiter in woken:
                    waiter.wake()


def _earliest(waiters: list[_Waiter]) -> dict[int, int]:
    """What any of them has not seen is news."""
    partitions = {partition for waiter in waiters for partition in waiter.positions}
    return {partition: min(waiter.positions.get(partition, 0) for waiter in waiters) for partition in partitions}

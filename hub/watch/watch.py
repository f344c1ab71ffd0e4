"""The sampler's thread and the samples of the last ten minutes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog

from hub.errors import DatongError
from hub.watch.sample import Sample
from hub.watch.sampler import Sampler

log = structlog.get_logger("datong.watch")
EVERY_S = 1.0
KEPT = 600  # samples: ten minutes


class Watch:
    """Takes a sample every second from `start` to `stop`. Thread-safe."""

    def __init__(
        self,
        sampler: Sampler,
        clock_ms: Callable[[], int],
        *,
        every_s: float = EVERY_S,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """`then` is called by the thread after each look, also one that failed."""
        self._then = then
        self._sampler, self._clock_ms, self._every_s = sampler, clock_ms, every_s
        self._kept: deque[Sample] = deque(maxlen=KEPT)
        self._next = clock_ms() // 1000  # a second a number: one of this process is above those of an earlier one
        self._looking, self._lock = threading.Lock(), threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def start(self) -> None:
        """Begin. May be repeated."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, before what is looked at is closed. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def latest(self) -> Sample:
        """The newest sample; one of now where nobody takes them. Raises DatongError as `Sampler.look`."""
        with self._lock:
            if self._kept and self._thread is not None:
                return self._kept[-1]
        return self.look()

    def after(self, number: int) -> list[Sample]:
        """What is kept of the samples behind this number, the oldest first."""
        with self._lock:
            return [sample for sample in self._kept if sample.number > number]

    def look(self) -> Sample:
        """Take a sample now. Raises DatongError."""
        with self._looking:
            sample = self._sampler.look(self._next, self._clock_ms())
            self._next += 1
        with self._lock:
            self._kept.append(sample)
            listeners = list(self._listeners)
        for wake in listeners:
            wake()
        return sample

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each sample, from the sampler's thread: it must return at once. The answer ends that."""
        with self._lock:
            self._listeners.append(wake)

        def end() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(wake)

        return end

    def _loop(self) -> None:
        """A look that takes long is followed by as long a rest."""
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            began = time.monotonic()
            for step in (self._look, self._then):
                try:
                    step()
                except Exception:  # a bug of ours must not end the looking
                    log.exception("looking failed")
            took = time.monotonic() - began
            wait_s = max(self._every_s - took, min(took, 10 * self._every_s))

    @property
    def running(self) -> bool:
        """Does its thread take samples?"""
        return self._thread is not None

    def _look(self) -> None:
        """Trouble is told once, until it works again."""
        try:
            self.look()
        except DatongError as error:
            if not self._failed:
                log.warning("no samples for now", error=error.code, message=str(error))
            self._failed = True
        else:
            self._failed = False

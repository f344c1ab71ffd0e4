"""Steps that overlap: each in a thread of its own, results in order, and a bound on all that is under way (architecture §6).

pyarrow, numpy, lz4 and the disk give the interpreter's lock free while they work, so threads are enough for several cores;
one core works on while another step waits for a disk or a broker. What runs here must have no state, or keep it to its own
step: work that is never asked for is thrown away.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Step = tuple[str, Callable[[Any], Any]]  # the name of its thread, and what it does with an item


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What may be under way, from the moment it is read until the next result is asked for. One item always may."""

    items: int = 4
    bytes: int = 32 * 1024 * 1024


class Gate:
    """Lets items in while there is room."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._sizes: deque[int] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def wait(self) -> bool:
        """Until there is room. False: closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room())
            return not self._closed

    def enter(self, size: int) -> None:
        """An item of so many bytes came in."""
        with self._changed:
            self._sizes.append(size)

    def leave(self) -> None:
        """The oldest item is done with."""
        with self._changed:
            self._sizes.popleft()
            self._changed.notify_all()

    def close(self) -> None:
        """Let nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return not self._sizes or (len(self._sizes) < self._bounds.items and sum(self._sizes) < self._bounds.bytes)


class Channel(Generic[T]):
    """A queue from one thread to another. Iterating gives the items in order, then raises the error it ended with."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item; the gate bounds how many there can be. False: nobody wants it."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come; after what there is, `error` is raised."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is wanted: whoever waits goes on at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._ended or bool(self._items))
                if self._closed:
                    return
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
            yield item
            del item  # it may be large, and the next one may be long in coming


class Overlapped(Generic[T]):
    """`source` and then each step on every item, as a context manager that gives the results in order.

    An error of the source or of a step is raised where its item would have come, after all results before it. Leaving
    early drops what is under way, calls `abandon` so that a source that waits gives up, and waits for the threads."""

    def __init__(
        self,
        source: Generator[Any, None, None],
        steps: Sequence[Step],
        *,
        size: Callable[[Any], int],
        abandon: Callable[[], None],
        name: str,
        bounds: Bounds | None = None,
    ) -> None:
        self._abandon, self._size = abandon, size
        self._gate = Gate(bounds or Bounds())
        self._channels: list[Channel[Any]] = [Channel() for _ in range(len(steps) + 1)]
        self._threads = [threading.Thread(target=self._read, args=(source,), name=f"{name}-read", daemon=True)]
        for (label, step), inlet, outlet in zip(steps, self._channels[:-1], self._channels[1:], strict=True):
            arguments = (step, inlet, outlet)
            self._threads.append(threading.Thread(target=_work, args=arguments, name=f"{name}-{label}", daemon=True))
        self._exhausted = False

    def __enter__(self) -> Iterator[T]:
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # a machine may be out of threads
            self._leave()
            raise
        return self._results()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _results(self) -> Iterator[T]:
        for item in self._channels[-1]:
            yield item
            del item
            self._gate.leave()
        self._exhausted = True

    def _leave(self) -> None:
        self._gate.close()
        for channel in self._channels:
            channel.close()
        try:
            if not self._exhausted:
                self._abandon()
        finally:
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join()

    def _read(self, source: Generator[Any, None, None]) -> None:
        outlet = self._channels[0]
        try:
            with closing(source):
                while self._gate.wait():
                    item = next(source, outlet)
                    if item is outlet:
                        break
                    self._gate.enter(self._size(item))
                    outlet.put(item)
                    del item
            outlet.end()
        except BaseException as error:  # whatever it is, it is raised in the thread that asks for results
            outlet.end(error)


def _work(step: Callable[[Any], Any], inlet: Channel[Any], outlet: Channel[Any]) -> None:
    """One thread: every item of a channel through one step."""
    try:
        with closing(inlet):
            for item in inlet:
                if not outlet.put(step(item)):
                    break
                del item
        outlet.end()
    except BaseException as error:  # as above
        outlet.end(error)

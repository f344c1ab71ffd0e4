"""What a source promises (hub/ports.py) where nothing can be asked for: it waits, ends, and hears what is durable."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from connectors import KINDS
from connectors.context import SourceContext
from hub.errors import SourceUnavailable
from hub.model import Batch, Mode, Push, Receipt
from hub.pipeline.intake import Doors
from hub.ports import Source
from tests.sources.test_contract import PUSHED
from tests.support.push import Sender, secret

COLUMNS = frozenset({"id", "@webhook-id"})


@dataclass
class Bed:
    """One kind with a way to feed it. `answered` tells how many of those fed were told that they are durable."""

    build: Callable[..., Source]
    feed: Callable[[int], None]
    answered: Callable[[], int]


@pytest.fixture(params=sorted(PUSHED))
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Bed:
    doors, pending = Doors(), list[Future[Receipt]]()
    kind, sender = KINDS[request.param], Sender(httpx.Client())

    def build(
        mode: Mode = "append", columns: frozenset[str] | None = COLUMNS, declared: tuple[str, ...] = ("id",)
    ) -> Source:
        spec = {"kind": "webhook", "keys": ["${secret:K}"], "columns": declared}
        context = SourceContext(
            task="t", root=tmp_path, mode=mode, columns=columns, secret=lambda _text: secret(), intake=doors
        )
        return kind.build(kind.spec(**spec), context)

    def feed(number: int) -> None:
        body = json.dumps({"id": number, "other": "x"}).encode()
        deadline = time.monotonic() + 10
        while (door := doors.door("t")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        pending.append(door.receive(Push(headers=sender.headers(body, f"m{number}"), body=body)))

    return Bed(build, feed, lambda: sum(p.done() and p.exception() is None for p in pending))


class Reading:
    """`batches` in a thread of its own, as in a run; what came is collected."""

    def __init__(self, source: Source) -> None:
        self.source, self.stop = source, Event()
        self.batches: list[Batch] = []
        self.at: list[float] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for batch in self.source.batches(None, self.stop):
            self.batches.append(batch)
            self.at.append(time.monotonic())

    def rows(self, count: int) -> list[Any]:
        """Wait for so many."""
        deadline = time.monotonic() + 30
        while sum(b.read for b in self.batches) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return [row for b in self.batches for row in b.records.to_pylist()]

    def ended(self) -> bool:
        """Soon."""
        self._thread.join(10)
        return not self._thread.is_alive()


@pytest.fixture
def reading(bed: Bed) -> Iterator[Callable[..., Reading]]:
    made: list[Reading] = []

    def start(**more: Any) -> Reading:
        made.append(Reading(bed.build(**more)))
        return made[-1]

    yield start
    for one in made:
        one.source.close()
        assert one.ended()


def test_check_and_discover_name_the_columns(bed: Bed) -> None:
    source = bed.build(columns=None)
    assert source.check().ok
    (stream,) = source.discover()
    assert "id" in stream.columns.names
    assert not source.replayable
    source.close()


def test_columns_that_nobody_declared_are_not_known(bed: Bed) -> None:
    with pytest.raises(SourceUnavailable, match="not known"):
        bed.build(declared=()).discover()


def test_an_idle_source_gives_a_sign_of_life(reading: Callable[..., Reading]) -> None:
    one = reading()
    deadline = time.monotonic() + 30
    while len(one.batches) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert all(not b.read and not b.complete for b in one.batches)


def test_only_the_wanted_columns_come_and_each_row_has_an_id(bed: Bed, reading: Callable[..., Reading]) -> None:
    one = reading(columns=frozenset({"id"}))
    for number in range(5):
        bed.feed(number)
    assert one.rows(5) == [{"id": str(n)} for n in range(5)]
    ids = [i for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
    assert len(set(ids)) == 5
    positions = [b.position.value for b in one.batches]
    assert positions == sorted(positions, key=lambda v: v["received"])


def test_nobody_is_answered_before_acknowledge_and_all_up_to_it_then(bed: Bed, reading: Callable[..., Reading]) -> None:
    one = reading()
    bed.feed(1)
    one.rows(1)
    bed.feed(2)
    one.rows(2)
    assert bed.answered() == 0
    first, second = (b.position for b in one.batches if b.read)
    one.source.acknowledge(first)
    assert bed.answered() == 1
    one.source.acknowledge(second)
    one.source.acknowledge(second)
    assert bed.answered() == 2


def test_stop_and_close_end_it_soon_and_may_be_repeated(bed: Bed, reading: Callable[..., Reading]) -> None:
    stopped, closed = reading(), reading()
    stopped.stop.set()
    assert stopped.ended()
    closer = threading.Thread(target=closed.source.close)
    closer.start()
    closer.join(10)
    assert closed.ended()
    closed.source.close()
    assert bed.answered() == 0

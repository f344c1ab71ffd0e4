"""What a source promises (hub/ports.py) where nothing can be asked for: it waits, ends, and hears what is durable."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from connectors import KINDS
from connectors.context import SourceContext
from connectors.outbound import Outbound
from hub.errors import SourceUnavailable
from hub.model import Batch, Mode, SourceCheckpoint, Submission
from hub.pipeline.intake import Doors
from hub.ports import Door, Source
from tests.sources.test_contract import PUSHED
from tests.support.mosquitto import Mosquitto
from tests.support.push import Sender, secret
from tests.support.waiting import eventually

COLUMNS = frozenset({"id", "@webhook-id"})


@dataclass
class Bed:
    """One kind with a way to feed it."""

    build: Callable[..., Source]
    feed: Callable[[int], None]


@pytest.fixture(params=sorted(PUSHED))
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    doors = Doors()
    kind, sender = KINDS[request.param], Sender(httpx.Client(timeout=60))
    spec: dict[str, Any] = {"kind": "webhook", "keys": ["${secret:K}"]}
    outbound = Outbound()

    def push(number: int) -> None:
        body = json.dumps({"id": number, "other": "x"}).encode()
        door = eventually_open(doors)
        door.receive(Submission(headers=sender.headers(body, f"m{number}"), body=body))

    def build(
        mode: Mode = "append", columns: frozenset[str] | None = COLUMNS, declared: tuple[str, ...] = ("id",)
    ) -> Source:
        context = SourceContext(
            task="t", root=tmp_path, mode=mode, columns=columns, outbound=outbound, secret=lambda _text: secret(),
            intake=doors,
        )  # fmt: skip
        return kind.build(kind.spec(**spec, columns=declared), context)

    if kind.name == "webhook":
        yield Bed(build, push)
        return
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    spec = {"kind": "mqtt", "host": "127.0.0.1", "port": broker.port, "tls": False, "topics": ["t"], "window": 3}
    outbound = Outbound(allowed=frozenset({broker.address}))
    with Reading(build()) as one:  # leaves its session there
        assert eventually(lambda: bool(one.batches) and one.batches[-1].position.value["topics"] == ["t"])
    with broker.publisher() as device:
        yield Bed(build, lambda number: device.publish("t", [json.dumps({"id": number, "other": "x"})]))
    broker.stop()


def eventually_open(doors: Doors) -> Door:
    """The door, when the source runs."""
    assert eventually(lambda: doors.door("t") is not None)
    door = doors.door("t")
    assert door is not None
    return door


class Reading:
    """`batches` in a thread of its own, as in a run; what came is collected."""

    def __init__(self, source: Source, after: SourceCheckpoint | None = None) -> None:
        self.source, self.stop = source, Event()
        self.batches: list[Batch] = []
        self._thread = threading.Thread(
            target=lambda: [self.batches.append(b) for b in source.batches(after, self.stop)]
        )
        self._thread.start()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        assert self.ended()

    def rows(self, count: int) -> list[Any]:
        """Wait for so many."""
        assert eventually(lambda: sum(b.read for b in self.batches) >= count)
        return [row for b in self.batches for row in b.records.to_pylist()]

    def ended(self) -> bool:
        """Soon."""
        self._thread.join(60)
        return not self._thread.is_alive()


def test_check_and_discover_name_the_columns(bed: Bed) -> None:
    source = bed.build(columns=None)
    assert source.check().ok
    (stream,) = source.discover()
    assert "id" in stream.columns.names
    assert not source.replayable
    source.close()


def test_what_is_pushed_cannot_be_previewed(tmp_path: Path) -> None:
    for name in PUSHED:
        spec: dict[str, Any] = {"webhook": {"keys": ["${secret:K}"]}, "mqtt": {"host": "h", "topics": ["t"]}}[name]
        made = KINDS[name].spec(kind=name, **spec)
        source = KINDS[name].build(made, SourceContext(task="t", root=tmp_path, mode="append"))
        with pytest.raises(SourceUnavailable, match="looked at"):
            next(iter(source.batches(None, Event())))


def test_columns_that_nobody_declared_are_not_known(bed: Bed) -> None:
    with pytest.raises(SourceUnavailable, match="not known"):
        bed.build(declared=()).discover()


def test_an_idle_source_gives_a_sign_of_life(bed: Bed) -> None:
    with Reading(bed.build()) as one:
        assert eventually(lambda: len(one.batches) >= 3)
        assert all(not b.read and not b.complete for b in one.batches)


def test_only_the_wanted_columns_come_and_each_row_has_an_id(bed: Bed) -> None:
    with Reading(bed.build(columns=frozenset({"id", "absent"}))) as one:
        for number in range(3):
            bed.feed(number)
        assert one.rows(3) == [{"id": str(n), "absent": None} for n in range(3)]
        ids = [i for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
        assert len(set(ids)) == 3


def test_a_new_source_goes_on_from_a_position_and_gives_other_ids(bed: Bed) -> None:
    ids, position = list[bytes](), None
    for turn in range(2):
        with Reading(bed.build(), position) as one:
            bed.feed(turn)
            one.rows(1)
            position = one.batches[-1].position
            one.source.acknowledge(position)
            one.source.acknowledge(position)
            ids += [i for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
    assert len(set(ids)) == 2
    json.dumps(position.value if position else None)


def test_stop_and_close_end_it_soon_and_may_be_repeated(bed: Bed) -> None:
    with Reading(bed.build()) as stopped:
        stopped.stop.set()
        assert stopped.ended()
    with Reading(bed.build()) as closed:
        assert eventually(lambda: bool(closed.batches))
        closer = threading.Thread(target=closed.source.close)
        closer.start()
        closer.join(60)
        assert closed.ended()
        closed.source.close()

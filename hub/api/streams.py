"""A topic as a stream of server-sent events (WHATWG HTML, section 9.2), for who wants news without asking (R28).

The place is the client's, not a group's: each event's `id` says where to go on, and a client that comes back with it as
`Last-Event-ID` misses nothing. Browsers and SSE libraries do that by themselves.

| event | data |
|---|---|
| (none) | a record as in NDJSON |
| `reset` | `{"why": "grant"}`: its fields or rows changed, reading starts again (R24) |
| `reset` | `{"why": "retention", "partition", "from", "earliest"}`: records that were deleted unread (R3) |
| `end` | the problem that ends the stream: the token or the grant holds no longer, or a block is damaged |
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from hub.access.decide import Request as Asked
from hub.api.consumers import Grant
from hub.api.deps import AgencyCaller, HubOf, agency, caller
from hub.api.problems import from_error
from hub.api.room import Room
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.deliveries import Place, Read
from hub.delivery.lines import to_ndjson
from hub.errors import DatongError

KEEP_ALIVE_S = 15.0
RECORDS = 500  # in one go: a slow client holds no more than these
LAST_EVENT_ID = r"^[0-9a-f]{16};([0-9]{1,6}:[0-9]{1,18}(,[0-9]{1,6}:[0-9]{1,18})*)?$"
Start = Annotated[
    Literal["earliest", "latest"],
    Query(description="Where to begin without `Last-Event-ID`: all there is, or only news."),
]


def router() -> APIRouter:
    """The stream's endpoint."""
    api = APIRouter(prefix="/api/v1")

    @api.get("/topics/{topic}/events", response_class=StreamingResponse, responses=_DESCRIBED)
    async def events(
        topic: str,
        hub: HubOf,
        who: AgencyCaller,
        request: Request,
        grant: Grant = None,
        start: Start = "earliest",
        last_event_id: Annotated[str | None, Header(pattern=LAST_EVENT_ID, max_length=30_000)] = None,
    ) -> StreamingResponse:
        """Records as they come, for as long as the client stays."""
        streams: Streams = request.app.state.streams
        asked = Asked(agency=who.agency, topic=topic, grant=grant)
        streams.room.check()
        place = parse_id(last_event_id) if last_event_id else start
        first = await run_in_threadpool(hub.deliveries.read, asked, place, RECORDS)
        return streams.room.stream(streams.follow(hub, request, asked, first), {"X-Accel-Buffering": "no"})

    return api


_DESCRIBED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


class Streams:
    """All that are open on this node."""

    def __init__(self, waiting: Waiting, most: int) -> None:
        self._waiting = waiting
        self.room = Room(
            most,
            f"{most} streams are open on this node, as many as limits.streams allows",
            "pull the topic in a group instead, or try again later",
        )

    async def follow(self, hub: Hub, request: Request, asked: Asked, read: Read) -> AsyncIterator[bytes]:
        """Events from a first reading on, until the client leaves or something ends it. A thread works only while a batch is
        read and written; token and grant are asked for again before each (G12)."""
        while True:
            told = await run_in_threadpool(written, read)
            if told:
                yield told
            if not read.delivery.lag:
                await self._waiting.news(asked.topic, read.delivery.positions, KEEP_ALIVE_S)
                if self._waiting.stopped:
                    return
                if not told:
                    yield b": keep-alive\n\n"
            try:
                agency(await run_in_threadpool(caller, request, hub))
                read = await run_in_threadpool(hub.deliveries.read, asked, read.place, RECORDS)
            except DatongError as error:
                yield _event(bytes(from_error(error).body).decode(), name="end")
                return


def written(read: Read) -> bytes:
    """One reading as events."""
    return b"".join(_events(read))


def _events(read: Read) -> Iterator[bytes]:
    delivery = read.delivery
    if read.reset:
        yield _event('{"why":"grant"}', name="reset")
    for gap in delivery.gaps:
        about = {"why": "retention", "partition": gap.partition, "from": gap.position, "earliest": gap.earliest}
        yield _event(json.dumps(about), name="reset")
    lines = to_ndjson(delivery).decode().split("\n")[:-1]
    positions = dict(read.began)
    final = delivery.positions
    done: int | None = None
    for line, partition, offset in zip(lines, delivery.partitions.tolist(), delivery.offsets.tolist(), strict=True):
        if done is not None and done != partition:
            positions[done] = final[done]
        done = partition
        positions[partition] = offset + 1
        yield _event(line, place=Place(read.place.selection, positions))


def _event(data: str, *, name: str | None = None, place: Place | None = None) -> bytes:
    return format_sse_event(data_str=data, event=name, id=None if place is None else id_of(place))


def id_of(place: Place) -> str:
    """The text of an event's id."""
    return f"{place.selection};" + ",".join(f"{p}:{at}" for p, at in sorted(place.positions.items()))


def parse_id(text: str) -> Place:
    """The place that an id names. The text has the form of `LAST_EVENT_ID`."""
    selection, _, listed = text.partition(";")
    pairs = (part.split(":") for part in listed.split(",") if part)
    return Place(selection, {int(partition): int(at) for partition, at in pairs})

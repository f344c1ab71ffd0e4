"""What flows now, and what a person should be told: for operators, as an answer and as server-sent events.

An event of the stream is a sample; its `id` is the sample's number, and a client that comes back with it as `Last-Event-ID`
gets what it missed of the last ten minutes. Without it the newest sample comes at once.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from hub.api.deps import HubOf, caller, operator
from hub.api.guard import require_operator
from hub.api.problems import from_error
from hub.api.room import Room
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.errors import DatongError
from hub.watch import Sample

LOOK_S = 1.0  # how often a stream looks whether the hub ends
QUIET_S = 15.0  # without a sample for so long, it says that it is there
MOST = 200  # streams of a node
NUMBER = r"^[0-9]{1,15}$"


class TestRequest(BaseModel):
    """Whom to tell."""

    model_config = ConfigDict(extra="forbid")
    notify: str | None = Field(None, description="One of alerts.d; none means all.", max_length=100)


def router() -> APIRouter:
    """The endpoints."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(operator)])

    @api.get("/overview")
    def overview(hub: HubOf) -> dict[str, Any]:
        """The newest sample: topics, connectors, subscriptions, groups."""
        return hub.watch.latest().to_json()

    @api.get("/overview/stream", response_class=StreamingResponse, responses=_DESCRIBED)
    async def stream(
        hub: HubOf, request: Request, last_event_id: Annotated[str | None, Header(pattern=NUMBER)] = None
    ) -> StreamingResponse:
        """A sample a second, for as long as the client stays. 503: as many as may be follow this node."""
        samples: Samples = request.app.state.samples
        number = None if last_event_id is None else int(last_event_id)
        return samples.room.stream(_follow(hub, request, number))

    @api.get("/alerts")
    def alerts(hub: HubOf) -> dict[str, Any]:
        """What is wrong now, the oldest first, each with its next step."""
        return {"alerts": hub.alerts.listed()}

    @api.post("/alerts/test")
    def test(body: TestRequest, hub: HubOf) -> dict[str, Any]:
        """Tell those of alerts.d that this is a test; an `error` says who was not reached, and why."""
        return {"sent": hub.notifier.test(body.notify)}

    return api


_DESCRIBED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


async def _follow(hub: Hub, request: Request, number: int | None) -> AsyncIterator[bytes]:
    """Samples behind this number. The token is asked for again as often as it is quiet, and with every sample."""
    waiting: Waiting = request.app.state.waiting
    samples: Samples = request.app.state.samples
    with News(hub) as news:
        kept = hub.watch.after(0)
        unknown = number is None or not kept or number > kept[-1].number  # another node's, or nobody's
        waits = kept[-1:] if unknown else [sample for sample in kept if sample.number > (number or 0)]
        number = None if unknown else number
        quiet_s = 0.0
        while not waiting.stopped:
            for sample in waits:
                yield samples.text_of(sample)
                number, quiet_s = sample.number, 0.0
            quiet_s += 0 if await news.come(LOOK_S) else LOOK_S
            if quiet_s >= QUIET_S:
                yield b": keep-alive\n\n"
                quiet_s = 0.0
            try:
                require_operator(await run_in_threadpool(caller, request, hub))
            except DatongError as error:
                yield format_sse_event(data_str=bytes(from_error(error).body).decode(), event="end")
                return
            waits = hub.watch.after(number or 0)


class News:
    """Wakes one stream after each sample, without a thread of its own. A context manager."""

    def __init__(self, hub: Hub) -> None:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        self._end = hub.watch.listen(self._wake)

    def __enter__(self) -> News:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def come(self, timeout_s: float) -> bool:
        """Was a sample taken since the last time, or is one within the time?"""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def _wake(self) -> None:
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._woken.set)


class Samples:
    """The room of those who look on, and samples as events; the newest is written once, however many they are."""

    def __init__(self) -> None:
        self.room = Room(
            MOST, f"{MOST} clients follow the overview of this node", "close some, or ask for /api/v1/overview"
        )
        self._lock = threading.Lock()
        self._newest: tuple[int, bytes] = (-1, b"")

    def text_of(self, sample: Sample) -> bytes:
        """One event."""
        with self._lock:
            number, text = self._newest
        if number == sample.number:
            return text
        text = format_sse_event(
            data_str=json.dumps(sample.to_json(), ensure_ascii=False, separators=(",", ":")), id=str(sample.number)
        )
        with self._lock:
            if sample.number > self._newest[0]:
                self._newest = (sample.number, text)
        return text

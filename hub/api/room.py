"""How many streams of a kind may be open on this node at once: each holds memory, and a client may be slow (S20)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hub.errors import TooBusy


class Room:
    """Counts those that are open. Used on one event loop."""

    def __init__(self, most: int, full: str, remedy: str) -> None:
        """`full` and `remedy`: what is said to who comes when there are as many as may be."""
        self._most, self._full, self._remedy = most, full, remedy
        self._open = 0

    def check(self) -> None:
        """Raises TooBusy when there are as many as may be."""
        if self._open >= self._most:
            raise TooBusy(self._full, remedy=self._remedy)

    def stream(self, events: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> StreamingResponse:
        """Server-sent events as an answer, which has its place from now on, until it has ended or its client is gone. Raises
        TooBusy."""
        self.check()
        self._open += 1
        return _Placed(events, headers, self._leave)

    def _leave(self) -> None:
        self._open -= 1


class _Placed(StreamingResponse):
    """An answer that gives its place back, also one of which nothing was ever sent."""

    def __init__(
        self, events: AsyncIterator[bytes], headers: Mapping[str, str] | None, leave: Callable[[], None]
    ) -> None:
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

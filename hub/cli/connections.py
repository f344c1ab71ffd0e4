"""Connections that are slow or too many (S20). uvicorn bounds what is idle between two requests; this bounds the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 10.0  # from the first byte, or the beginning of a connection, to the end of a request's headers
BODY_S = 60.0  # from there to the end of its body


def protocol(per_address: int, *, header_s: float = HEADER_S, body_s: float = BODY_S) -> type[H11Protocol]:
    """A protocol for a port: an address has at most so many connections at a time, and a request comes in time.

    Who is refused or too slow is told so (429, 408) and hung up on. Headers that are too large are 431."""
    bounds = {"per_address": per_address, "header_s": header_s, "body_s": body_s, "open_by": Counter()}
    return type("BoundedHere", (Bounded,), bounds)


class Bounded(H11Protocol):
    """Made for a port by `protocol`."""

    per_address: ClassVar[int]
    header_s: ClassVar[float]
    body_s: ClassVar[float]
    open_by: ClassVar[Counter[str]]  # connections by address

    _timer: asyncio.TimerHandle | None = None
    _awaited = ""  # what the timer is for: header, body
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.open_by[self._address] += 1
        if self.open_by[self._address] > self.per_address:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
        else:
            self._wait_for("header")

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_by[self._address] -= 1
        if not self.open_by[self._address]:
            del self.open_by[self._address]
        self._wait_for("")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._mind()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._mind()

    def send_400_response(self, msg: str) -> None:
        if len(self.conn.trailing_data[0]) >= (self.config.h11_max_incomplete_event_size or 0):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _mind(self) -> None:
        """A deadline for what the other side has begun and not ended."""
        if self.conn.their_state is h11.SEND_BODY:
            self._wait_for("body")
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for("header")
        else:
            self._wait_for("")

    def _wait_for(self, what: str) -> None:
        if self._awaited == what:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = what
        seconds = self.header_s if what == "header" else self.body_s
        self._timer = self.loop.call_later(seconds, self._too_slow) if what else None

    def _too_slow(self) -> None:
        if self._awaited == "header" or not self.cycle.response_started:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        text = f"{status.phrase}\n".encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        self.transport.write(f"{head}Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
        self.transport.close()

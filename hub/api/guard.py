"""Who may ask: Host and Origin, body size, bearer tokens. Deny by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.hosts import LOOPBACK, hostname
from hub.api.problems import problem
from hub.errors import NotAuthenticated, NotGranted
from hub.tokens import Caller


class Guard:
    """ASGI middleware: refuses foreign Hosts (DNS rebinding), foreign Origins (CSRF) and bodies over the limit."""

    def __init__(
        self, app: ASGIApp, *, hosts: Sequence[str], max_body_bytes: int, answer: Callable[..., ASGIApp] = problem
    ) -> None:
        """`answer` makes a refusal of status, code and sentence."""
        self._app, self._hosts, self._limit = app, frozenset(hosts) | frozenset(LOOPBACK), max_body_bytes
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, then hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is not None:
            await self._answer(*refusal)(scope, receive, send)
            return
        body = _Body(receive, send, self._limit)
        with suppress(_TooLarge):
            await self._app(scope, body.receive, body.send)
        if body.too_large and not body.answered:
            await self._answer(413, "LimitExceeded", f"a request body is at most {self._limit:,} bytes")(
                scope, receive, send
            )

    def _refusal(self, headers: Headers) -> tuple[int, str, str] | None:
        host = hostname(headers.get("host", ""))
        if host not in self._hosts:
            return 421, "HostRefused", "this hub does not answer to that Host; see the setting http.allowed_hosts"
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != headers.get("host"):
            return 403, "OriginRefused", "requests from another site's pages are refused"
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            return 413, "LimitExceeded", f"a request body is at most {self._limit:,} bytes"
        return None


def _netloc(origin: str) -> str:
    """Host and port of an origin; nothing for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class _TooLarge(Exception):
    """The body passed the limit while it was read."""


class _Body:
    """Counts a body whose length was not said beforehand. What the application makes of its end is not sent."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit
        self.too_large = self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.too_large = True
            raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if not self.too_large or self.answered:
            self.answered = True
            await self._send(message)


def bearer(request: Request) -> str:
    """The bearer token of a request. Raises NotAuthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= 512:
        raise NotAuthenticated("this endpoint needs a bearer token", remedy="Authorization: Bearer <token>")
    return token.strip()


def require_operator(caller: Caller) -> Caller:
    """Raises NotGranted unless the caller operates this hub."""
    if caller.role != "operator":
        raise NotGranted("only an operator may do this", rule="operator_only")
    return caller


def require_administrator(caller: Caller) -> Caller:
    """Raises NotGranted unless the caller manages this hub's people: by the hub's own token, or as an administrator."""
    if caller.rank != "administrator":
        raise NotGranted("only an administrator may do this", rule="administrator_only")
    return caller


def require_agency(caller: Caller) -> Caller:
    """Raises NotGranted unless the caller is a subscribing agency."""
    if caller.role != "agency":
        raise NotGranted("only a subscribing agency may do this", rule="agency_only")
    return caller

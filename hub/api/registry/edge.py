"""The registry's outermost layer: paths as they were sent, content types both ways, limits on bodies (registry-api §1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cached_property

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.hosts import LOOPBACK, hostname
from hub.api.registry.answers import BadRequest, plain
from hub.api.registry.negotiation import V1, acceptable, request_charset

BODY_DEADLINE_S = 30.0  # for the whole body of a request
CHARSET = "registry.charset"  # where the scope has the codec of the body
OPENAPI = "/openapi.json"
BY_ID = "/schemas/ids/"
UNKNOWN = "unknown"  # no route: what was asked for stands in no label
Ready = Callable[[str, str], bytes | None]  # (id, Authorization) → the answer, when both are known already
Measured = Callable[[str, str, int, float], None]  # (route's template, method, status, seconds) of a request
PREFIX = "/registry"  # may stand before every path, so that one address finds it in a hub of any shape


class Edge:
    """ASGI middleware. What passes has a type that is known, a body that ends, and a path whose parts are still encoded:
    `/` inside a subject stays `%2F` until the handler decodes it."""

    def __init__(
        self, app: ASGIApp, *, hosts: Sequence[str], max_body_bytes: int, ready: Ready, measured: Measured | None = None
    ) -> None:
        self.app, self._ready, self._measured = app, ready, measured
        self._hosts, self._limit = frozenset(hosts) | frozenset(LOOPBACK), max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if self._measured is None:
            await self._answer(scope, receive, send)
            return
        started, status, route = time.perf_counter(), 500, UNKNOWN

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            route = await self._answer(scope, receive, sending)
        finally:
            self._measured(route, scope["method"], status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> str:
        """Answer, and say which route's template it was."""
        headers = Headers(scope=scope)
        path = _inner(raw_path(scope))
        media = acceptable(", ".join(headers.getlist("accept")) or None)
        typed = _typed(send, media or V1) if path != OPENAPI else send
        charset = request_charset(headers.get("content-type")) if scope["method"] in ("POST", "PUT") else "utf-8"
        refusal = self._refusal(headers, media, charset)
        if refusal is not None:
            await plain(*refusal)(scope, receive, typed)
            return UNKNOWN
        known = self._known(scope, path, headers)
        if known is not None:
            await _send(typed, known)
            return f"{PREFIX}{BY_ID}{{id}}"
        inner = {**scope, "path": path, "raw_path": path.encode("latin-1"), "root_path": "", CHARSET: charset}
        await self.app(inner, _Body(receive, self._limit), typed)
        route = getattr(inner.get("route"), "path", "")
        return f"{PREFIX}{route}" if route else UNKNOWN

    def _known(self, scope: Scope, path: str, headers: Headers) -> bytes | None:
        """What most requests ask for is at hand: it leaves without a route, a thread or a query."""
        plain = scope["method"] == "GET" and not scope["query_string"] and path.startswith(BY_ID)
        return self._ready(path[len(BY_ID) :], headers.get("authorization", "")) if plain else None

    def _refusal(self, headers: Headers, media: str | None, charset: str | None) -> tuple[int, str] | None:
        if hostname(headers.get("host", "")) not in self._hosts:
            return 421, "this registry does not answer to that Host; see the setting http.allowed_hosts"
        if media is None:
            return 406, ""
        if charset is None:
            return 415, ""
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limit:
            return 413, f"a body has at most {self._limit:,} bytes"
        return None


class _Body:
    """What the client sends, up to a size and a time."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._read = receive, limit, 0
        self._deadline: float | None = None

    async def __call__(self) -> Message:
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + BODY_DEADLINE_S
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - now, 0.001))
        except TimeoutError:
            raise BadRequest(408, f"a body must arrive within {BODY_DEADLINE_S:.0f} s") from None
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise BadRequest(413, f"a body has at most {self._limit:,} bytes")
        return message


def raw_path(scope: Scope) -> str:
    """The path as it was sent, percent-encoding and all."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return str(raw.decode("latin-1").partition("?")[0])


def _inner(path: str) -> str:
    return (path.removeprefix(PREFIX) or "/") if is_under(path) else path


def is_under(path: str, prefix: str = PREFIX) -> bool:
    """Is the registry meant, or what else answers under a prefix, where other things answer too?"""
    return path == prefix or path.startswith(f"{prefix}/")


def _typed(send: Send, media: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["content-type"] = media
            headers["x-content-type-options"] = "nosniff"
            headers["cache-control"] = "no-store"
        await send(message)

    return sending


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Beside:
    """ASGI middleware: what is under a prefix, by default /registry, goes to another application, which is put together
    when it is first asked."""

    def __init__(self, app: ASGIApp, *, make: Callable[[], ASGIApp], prefix: str = PREFIX) -> None:
        self._app, self._make, self._prefix = app, make, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        meant = scope["type"] == "http" and is_under(raw_path(scope), self._prefix)
        await (self._beside if meant else self._app)(scope, receive, send)

    @cached_property
    def _beside(self) -> ASGIApp:
        return self._make()

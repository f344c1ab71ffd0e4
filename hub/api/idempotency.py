"""POST requests that may be sent again: under the same `Idempotency-Key` they are done once (IETF draft
httpapi-idempotency-key-header).

For a day the first answer is given again, with `Idempotent-Replayed: true`. Only what was done is remembered: a refusal may be
tried again. The same key for another request is 422, for one that is still being answered 409. Requests whose answer holds a
secret take no key, for it would have to be kept. A key is the caller's own: it is of a bearer token.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.guard import bearer
from hub.api.problems import from_error, problem
from hub.app import Hub
from hub.errors import DatongError
from hub.store.answers import Answer

BELOW, SECRET = "/api/v1/", "/tokens"  # an address that ends so answers with a secret
HEADER, REPLAYED = "idempotency-key", "Idempotent-Replayed"
LONGEST = 255  # characters
KEPT = ("content-type", "location")  # headers of an answer


class Idempotency:
    """ASGI middleware, below the guard, which bounds bodies."""

    def __init__(self, app: ASGIApp, *, hub: Hub) -> None:
        self._app, self._hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if not _wanted(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers[HEADER]
        refusal = _refusal(scope["path"], key)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        try:
            await run_in_threadpool(self._hub.authenticate, bearer(request))
            body = await request.body()
            caller = request.headers["authorization"]
            mine = _digest(caller, key)
            # with the caller's secret in it: a body may hold a password, which a bare hash would let one guess (S13)
            asked = _digest(caller, scope["method"], scope["path"], scope["query_string"].decode("latin-1"), body)
            found = await run_in_threadpool(self._hub.store.answers.begin, mine, asked)
        except DatongError as error:
            await from_error(error)(scope, receive, send)
            return
        if found == "new":
            await self._do(scope, body, send, mine)
        elif isinstance(found, Answer):
            headers = {**found.headers, REPLAYED: "true"}
            await Response(found.body, found.status, headers)(scope, receive, send)
        else:
            status, what = (409, "is still being answered") if found == "working" else (422, "was another request's")
            remedy = "ask again in a while" if found == "working" else "take a new key for each request"
            await problem(status, "IdempotencyKeyInUse", f"the Idempotency-Key {what}", remedy=remedy)(
                scope, receive, send
            )

    async def _do(self, scope: Scope, body: bytes, send: Send, mine: bytes) -> None:
        """Have it done, and keep its answer when it was."""
        answer: dict[str, Any] = {"status": 500, "headers": {}, "body": b""}

        async def given() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = Headers(raw=message.get("headers", []))
                answer["status"] = message["status"]
                answer["headers"] = {name: headers[name] for name in KEPT if name in headers}
            elif message["type"] == "http.response.body":
                answer["body"] += message.get("body", b"")
                if not message.get("more_body") and answer["status"] < 300:  # before the client may ask again
                    await run_in_threadpool(self._hub.store.answers.keep, mine, Answer(**answer))
            await send(message)

        try:
            await self._app(scope, given, kept)
        finally:
            if answer["status"] >= 300:
                await run_in_threadpool(self._hub.store.answers.forget, mine)


def _wanted(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(BELOW):
        return False
    headers = Headers(scope=scope)
    return HEADER in headers and headers.get("authorization", "").lower().startswith("bearer ")


def _refusal(path: str, key: str) -> Response | None:
    if path.endswith(SECRET):
        return problem(
            422,
            "RequestInvalid",
            "this endpoint takes no Idempotency-Key: its answer holds a secret, which is not kept",
            remedy="send it without; a token that nobody got is revoked by its id",
        )
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        return problem(400, "RequestInvalid", f"an Idempotency-Key has 1 to {LONGEST} printable ASCII characters")
    return None


def _digest(*parts: str | bytes) -> bytes:
    made = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        made.update(len(data).to_bytes(8, "big") + data)
    return made.digest()

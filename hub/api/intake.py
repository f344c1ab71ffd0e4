"""Where departmental systems push records: 2xx means that they are durable (G1, F26, S25).

Whoever sends proves by the connector's own signature who it is, so there is no bearer token here. The source of the connector
looks at a push, and answers when its append is durable; this is only the edge.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from hub.api.deps import HubOf
from hub.errors import Conflict, LimitExceeded, NotAuthenticated, SourceUnavailable
from hub.model import Receipt, Submission

BODY_S = 30.0  # a body has come whole by then
ANSWER_S = 30.0  # and is durable by then, or the sender is told to send again
log = structlog.get_logger("datong.intake")
Connector = Annotated[str, Path(max_length=100, description="Name of a connector whose kind is pushed to.")]


def router() -> APIRouter:
    """The one endpoint."""
    api = APIRouter(prefix="/api/v1")

    @api.post("/intake/{connector}")
    async def push(connector: Connector, request: Request, hub: HubOf) -> dict[str, Any]:
        """Records as JSON (an object or an array of them) or NDJSON, signed as the connector's kind says. 200: durable.

        401: not signed by a key of the connector, or more than five minutes off. 409: this id was used for another body.
        413, 422: nothing was taken, and sending it again would not help. 429, 503, 507: send it again later."""
        door = await run_in_threadpool(hub.door, connector)
        submission = Submission(headers=dict(request.headers), body=await _body(request, door.max_bytes))
        try:
            pending = await run_in_threadpool(door.receive, submission)
        except (NotAuthenticated, Conflict) as error:
            log.warning("push refused", connector=connector, error=error.code, why=error.message)
            raise
        receipt = await _durable(pending)
        return {"records": receipt.records, "again": receipt.again}

    return api


async def _body(request: Request, limit: int) -> bytes:
    """Raises LimitExceeded; SourceUnavailable when it does not come."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise LimitExceeded(
                        f"what is pushed at once is at most {limit:,} bytes", remedy="send less at once"
                    )
                parts.append(part)
    except (TimeoutError, ClientDisconnect):
        raise SourceUnavailable(f"the body did not come within {BODY_S:.0f} s", remedy="send it again") from None
    return b"".join(parts)


async def _durable(pending: Future[Receipt]) -> Receipt:
    """Raises what the run ended with. Others may wait for the same, so it is never cancelled."""
    waiting = asyncio.wrap_future(pending)
    waiting.add_done_callback(
        lambda ended: ended.cancelled() or ended.exception()
    )  # it may end when nobody waits any more
    done, _ = await asyncio.wait({waiting}, timeout=ANSWER_S)
    if not done:
        raise SourceUnavailable("it is not durable yet", remedy="send it again with the same id: it is taken once")
    return waiting.result()

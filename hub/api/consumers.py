"""Endpoints of subscribing agencies: pull records in a group, commit offsets, seek, leave (R24, R27).

What an answer says besides its records stands in headers whatever its form, in JSON also beside them:

| header | JSON | meaning |
|---|---|---|
| X-Datong-Topic, -Group, -Grant | topic, group, grant | what was read, and by which right |
| X-Datong-Records | | how many records there are |
| X-Datong-Positions | positions | JSON: partition → offset; what a commit stores |
| X-Datong-Lag | lag | offsets from there to the end of the topic |
| X-Datong-Gaps | gaps | JSON: offsets `from` … `earliest` - 1 of a partition were deleted unread (R3) |
| X-Datong-Reset | reset | true: the grant changed, reading starts again (R24) |
| X-Datong-Schema-Id | schema_id | of the grant's output schema, in the hub's registry (R23) |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from hub.access.decide import Request as Asked
from hub.api.deps import AgencyCaller, HubOf, agency, caller
from hub.api.negotiation import best
from hub.api.waiting import Waiting
from hub.delivery.formats import FORMATS, Format, Wanted
from hub.delivery.groups import GroupState, Member, Pulled
from hub.delivery.lines import Formulas
from hub.errors import NotAcceptable

BASE = "/topics/{topic}/consumers/{group}"
MAX_TIMEOUT_MS = 30_000
CLIENT_GONE = 499  # in metrics alone: nobody is there to see it
BY_TYPE = {form.media_type: form for form in FORMATS}
JSON = "application/json"
Reader = Annotated[str, Header(alias="X-Datong-Reader", min_length=1, max_length=64)]
Grant = Annotated[str | None, Query(description="Which grant, when several fit.", max_length=100)]


class Positions(BaseModel):
    """Offsets to commit: the next one to read, by partition."""

    model_config = ConfigDict(extra="forbid")
    positions: dict[int, int] = Field(description="Partition → next offset.", max_length=1000)


class Seek(BaseModel):
    """Where to move a group's cursor."""

    model_config = ConfigDict(extra="forbid")
    to: Literal["earliest", "latest"] | dict[int, int] = Field(description="A place, or partition → offset.")


def router() -> APIRouter:
    """All subscriber endpoints."""
    api = APIRouter(prefix="/api/v1")
    _pull(api)
    _cursor(api)
    return api


def _pull(api: APIRouter) -> None:
    @api.get(f"{BASE}/records", response_model=None, responses={200: {"content": {name: {} for name in BY_TYPE}}})
    async def records(
        topic: str,
        group: str,
        hub: HubOf,
        who: AgencyCaller,
        request: Request,
        reader: Reader = "anonymous",
        grant: Grant = None,
        max_records: Annotated[int | None, Query(ge=1)] = None,
        timeout_ms: Annotated[int, Query(ge=0, le=MAX_TIMEOUT_MS)] = 0,
        formulas: Formulas = "escape",
    ) -> Response:
        """The next batch after the last commit, in the form that `Accept` prefers."""
        form = form_of(request.headers.getlist("accept"))
        asked = Asked(agency=who.agency, topic=topic, grant=grant)
        member = _member(group, reader)
        pulled = await run_in_threadpool(hub.deliveries.pull, asked, member, max_records)
        if timeout_ms and not pulled.news:
            waiting: Waiting = request.app.state.waiting
            if not await _while_there(request, waiting.news(topic, pulled.delivery.positions, timeout_ms / 1000)):
                return Response(status_code=CLIENT_GONE)
            agency(await run_in_threadpool(caller, request, hub))  # the token may have been revoked meanwhile
            pulled = await run_in_threadpool(hub.deliveries.pull, asked, member, max_records)
        return await run_in_threadpool(answer, pulled, group, form, formulas)


async def _while_there(request: Request, waits: Coroutine[Any, Any, None]) -> bool:
    """Wait to the end, or until the client has gone: then False. Nothing is read, and no lease taken, for nobody."""
    wait, gone = asyncio.create_task(waits), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((wait, gone), return_when=asyncio.FIRST_COMPLETED)
        return wait.done()
    finally:
        wait.cancel()
        gone.cancel()
        await asyncio.gather(wait, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _cursor(api: APIRouter) -> None:
    @api.post(f"{BASE}/offsets")
    def commit(
        topic: str,
        group: str,
        body: Positions,
        hub: HubOf,
        who: AgencyCaller,
        reader: Reader = "anonymous",
        grant: Grant = None,
    ) -> dict[str, Any]:
        """Commit: the receipt for what was read."""
        asked = Asked(agency=who.agency, topic=topic, grant=grant)
        return _state(hub.deliveries.commit(asked, _member(group, reader), body.positions))

    @api.get(f"{BASE}/offsets")
    def offsets(topic: str, group: str, hub: HubOf, who: AgencyCaller, grant: Grant = None) -> dict[str, Any]:
        """Where the group stands."""
        return _state(hub.deliveries.state(Asked(agency=who.agency, topic=topic, grant=grant), group))

    @api.post(f"{BASE}/seek")
    def seek(
        topic: str,
        group: str,
        body: Seek,
        hub: HubOf,
        who: AgencyCaller,
        reader: Reader = "anonymous",
        grant: Grant = None,
    ) -> dict[str, Any]:
        """Move the group's cursor."""
        asked = Asked(agency=who.agency, topic=topic, grant=grant)
        return _state(hub.deliveries.seek(asked, _member(group, reader), body.to))

    @api.delete(f"{BASE}/lease", status_code=204)
    def leave(
        topic: str, group: str, hub: HubOf, who: AgencyCaller, reader: Reader = "anonymous", grant: Grant = None
    ) -> None:
        """Let the next reader of the group in at once."""
        hub.deliveries.leave(Asked(agency=who.agency, topic=topic, grant=grant), _member(group, reader))


def _member(group: str, reader: str) -> Member:
    return Member(group=group[:100], reader=reader)


def form_of(accept: list[str]) -> Format:
    """The form that `Accept` headers prefer. Raises NotAcceptable."""
    chosen = best(",".join(accept) or None, list(BY_TYPE))
    if chosen is None:
        raise NotAcceptable(
            "none of the media types in `Accept` is offered here",
            remedy=f"accept one of {', '.join(BY_TYPE)}",
            available=tuple(BY_TYPE),
        )
    return BY_TYPE[chosen]


def answer(pulled: Pulled, group: str, form: Format, formulas: Formulas = "escape") -> Response:
    """Records in one form, and what is to be said of them."""
    about = _about(pulled, group)
    body = form.write(pulled.delivery, Wanted(schema_id=pulled.schema_id, formulas=formulas))
    if form.media_type == JSON:
        body = _compact(about).encode()[:-1] + b',"records":' + body + b"}"
    headers = {f"X-Datong-{name.replace('_', '-').title()}": _header(value) for name, value in about.items()}
    headers |= {"X-Datong-Records": str(pulled.delivery.records.num_rows), "Vary": "Accept"}
    return Response(body, media_type=form.content_type, headers=headers)


def _about(pulled: Pulled, group: str) -> dict[str, Any]:
    delivery = pulled.delivery
    return {
        "grant": delivery.plan.grant,
        "topic": delivery.plan.topic,
        "group": group,
        "positions": {str(p): n for p, n in delivery.positions.items()},
        "lag": delivery.lag,
        "gaps": [{"partition": g.partition, "from": g.position, "earliest": g.earliest} for g in delivery.gaps],
        "reset": pulled.reset,
        "schema_id": pulled.schema_id,
    }


def _header(value: Any) -> str:
    """Names as they are, percent-encoded where they are not ASCII; the rest as JSON."""
    return quote(value, safe=" !#$&'()*+,/:;=?@[]") if isinstance(value, str) else _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _state(state: GroupState) -> dict[str, Any]:
    return {
        "positions": {str(p): n for p, n in state.positions.items()},
        "ends": {str(p): n for p, n in state.ends.items()},
        "lag": state.lag,
        "reset": state.reset,
    }

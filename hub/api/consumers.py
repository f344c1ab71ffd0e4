"""Endpoints of subscribing agencies: pull records in a group, commit offsets, seek, leave (R24, R27)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hub.access.decide import Request as Wanted
from hub.api.deps import AgencyCaller, HubOf
from hub.api.problems import problem
from hub.delivery import lines
from hub.delivery.groups import GroupState, Member, Pulled

BASE = "/topics/{topic}/consumers/{group}"
MAX_TIMEOUT_MS = 30_000
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
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
    @api.get(f"{BASE}/records", response_model=None)
    def records(
        topic: str,
        group: str,
        hub: HubOf,
        who: AgencyCaller,
        request: Request,
        reader: Reader = "anonymous",
        grant: Grant = None,
        max_records: Annotated[int | None, Query(ge=1)] = None,
        timeout_ms: Annotated[int, Query(ge=0, le=MAX_TIMEOUT_MS)] = 0,
        formulas: Literal["escape", "raw"] = "escape",
    ) -> Response:
        """The next batch after the last commit, as JSON, NDJSON or CSV by `Accept`."""
        media = _media(request.headers.get("accept", "*/*"))
        if media is None:
            return problem(406, "NotAcceptable", f"available: {JSON}, {NDJSON}, {CSV}")
        wanted = Wanted(agency=who.agency, topic=topic, grant=grant)
        pulled = hub.deliveries.pull(wanted, _member(group, reader), max_records, timeout_ms / 1000)
        return _answer(pulled, group, media, formulas)


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
        wanted = Wanted(agency=who.agency, topic=topic, grant=grant)
        return _state(hub.deliveries.commit(wanted, _member(group, reader), body.positions))

    @api.get(f"{BASE}/offsets")
    def offsets(topic: str, group: str, hub: HubOf, who: AgencyCaller, grant: Grant = None) -> dict[str, Any]:
        """Where the group stands."""
        return _state(hub.deliveries.state(Wanted(agency=who.agency, topic=topic, grant=grant), group))

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
        wanted = Wanted(agency=who.agency, topic=topic, grant=grant)
        return _state(hub.deliveries.seek(wanted, _member(group, reader), body.to))

    @api.delete(f"{BASE}/lease", status_code=204)
    def leave(
        topic: str, group: str, hub: HubOf, who: AgencyCaller, reader: Reader = "anonymous", grant: Grant = None
    ) -> None:
        """Let the next reader of the group in at once."""
        hub.deliveries.leave(Wanted(agency=who.agency, topic=topic, grant=grant), _member(group, reader))


def _member(group: str, reader: str) -> Member:
    return Member(group=group[:100], reader=reader)


def _media(accept: str) -> str | None:
    """The first type of `Accept` that is available, by its order."""
    for part in accept.split(","):
        name = part.partition(";")[0].strip().lower()
        if name in ("*/*", "application/*", JSON, ""):
            return JSON
        if name in (NDJSON, CSV):
            return name
        if name == "text/*":
            return CSV
    return None


def _answer(pulled: Pulled, group: str, media: str, formulas: Literal["escape", "raw"]) -> Response:
    delivery = pulled.delivery
    about = {
        "grant": delivery.plan.grant,
        "topic": delivery.plan.topic,
        "group": group,
        "positions": {str(p): n for p, n in delivery.positions.items()},
        "lag": delivery.lag,
        "gaps": [{"partition": g.partition, "from": g.position, "earliest": g.earliest} for g in delivery.gaps],
        "reset": pulled.reset,
        "schema_id": pulled.schema_id,
    }
    if media == JSON:
        head = json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode()
        body = head[:-1] + b',"records":' + lines.to_json(delivery) + b"}"
        return Response(body, media_type=JSON)
    headers = {
        "X-Datong-Positions": json.dumps(about["positions"], separators=(",", ":")),
        "X-Datong-Lag": str(delivery.lag),
        "X-Datong-Reset": str(pulled.reset).lower(),
        "X-Datong-Gaps": json.dumps(about["gaps"], separators=(",", ":")),
    }
    if media == NDJSON:
        return Response(lines.to_ndjson(delivery), media_type=NDJSON, headers=headers)
    return Response(lines.to_csv(delivery, formulas=formulas), media_type="text/csv; charset=utf-8", headers=headers)


def _state(state: GroupState) -> dict[str, Any]:
    return {
        "positions": {str(p): n for p, n in state.positions.items()},
        "ends": {str(p): n for p, n in state.ends.items()},
        "lag": state.lag,
        "reset": state.reset,
    }

"""Endpoints of an operator who edits connectors: their files as text, checks, previews, resets and restarts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hub.api.deps import HubOf, OperatorCaller, operator
from hub.errors import RevisionChanged
from hub.logs import audit_logger

YAML = "text/yaml; charset=utf-8"
MAX_ROWS = 200


class ResetRequest(BaseModel):
    """Why the source is to be read from its start again."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(description="Kept on record.", min_length=1, max_length=500)
    accept_duplicates: bool = Field(False, description="In mode append: publish every row once more.")


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]
Name = Annotated[str, Query(description="The connector whose file the text would replace.", max_length=100)]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
TEXT = {"requestBody": {"required": True, "content": {"text/yaml": {"schema": {"type": "string"}}}}}


def router() -> APIRouter:
    """All of them. Before the operator's other endpoints: `config` is no action there."""
    api = APIRouter(prefix="/api/v1/connectors", dependencies=[Depends(operator)])
    _looks(api)
    _files(api)
    _steering(api)
    return api


def _looks(api: APIRouter) -> None:
    @api.post("/validate", openapi_extra=TEXT)
    def validate(text: Body, hub: HubOf, name: Name = "") -> dict[str, Any]:
        """Every mistake of a connector's text, with line, field and what to do; nothing is written."""
        return hub.editing.validate(text, name)

    @api.post("/preview", openapi_extra=TEXT)
    def preview(
        text: Body,
        hub: HubOf,
        limit: Limit = 10,
        case: Annotated[str | None, Query(description="Rows of this case of quarantine.", max_length=64)] = None,
    ) -> dict[str, Any]:
        """What a connector's text makes of its source's first rows, or of a case's; values masked, nothing is stored."""
        return hub.editing.preview(text, limit) if case is None else hub.editing.preview_case(text, case, limit)


def _files(api: APIRouter) -> None:
    @api.get("/{name}/config", response_class=Response, responses={200: {"content": {"text/yaml": {}}}})
    def read(name: str, hub: HubOf) -> Response:
        """The connector's file as it stands in connectors.d; its revision is the ETag."""
        found = hub.editing.text(name)
        return Response(found.text, headers={"ETag": f'"{found.revision}"', "Content-Type": YAML})

    @api.put("/{name}/config", openapi_extra=TEXT)
    def write(
        name: str,
        text: Body,
        hub: HubOf,
        who: OperatorCaller,
        response: Response,
        if_match: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        """Replace the file of the revision in If-Match, or create it when there is no If-Match (201)."""
        if if_match is None:
            made = hub.editing.create(text, name, by=who.by)
            response.status_code = 201
            response.headers["Location"] = f"/api/v1/connectors/{name}"
        else:
            made = hub.editing.save(name, text, _revision(if_match, name, hub))
        response.headers["ETag"] = f'"{made["revision"]}"'
        audit_logger("datong.api").info("connector_written", by=who.by, connector=name, created=made["created"])
        return made

    @api.delete("/{name}/config", status_code=204)
    def delete(name: str, hub: HubOf, who: OperatorCaller, if_match: Annotated[str | None, Header()] = None) -> None:
        """Take the file of a stopped connector away; its topic stays."""
        hub.editing.delete(name, None if if_match is None else _revision(if_match, name, hub))
        audit_logger("datong.api").info("connector_deleted", by=who.by, connector=name)


def _steering(api: APIRouter) -> None:
    @api.post("/{name}/reset")
    def reset(name: str, body: ResetRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Read the source of a stopped connector from its start with the next run."""
        return hub.steering.reset(name, reason=body.reason, accept_duplicates=body.accept_duplicates, by=who.by)

    @api.post("/{name}/restart", status_code=202)
    def restart(name: str, hub: HubOf, who: OperatorCaller, response: Response) -> dict[str, str]:
        """End the run under way after its batch, forget a failure, and start a run now."""
        started = hub.steering.restart(name, by=who.by)
        response.headers["Location"] = f"/api/v1/connectors/{name}/runs/{started['run']}"
        return started


def _revision(if_match: str, name: str, hub: HubOf) -> str:
    """Of an If-Match header: one strong tag, or `*` for whatever is there (RFC 9110 §13.1.1)."""
    tags = [tag.strip() for tag in if_match.split(",")]
    if tags == ["*"]:
        return hub.editing.text(name).revision
    strong = [tag.strip('"') for tag in tags if tag.startswith('"') and len(tag) > 2]
    if len(strong) != 1:
        raise RevisionChanged(
            "If-Match names no one revision", remedy="send the ETag of a GET of this connector's file"
        )
    return strong[0]

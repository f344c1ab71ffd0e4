"""Endpoints for operators of what is shared: topics, who reads them, schemas, maps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from hub.api.deps import HubOf, OperatorCaller, operator
from hub.registry.model import Reference, version_of
from hub.subscribers import Rewind
from hub.views.topics import MOST_SAMPLE, SAMPLE


def _moment(value: object) -> datetime:
    """ISO 8601 with its zone, and nothing else: a bare number could be an offset just as well."""
    found = datetime.fromisoformat(value) if isinstance(value, str) and not value.isdigit() else None
    if found is None or found.tzinfo is None:
        raise ValueError("is no moment with its zone, such as 2026-11-25T08:00:00Z")
    return found


Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class RewindRequest(BaseModel):
    """Where a group is to go on, and why."""

    model_config = ConfigDict(extra="forbid")
    to: Literal["earliest", "latest"] | dict[int, int] | Moment = Field(
        description="A place; partition → next offset; or a moment with its zone: of each partition the first records that "
        "were appended then or later."
    )
    reason: str = Field(description="Why; it stays on record with who asked.", min_length=1, max_length=1000)
    accept_skip: bool = Field(False, description="When it moves forward: leave out what lies between.")


class ReferenceRequest(BaseModel):
    """A type of another subject that a schema uses."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Full name of the type.", max_length=1000)
    subject: str = Field(description="The subject that has it.", max_length=1000)
    version: int = Field(description="Its version there; -1 is the latest.")


class CheckRequest(BaseModel):
    """A schema to be tried, as text."""

    model_config = ConfigDict(extra="forbid")
    schema_text: str = Field(alias="schema", description="Avro, as JSON text.", max_length=1024 * 1024)
    references: list[ReferenceRequest] = Field([], description="Types of other subjects.", max_length=1000)


def router() -> APIRouter:
    """All of them."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(operator)])
    _topics(api)
    _subscribers(api)
    _schemas(api)
    _maps(api)
    return api


def _topics(api: APIRouter) -> None:
    @api.get("/topics")
    def topics(hub: HubOf) -> dict[str, Any]:
        """All topics with contract and freshness."""
        return {"topics": hub.views.topics()}

    @api.get("/topics/{topic}")
    def topic(topic: str, hub: HubOf) -> dict[str, Any]:
        """One topic: contract, fields, offsets, size."""
        return hub.views.topic(topic)

    @api.get("/topics/{topic}/sample")
    def sample(topic: str, hub: HubOf, limit: Annotated[int, Query(ge=1, le=MOST_SAMPLE)] = SAMPLE) -> dict[str, Any]:
        """The newest records. Only fields classified `public` are clear, of others there is the shape."""
        return hub.views.sample(topic, limit)

    @api.get("/topics/{topic}/readers")
    def readers(topic: str, hub: HubOf) -> dict[str, Any]:
        """Who may read it, who does, and how far behind."""
        return hub.views.readers(topic)


def _subscribers(api: APIRouter) -> None:
    @api.get("/subscribers")
    def subscribers(hub: HubOf, topic: str | None = None, agency: str | None = None) -> dict[str, Any]:
        """Every group of every agency: those that pull and those that the hub pushes to."""
        return {"subscribers": hub.subscribers.all(topic=topic, agency=agency)}

    @api.get("/subscribers/{group}/{topic}")
    def subscriber(group: str, topic: str, hub: HubOf) -> dict[str, Any]:
        """One group, by its name or as `agency.grant.name`: its place in each partition, and what it committed when."""
        return hub.subscribers.one(group, topic)

    @api.post("/subscribers/{group}/{topic}/rewind")
    def rewind(group: str, topic: str, body: RewindRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Let it go on from somewhere else. 409: it is pushed and not paused, a reader holds it, or it would skip records."""
        wanted = Rewind(to=body.to, reason=body.reason, by=who.by, accept_skip=body.accept_skip)
        return hub.subscribers.rewind(group, topic, wanted)


def _schemas(api: APIRouter) -> None:
    @api.get("/schemas")
    def schemas(hub: HubOf) -> dict[str, Any]:
        """The latest version of every subject."""
        return {"schemas": hub.views.schemas()}

    @api.get("/schemas/{subject}")
    def schema(subject: str, hub: HubOf) -> Any:
        """The latest schema of a subject, as registered."""
        return hub.views.schema(subject)

    @api.get("/schemas/{subject}/versions")
    def versions(subject: str, hub: HubOf) -> dict[str, Any]:
        """All versions, newest first, with the day each was registered."""
        return hub.views.schema_versions(subject)

    @api.get("/schemas/{subject}/diff")
    def diff(
        subject: str,
        hub: HubOf,
        old: Annotated[str, Query(alias="from", description="A version; none: the one before.")] = "",
        new: Annotated[str, Query(alias="to", description="A version.")] = "latest",
    ) -> dict[str, Any]:
        """What changes between two versions, in words, and whom it breaks."""
        return hub.views.schema_diff(subject, version_of(old) if old else None, version_of(new))

    @api.post("/schemas/{subject}/check")
    def check(subject: str, body: CheckRequest, hub: HubOf) -> dict[str, Any]:
        """Would this schema be taken, what would change, and whom would it break? Never registers."""
        references = tuple(Reference(**reference.model_dump()) for reference in body.references)
        return hub.views.schema_check(subject, body.schema_text, references)

    @api.get("/schemas/{subject}/uses")
    def uses(subject: str, hub: HubOf) -> dict[str, Any]:
        """Who publishes with this subject and who reads it."""
        return hub.views.schema_uses(subject)


def _maps(api: APIRouter) -> None:
    @api.get("/maps")
    def maps(hub: HubOf) -> dict[str, Any]:
        """The maps that maps.d declares."""
        return {"maps": hub.views.maps()}

    @api.get("/maps/{name}")
    def one_map(name: str, hub: HubOf) -> dict[str, Any]:
        """A number for each region. `complete` false: not all was counted in this answer's time; ask again."""
        return hub.views.map(name)

    @api.get("/maps/{name}/boundaries", response_class=Response)
    def boundaries(name: str, hub: HubOf) -> Response:
        """The regions as GeoJSON."""
        return Response(hub.views.map_boundaries(name), media_type="application/geo+json")

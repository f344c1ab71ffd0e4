"""The registry's ASGI application: the edge, and thin handlers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from hub import __version__
from hub.api.registry import answers, compatibility, meta, people, schemas, settings, subjects
from hub.api.registry.by_id import ById
from hub.api.registry.deps import Service
from hub.api.registry.edge import OPENAPI, Edge, Measured
from hub.api.routes import take
from hub.registry import Registry
from hub.registry.access import Gate
from hub.registry.desk import Desk, Users
from hub.store import Store


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the application takes: hosts it answers to besides loopback's, and the largest body."""

    hosts: Sequence[str] = ()
    max_body_bytes: int = 8 * 1024 * 1024


def service(registry: Registry, store: Store, gate: Gate, desk: Desk | None = None) -> Service:
    """What the handlers work with. Without a desk, nobody is known to use a subject."""
    return Service(
        registry=registry,
        gate=gate,
        by_id=ById(registry),
        desk=desk or Desk(registry, Users()),
        version=__version__,
        healthy=store.healthy,
    )


def create_registry_app(serving: Service, limits: Limits, measured: Measured | None = None) -> Edge:
    """The registry of a store over HTTP. The store must be open; closing it is the caller's. `measured` hears of requests."""
    return _application(
        serving,
        limits,
        [
            meta.router(),
            *(part.router() for part in (subjects, schemas, compatibility, settings, people)),
            people.importing(),
        ],
        measured,
    )


def create_desk_app(serving: Service, limits: Limits, measured: Measured | None = None) -> Edge:
    """What a hub says of schemas that another registry keeps: differences, try-outs, users. That one has the rest."""
    return _application(serving, limits, [people.router()], measured)


def _application(serving: Service, limits: Limits, routers: Sequence[APIRouter], measured: Measured | None) -> Edge:
    app = FastAPI(
        title="Datong schema registry",
        version=__version__,
        description="Avro schemas: subjects, versions, compatibility. Any Avro client's serialisers work with it.",
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
        redirect_slashes=False,
    )
    app.state.service = serving
    answers.install(app)
    for router in (*routers, meta.health()):
        take(app, router)

    def ready(schema_id: str, authorization: str) -> bytes | None:
        now: Service = app.state.service
        if not (schema_id.isascii() and schema_id.isdecimal()) or len(schema_id) > 10:
            return None
        return now.by_id.ready(int(schema_id)) if now.gate.known(authorization) is not None else None

    return Edge(app, hosts=limits.hosts, max_body_bytes=limits.max_body_bytes, ready=ready, measured=measured)

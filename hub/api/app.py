"""The ASGI application: guard, problems, routers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from hub import __version__
from hub.api import connect, consumers, editing, health, intake, operators, overview, problems, shared, streams
from hub.api.guard import Guard
from hub.api.idempotency import Idempotency
from hub.api.registry import create_desk_app, create_registry_app
from hub.api.registry.app import Limits, service
from hub.api.registry.edge import Beside, Edge
from hub.api.routes import take
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.registry import Registry
from hub.registry.access import Gate


def create_app(hub: Hub) -> FastAPI:
    """The API of a node: a worker's is its health and its intake. The hub must be open; closing it is the caller's."""
    app = FastAPI(
        title="Datong",
        version=__version__,
        description="Public agencies share data: connectors, topics, grants.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.hub = hub
    app.state.waiting = Waiting(hub.log)
    app.state.streams = streams.Streams(app.state.waiting, hub.settings.limits.streams)
    app.state.samples = overview.Samples()
    problems.install(app)
    take(app, health.router())
    take(app, intake.router())  # of every role: a push is taken where its connector runs, the others say so
    if hub.role != "worker":
        for part in (consumers, streams, editing, operators, overview, shared):
            take(app, part.router())

    @app.middleware("http")
    async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unknown")
        hub.metrics.request(route, request.method, response.status_code, time.perf_counter() - started)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    settings = hub.settings
    if hub.role != "worker":
        app.add_middleware(Idempotency, hub=hub)
    app.add_middleware(Guard, hosts=settings.http.allowed_hosts, max_body_bytes=settings.limits.request_bytes)
    if hub.role != "worker":
        app.add_middleware(Beside, make=partial(registry_app, hub))
        app.add_middleware(Beside, make=partial(connect_app, hub), prefix=connect.PREFIX)
    return app


def connect_app(hub: Hub) -> ASGIApp:
    """Kafka Connect's API of the hub's connectors, for /connect."""
    from hub.api.connect.app import create_app  # when it is first asked: few ever do

    return create_app(hub)


def registry_app(hub: Hub) -> Edge:
    """The hub's schema registry, for /registry and for a port of its own. Its errors are the registry's own."""
    settings = hub.settings
    gate = Gate(hub.store.tokens, hub.operator_token())
    limits = Limits(hosts=settings.http.allowed_hosts, max_body_bytes=settings.limits.request_bytes)
    serving = service(Registry(hub.store), hub.store, gate, hub.schema_desk)
    made = create_desk_app if settings.registry.url else create_registry_app
    return made(serving, limits, hub.metrics.request)

"""The ASGI application: paths with or without /connect, a guard, thin handlers."""

from __future__ import annotations

import time

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import __version__
from hub.api.connect import PREFIX, connectors, plugins
from hub.api.connect.answers import Answer, from_guard, install
from hub.api.connect.deps import BASE, operator
from hub.api.guard import Guard
from hub.api.registry.edge import is_under
from hub.app import Hub


def create_app(hub: Hub) -> ASGIApp:
    """Kafka Connect's API of a hub. The hub must be open; closing it is the caller's."""
    app = FastAPI(
        title="Datong as Kafka Connect",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        default_response_class=Answer,
    )
    app.state.hub = hub
    install(app)

    @app.get("/health")
    def health() -> Answer:
        """Does it take requests? Without authentication, as Connect's."""
        well = all(hub.checks().values())
        words = "Worker has completed startup and is ready to handle requests." if well else "The log or store fails."
        return Answer({"status": "healthy" if well else "unhealthy", "message": words}, 200 if well else 503)

    for part in (connectors, plugins):
        app.include_router(part.router(), dependencies=[Depends(operator)])
    limits = hub.settings.limits.request_bytes
    guarded = Guard(app, hosts=hub.settings.http.allowed_hosts, max_body_bytes=limits, answer=from_guard)
    return _Edge(guarded, hub)


class _Edge:
    """ASGI middleware: a slash at a path's end counts for nothing, as in Connect; and each request is measured."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app, self._hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        started, status = time.perf_counter(), 500
        path = str(scope["path"])
        base = PREFIX if is_under(path, PREFIX) else ""
        path = path.removeprefix(base).rstrip("/") or "/"
        inner = {**scope, "path": path, "raw_path": path.encode("utf-8", "replace"), "root_path": "", BASE: base}

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        try:
            await self._app(inner, receive, sending)
        finally:
            route = getattr(inner.get("route"), "path", "")
            self._hub.metrics.request(
                f"{PREFIX}{route}" if route else "unknown", scope["method"], status, time.perf_counter() - started
            )


HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]

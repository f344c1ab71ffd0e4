"""The console's routes, added to the API's application."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from hub.app import Hub
from hub.console import edge
from hub.console.assets import asset
from hub.console.live import Live
from hub.console.pages import Action, Page
from hub.console.views import ACTIONS, PAGES
from hub.errors import NotFound

FOR_GOOD = "public, max-age=31536000, immutable"


def add_console(app: FastAPI, hub: Hub, pages: Sequence[Page] = PAGES, actions: Sequence[Action] = ACTIONS) -> None:
    """Everything below /console, and the way there from the root."""

    def at(path: str, endpoint: object, method: str = "GET") -> None:
        app.add_api_route(path, endpoint, methods=[method], include_in_schema=False, response_model=None)  # type: ignore[arg-type]

    at("/", _home)
    at("/console", _home)
    at("/console/static/{version}/{name}", _static)
    at(edge.LOG_IN, edge.endpoint(hub, edge.log_in_form))
    at(edge.LOG_IN, edge.endpoint(hub, edge.log_in, edge.LOG_IN_BYTES), "POST")
    at("/console/live", Live(hub).stream)
    at("/console/log-out", edge.endpoint(hub, edge.log_out), "POST")
    for page in pages:
        at(f"/console{page.path.rstrip('/') or '/overview'}.json", edge.twin(hub, page))
        if page.template:
            at(f"/console{page.path}", edge.page(hub, page))
    for action in actions:
        at(f"/console{action.path}", edge.action(hub, action), "POST")
    at("/console/{path:path}", edge.endpoint(hub, edge.nothing))


async def _home() -> Response:
    return RedirectResponse(edge.HOME, status_code=307)


async def _static(version: str, name: str, request: Request) -> Response:
    found = asset(name)
    if found is None or version != found.version:
        raise NotFound("there is no such file of the console", remedy="load the page again")
    headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.content, media_type=found.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(found.compressed, media_type=found.media_type, headers=headers)

"""The subscriber's HTTP API over real parts, as thin as it can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
from anyio.from_thread import BlockingPortal
from fastapi import Body, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from hub.access.plan import Plan
from hub.api.consumers import answer, form_of
from hub.delivery.groups import GroupState, Member
from hub.delivery.read import ReadLimits
from hub.errors import (
    Conflict,
    DatongError,
    GroupBusy,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    NotGranted,
    OffsetOutOfRange,
)
from tests.delivery.world import Hub

TOKEN = "secret-token"
Reader = Annotated[str, Header(alias="X-Datong-Reader")]
STATUS = {
    NotAuthenticated: 401,
    NotGranted: 404,
    NotFound: 404,
    GroupBusy: 409,
    Conflict: 409,
    OffsetOutOfRange: 410,
    NotAcceptable: 406,
}


class AppTransport(httpx.BaseTransport):
    """Calls an application in this process from a synchronous client."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._app, self._portal = httpx.ASGITransport(app=app, raise_app_exceptions=False), portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._handle, request)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        response = await self._app.handle_async_request(copy)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)


@dataclass
class Server:
    """An application, and what it has seen and should do."""

    hub: Hub
    plan: Callable[[], Plan]
    calls: list[str] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)  # answers to give first, instead of the right one

    def app(self) -> FastAPI:
        app = FastAPI()
        path = "/api/v1/topics/{topic}/consumers/{group}"

        @app.middleware("http")
        async def watch(request: Request, call_next: Any) -> Response:
            self.calls.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
            if self.failures:
                return self.failures.pop(0)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return problem(NotAuthenticated("who are you?", remedy="bring a token"))
            response: Response = await call_next(request)
            return response

        @app.exception_handler(DatongError)
        async def ours(_request: Request, error: DatongError) -> JSONResponse:
            return problem(error)

        def member(group: str, reader: str) -> Member:
            return Member(group=group, reader=reader)

        @app.get(path + "/records")
        def records(
            group: str, topic: str, reader: Reader, max_records: int, request: Request, timeout_ms: int = 0
        ) -> Response:
            if topic != self.plan().topic:
                raise NotFound(f"there is no topic {topic}")
            form = form_of(request.headers.getlist("accept"))
            limits = ReadLimits(max_records=max_records)
            pulled = self.hub.subscriptions.pull(self.plan(), member(group, reader), limits)
            if not pulled.news and self.hub.log.wait(topic, pulled.delivery.positions, timeout_ms / 1000):
                pulled = self.hub.subscriptions.pull(self.plan(), member(group, reader), limits)
            return answer(pulled, group, form)

        @app.post(path + "/offsets")
        def commit(group: str, reader: Reader, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
            positions = {int(p): at for p, at in body["positions"].items()}
            return shown(self.hub.subscriptions.commit(self.plan(), member(group, reader), positions))

        @app.post(path + "/seek")
        def seek(group: str, reader: Reader, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
            to = body["to"]
            to = to if isinstance(to, str) else {int(p): at for p, at in to.items()}
            return shown(self.hub.subscriptions.seek(self.plan(), member(group, reader), to))

        @app.delete(path + "/lease", status_code=204)
        def leave(group: str, reader: Reader) -> None:
            self.hub.subscriptions.leave(self.plan(), member(group, reader))

        return app


def shown(state: GroupState) -> dict[str, Any]:
    return {"positions": {str(p): at for p, at in state.positions.items()}, "lag": state.lag}


def problem(error: DatongError) -> JSONResponse:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"code": error.code, "detail": error.message, "remedy": error.remedy}, status_code=status)

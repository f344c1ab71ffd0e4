"""The hub's API without a server: the same application, called in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.from_thread
import httpx
from anyio.from_thread import BlockingPortal

from hub import memory
from hub.directory import Directory

if TYPE_CHECKING:
    from hub.settings import Loaded


class AppTransport(httpx.BaseTransport):
    """Hands requests of a synchronous client to an ASGI application on an event loop of its own thread."""

    def __init__(self, transport: httpx.ASGITransport, portal: BlockingPortal) -> None:
        self._transport, self._portal = transport, portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, its answer read whole."""
        answer: httpx.Response = self._portal.call(self._handle, request)
        return answer

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        response = await self._transport.handle_async_request(copy)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content)


@contextmanager
def in_process(loaded: Loaded, directory: Directory) -> Iterator[httpx.Client]:
    """Open the hub here, call its API as its operator, and close it again. Raises DirectoryInUse."""
    from hub.api.app import create_app
    from hub.app import Hub
    from hub.cli.session import token_of

    with Hub.open(loaded) as hub, anyio.from_thread.start_blocking_portal() as portal:
        app = create_app(hub)
        transport = AppTransport(httpx.ASGITransport(app=app, raise_app_exceptions=False), portal)
        headers = {"Authorization": f"Bearer {token_of(directory)}"}
        memory.settle()
        with httpx.Client(transport=transport, base_url="http://localhost", headers=headers, timeout=600.0) as client:
            yield client

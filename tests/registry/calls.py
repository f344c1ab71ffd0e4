"""The registry over HTTP in one process, and short ways to say a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI

from hub.api.registry import create_registry_app
from hub.api.registry.app import Limits, service
from hub.api.registry.edge import Edge
from hub.cli.inprocess import AppTransport
from hub.registry import Registry
from hub.registry.access import Gate
from hub.store import Store

OPERATOR = "operator-token"
V1 = "application/vnd.schemaregistry.v1+json"
Answer = tuple[int, Any]


class Calls:
    """One caller. Every answer must have a type of the registry, and every failure its form."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        answer = self.client.request(method, path, content=content, params={k: str(v) for k, v in params.items()})
        assert answer.headers["content-type"] == V1
        found = answer.json()
        if answer.status_code >= 400:
            assert set(found) == {"error_code", "message"}
            assert str(found["error_code"])[:3] == str(answer.status_code)
        return answer.status_code, found

    def get(self, path: str, **params: Any) -> Answer:
        return self.call("GET", path, **params)

    def post(self, path: str, body: Any, **params: Any) -> Answer:
        return self.call("POST", path, body, **params)

    def put(self, path: str, body: Any, **params: Any) -> Answer:
        return self.call("PUT", path, body, **params)

    def delete(self, path: str, **params: Any) -> Answer:
        return self.call("DELETE", path, **params)

    def register(self, subject: str, schema: Any, **more: Any) -> Answer:
        return self.post(f"/subjects/{quote(subject, safe='')}/versions", {"schema": text(schema), **more})

    def registered(self, subject: str, schema: Any, **more: Any) -> int:
        """The id."""
        status, found = self.register(subject, schema, **more)
        assert (status, set(found)) == (200, {"id"}), found
        return int(found["id"])

    def refused(self, answer: Answer, code: int, *words: str) -> None:
        """The answer is this error, and its message has these words."""
        _status, found = answer
        assert isinstance(found, dict), found
        assert found.get("error_code") == code, found
        for word in words:
            assert word in found["message"]


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    """A record's schema."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def f(name: str, of: Any = "int", **more: Any) -> dict[str, Any]:
    """A field."""
    return {"name": name, "type": of, **more}


def text(schema: Any) -> Any:
    return schema if isinstance(schema, str) else json.dumps(schema)


class Served:
    """One application and one event loop for all tests of a process; each test gives it a store of its own."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._edge: Edge | None = None

    @contextmanager
    def calling(self, store: Store, token: str = OPERATOR) -> Iterator[Calls]:
        registry, gate = Registry(store), Gate(store.tokens, OPERATOR)
        if self._edge is None:
            self._edge = create_registry_app(service(registry, store, gate), Limits())
        app = self._edge.app
        assert isinstance(app, FastAPI)
        app.state.service = service(registry, store, gate)
        transport = AppTransport(httpx.ASGITransport(app=self._edge, raise_app_exceptions=False), self._portal)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield Calls(client)

"""What the guard lets through to an application, byte by byte (G17)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from hub.api import problems
from hub.api.guard import Guard

LIMIT = 1_000


def make_app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/body")
    def body(body: dict[str, str]) -> dict[str, int]:
        return {"members": len(body)}

    app.add_middleware(Guard, hosts=(), max_body_bytes=LIMIT)
    return app


def post(parts: list[bytes]) -> httpx.Response:
    """A request in these pieces, whose length is not said."""

    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/body", content=pieces(), headers={"Content-Type": "application/json"})

    return asyncio.run(send())


@pytest.mark.parametrize("tail", [b"x" * 600, b"x" * 401, b"}" + b" " * 400])
def test_G17_a_body_of_unsaid_length_is_refused_where_it_passes_the_limit(tail: bytes) -> None:
    answer = post([b'{"a": "' + b"x" * 593, tail])
    assert (answer.status_code, answer.json()["code"]) == (413, "LimitExceeded")
    assert answer.headers["content-type"] == "application/problem+json"


def test_G17_a_body_of_the_limit_passes() -> None:
    start = b'{"a": "'
    assert post([start, b"x" * (LIMIT - len(start) - 2), b'"}']).json() == {"members": 1}


@pytest.mark.parametrize("origin", ["http://[", "null", "http://evil.example"])
def test_S19_what_comes_from_elsewhere_is_refused_whatever_its_origin_says(origin: str) -> None:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/body", json={}, headers={"Origin": origin})

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()["code"]) == (403, "OriginRefused")

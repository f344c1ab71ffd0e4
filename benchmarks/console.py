"""The console: first paint and weight of each page, the Overview of a large hub, 50 people who look on, hostile connections.

The hub is a process of its own on the first core, as `datong serve` starts it; the browser and all callers are on the second.
CPU is the server's, as the kernel counted it, so that a busy machine changes waiting times and little else.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, Response

from benchmarks.measure import SubjectFailed, pin
from benchmarks.registry import quantiles
from benchmarks.serving import Server, serving
from deploy.services.chromium import chromium

PASSWORD = "correct horse battery"
RUN = 10  # connectors that publish before anything is measured
PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
  const one = list.getEntriesByName("first-contentful-paint")[0];
  if (one) done(one.startTime);
}).observe({type: "paint", buffered: true}))"""
PLOTLY = "/plotly.js"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large, and how long."""

    topics: int = 500
    connectors: int = 200
    viewers: int = 50
    seconds: float = 20.0  # that they look on
    rounds: int = 5  # of each page
    requests: int = 300  # of a healthy client, before hostile ones come and beside them
    trickling: int = 200  # connections that send a byte of a header every second
    idle: int = 2_000  # connections that send nothing
    patience: float = 15.0  # seconds after which such a connection should have been ended


def console(options: Options) -> dict[str, Any]:
    """Everything, on one hub."""
    with tempfile.TemporaryDirectory() as name, hub(project(Path(name), options)) as server:
        cookie = log_in(server)
        publish(server)
        found: dict[str, Any] = {"topics": options.topics, "connectors": options.connectors}
        found["overview"] = overview(server, cookie, options)
        found["pages"] = pages(server, cookie, options.rounds)
        found["viewers"] = asyncio.run(viewers(server, cookie, options))
        found["hostile"] = asyncio.run(hostile(server, cookie, options))
        found["peak_rss_mb"] = round(server.rss_mb)
        return found


# --- the hub ----------------------------------------------------------------------------------------------------------


def project(folder: Path, options: Options) -> Path:
    """So many topics, the first of which have a connector each over a file of a hundred rows."""
    for name in ("connectors.d", "topics.d", "grants.d", "schemas", "data", "var"):
        (folder / name).mkdir()
    (folder / "datong.yaml").touch()
    agencies = [{"id": f"city-{n:02}", "name": {"en": f"Office {n}", "zh": f"办公室{n}"}} for n in range(20)]
    (folder / "agencies.yaml").write_text(json.dumps({"agencies": agencies}))
    (folder / "data/numbers.csv").write_text("N,TEXT\n" + "".join(f"{n},row {n}\n" for n in range(100)))
    (folder / "schemas/number.avsc").write_text(json.dumps(_schema()))
    for n in range(options.topics):
        agency = f"city-{n % 20:02}"
        topic = f"{agency}.numbers.number{n:03}.v1"
        described = {"en": f"Numbers {n}", "zh": f"数{n}"}
        made = {"topic": topic, "title": described, "description": described, "partitions": 1, "sharing": "not shared"}
        (folder / f"topics.d/t{n:03}.yaml").write_text(json.dumps({**made, "freshness": "26h"}))
        if n < options.connectors:
            publish = {"topic": topic, "schema": "number.avsc", "mode": "append"}
            source = {"kind": "files", "path": "data/*.csv", "stable_after_s": 0}
            connector = {"connector": f"{agency}-numbers-{n:03}", "agency": agency, "source": source}
            publish["fields"] = {"n": "to_int(N)", "text": "TEXT"}  # type: ignore[assignment]
            (folder / f"connectors.d/c{n:03}.yaml").write_text(json.dumps({**connector, "publish": publish}))
    return folder


def _schema() -> dict[str, Any]:
    fields = [
        {"name": name, "type": kind, "doc": "What it is.", "doc_zh": "说明。", "classification": "public"}
        for name, kind in (("n", "long"), ("text", "string"))
    ]
    return {"type": "record", "name": "Number", "namespace": "t", "doc": "A row.", "doc_zh": "行。", "fields": fields}


@contextmanager
def hub(folder: Path) -> Iterator[Server]:
    """All of a hub on the first core; whoever calls is on the second."""
    import resource  # which Windows lacks

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with serving(folder, role="all", DATONG_REGISTRY__PORT="0", DATONG_LOGGING__LEVEL="error") as server:
        pin([1])
        try:
            yield server
        finally:
            pin(range(os.cpu_count() or 1))


def log_in(server: Server) -> str:
    """The cookies of an administrator."""
    with server.api() as client:
        client.post("/people", json={"name": "vera", "role": "administrator", "password": PASSWORD}).raise_for_status()
    given = {"name": "vera", "password": PASSWORD}
    answer = httpx.post(f"{server.url}/console/log-in", data=given, timeout=60, trust_env=False)
    return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


def publish(server: Server) -> None:
    """Some records, so that pages have something to show."""
    with server.api() as client:
        for one in client.get("/connectors").json()["connectors"][:RUN]:
            server.pull(one["name"])


# --- what is measured -------------------------------------------------------------------------------------------------


def overview(server: Server, cookie: str, options: Options) -> dict[str, Any]:
    """One request after the other, without a browser."""
    waits: list[float] = []
    with httpx.Client(base_url=server.url, headers={"Cookie": cookie}, timeout=60, trust_env=False) as client:
        size = len(client.get("/console/").content)
        cpu = server.cpu_s
        for _ in range(options.rounds * 10):
            began = time.perf_counter()
            if client.get("/console/").status_code != 200:
                raise SubjectFailed("the Overview is not shown")
            waits.append((time.perf_counter() - began) * 1000)
        spent = (server.cpu_s - cpu) / len(waits) * 1000
    return {"ms": quantiles(waits), "cpu_ms": round(spent, 1), "html_bytes": size}


def pages(server: Server, cookie: str, rounds: int) -> dict[str, Any]:
    """First contentful paint, with nothing kept from before and with scripts and styles kept, and what was transferred."""
    found = {}
    with chromium() as browser:
        for path, address in addresses(server, cookie).items():
            context = browser.new_context(locale="en-US", extra_http_headers={"Cookie": cookie})
            cold = _paint(page := context.new_page(), f"{server.url}{address}")
            warm = sorted(_paint(page, page.url)["paint_ms"] for _ in range(rounds))
            context.close()
            found[path] = {**cold, "paint_again_ms": warm[len(warm) // 2]}
    return found


def _paint(page: Page, url: str) -> dict[str, Any]:
    sizes = {"html": 0, "plotly": 0, "else": 0}

    def take(answer: Response) -> None:
        if answer.url.endswith("/console/live"):
            return
        kind = "html" if answer.url == url else "plotly" if answer.url.endswith(PLOTLY) else "else"
        with suppress(Exception):  # it was not over yet when the page was left
            sizes[kind] += answer.request.sizes()["responseBodySize"]

    answered: list[Response] = []

    def keep(answer: Response) -> None:
        answered.append(answer)

    page.on("response", keep)
    page.goto(url, wait_until="load")
    painted = page.evaluate(PAINTED)
    page.remove_listener("response", keep)
    for answer in answered:
        take(answer)
    return {"paint_ms": round(painted), "bytes": sizes}


def addresses(server: Server, cookie: str) -> dict[str, str]:
    """Each page's, by its path: of those with names the first one that another page leads to."""
    from hub.console.views import PAGES

    paths = sorted((page.path for page in PAGES if page.template), key=lambda path: path.count("{"))
    found: dict[str, str] = {}
    links: list[str] = []
    with httpx.Client(base_url=server.url, headers={"Cookie": cookie}, timeout=60, trust_env=False) as client:
        for path in paths:
            shape = re.compile("/console" + re.sub(r"\\\{\w+\\\}", "[^/?]+", re.escape(path)))
            address = f"/console{path}" if "{" not in path else next((x for x in links if shape.fullmatch(x)), "")
            if address and address not in found.values():
                found[path] = address
                links += re.findall(r'href="(/console/[^"#?]*)"', client.get(address).text)
    return found


async def viewers(server: Server, cookie: str, options: Options) -> dict[str, Any]:
    """The share of one core that the hub takes with and without so many open pages."""
    alone = await _share(server, options.seconds)
    received = [0] * options.viewers

    async def look(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_get("/console/live", cookie))
        try:
            while data := await reader.read(65536):
                received[number] += len(data)
        finally:
            writer.close()

    looking = [asyncio.create_task(look(number)) for number in range(options.viewers)]
    await asyncio.sleep(2)
    before = sum(received)
    share = await _share(server, options.seconds)
    each = (sum(received) - before) / options.viewers / options.seconds
    silent = sum(1 for one in received if one == 0)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    if silent:
        raise SubjectFailed(f"{silent} of {options.viewers} viewers were told nothing")
    return {
        "viewers": options.viewers,
        "core_share_alone": round(alone, 4),
        "core_share": round(share, 4),
        "core_share_of_viewers": round(share - alone, 4),
        "bytes_per_viewer_second": round(each),
    }


async def _share(server: Server, seconds: float) -> float:
    cpu, began = server.cpu_s, time.perf_counter()
    await asyncio.sleep(seconds)
    return (server.cpu_s - cpu) / (time.perf_counter() - began)


async def hostile(server: Server, cookie: str, options: Options) -> dict[str, Any]:
    """A healthy client's waiting times before others trickle or say nothing, from ten addresses, and meanwhile (S20)."""
    before = await _healthy(server, cookie, options.requests)
    held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    began = time.perf_counter()

    async def connect(number: int, said: bytes) -> None:
        local = (f"127.0.0.{2 + number % 10}", 0)
        with suppress(OSError):  # the hub may well refuse
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=local)
            writer.write(said)
            held.append((reader, writer))

    async def trickle(count: int) -> None:
        while True:
            await asyncio.sleep(1)
            for _, writer in held[:count]:
                with suppress(OSError):
                    writer.write(b"x")

    for number in range(options.trickling):
        await connect(number, b"GET /console/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    trickling = asyncio.create_task(trickle(len(held)))
    for number in range(options.idle):
        await connect(number, b"")
    beside = await _healthy(server, cookie, options.requests)
    await asyncio.sleep(max(0, options.patience - (time.perf_counter() - began)))
    trickling.cancel()
    ended = sum(await asyncio.gather(*(_over(reader) for reader, _ in held)))
    for _, writer in held:
        writer.close()
    return {
        "trickling": options.trickling,
        "idle": options.idle,
        "accepted": len(held),
        "ended_by_the_hub": ended,
        "alone_ms": before,
        "beside_ms": beside,
        "p99_ratio": round(beside["p99"] / before["p99"], 2),
    }


async def _over(reader: asyncio.StreamReader) -> bool:
    """Has the hub hung up, whatever it said before?"""
    try:
        await asyncio.wait_for(reader.read(), 1.0)
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def _healthy(server: Server, cookie: str, requests: int) -> dict[str, float]:
    waits: list[float] = []
    for _ in range(requests):
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_get("/console/health.json", cookie, "close"))
        answer = await reader.read(-1)
        writer.close()
        waits.append((time.perf_counter() - began) * 1000)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SubjectFailed(f"a healthy client was answered {answer[:80]!r}")
    return quantiles(waits)


def _get(path: str, cookie: str, connection: str = "keep-alive") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: {connection}\r\n\r\n".encode()

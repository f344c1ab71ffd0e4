"""The schema registry: look-ups by id, registering as it grows, a cold start, compatibility of a wide record, memory.

The server is a process of its own on the first core, as `datong serve --role registry` starts it; callers are on the second.
CPU is the server's, as the kernel counted it, so that a busy machine changes waiting times and little else.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import SubjectFailed, pin
from benchmarks.serving import Server, environment, serving

VERSIONS = 5  # of each subject
WIDE_FIELDS = 500
REGISTERED = 200  # new schemas whose registration is timed at each size


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large, and how long."""

    subjects: int = 10_000
    small: int = 100  # subjects of the small registry that registering is compared with
    requests: int = 30_000
    connections: int = 8
    store: str = ""  # SQLAlchemy URL of an empty PostgreSQL database; default: SQLite


def registry(options: Options) -> dict[str, Any]:
    """Everything, smallest first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"compatibility_500_fields": compatibility()}
        small = project(folder / "small", options.small, options.store)
        with serving(small) as server:
            found["register_small"] = registering(server, options.small)
        if options.store:
            empty(options.store)
        large = project(folder / "large", options.subjects, options.store)
        with serving(large) as server:
            found["start"] = {
                "schemas": options.subjects * VERSIONS,
                "seconds": round(server.started_s, 2),
                "cpu_s": server.cpu_s,
            }
            found["register_large"] = registering(server, options.subjects)
            found["by_id_cold"] = by_id(server, options, 1)
            found["by_id_warm"] = by_id(server, options, 2)
            found["peak_rss_mb"] = round(server.rss_mb, 1)
        shutil.rmtree(large)
    ratio = found["register_large"]["cpu_ms"]["median"] / found["register_small"]["cpu_ms"]["median"]
    found["register_large_over_small"] = round(ratio, 2)
    return found


def project(folder: Path, subjects: int, store: str) -> Path:
    """A project whose store has so many subjects, each schema its own."""
    folder.mkdir()
    (folder / "datong.yaml").touch()
    code = "import sys; from benchmarks.registry import fill; fill(sys.argv[1], int(sys.argv[2]))"
    url = store or f"sqlite:///{folder / 'var' / 'store.db'}"
    (folder / "var").mkdir()
    subprocess.run([sys.executable, "-P", "-c", code, url, str(subjects)], check=True, env=environment(), cwd=folder)
    return folder


def fill(url: str, subjects: int) -> None:
    """Run in a process of its own: what it loads must not count."""
    from hub.registry import Registry
    from hub.registry.dump import Dump, DumpedVersion
    from hub.store import Store

    with Store.open(url) as opened:
        importer = Registry(opened).importer
        for start in range(0, subjects, 1_000):
            versions = [
                DumpedVersion(
                    subject=f"agency.domain.entity{s}.v1-value",
                    version=v,
                    id=s * VERSIONS + v,
                    text=schema(f"Entity{s}", 12 + v),
                )
                for s in range(start, min(start + 1_000, subjects))
                for v in range(1, VERSIONS + 1)
            ]
            importer.take(Dump(versions=tuple(versions)))


def empty(url: str) -> None:
    """Forget what a database holds."""
    import sqlalchemy as sa

    from hub.store.tables import METADATA

    engine = sa.create_engine(url)
    METADATA.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()


def schema(name: str, fields: int, kind: str = "string") -> str:
    """An ordinary record."""
    made = [
        {"name": f"field_{n}", "type": ["null", kind], "default": None, "doc": f"What field {n} of {name} is."}
        for n in range(fields)
    ]
    return json.dumps({"type": "record", "name": name, "namespace": "gov.bench", "fields": made})


def registering(server: Server, subjects: int) -> dict[str, Any]:
    """New schemas in new subjects, one after the other."""
    waits, cpus = [], []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for n in range(REGISTERED):
            name = f"New{subjects}x{n}"
            body = json.dumps({"schema": schema(name, 12)}).encode()
            cpu, began = server.cpu_s, time.perf_counter()
            exchange(connection, request(server, "POST", f"/subjects/agency.new.{name}-value/versions", body))
            waits.append((time.perf_counter() - began) * 1000)
            cpus.append(server.cpu_s - cpu)
    # the kernel counts CPU in ticks of 10 ms: a mean over a tenth of the requests is fine enough to have a median
    tenths = [
        sum(cpus[k :: REGISTERED // 10]) / len(cpus[k :: REGISTERED // 10]) * 1000 for k in range(REGISTERED // 10)
    ]
    return {
        "ms": quantiles(waits),
        "cpu_ms": {"median": round(sum(cpus) / len(cpus) * 1000, 2), "max": round(max(tenths), 2)},
    }


def by_id(server: Server, options: Options, seed: int) -> dict[str, Any]:
    """Serialisers of many clients, each on a connection of its own."""
    pin([1])
    ids = random.Random(seed).choices(range(1, options.subjects * VERSIONS + 1), k=options.requests)
    cpu, began = server.cpu_s, time.perf_counter()
    waits = asyncio.run(_ask(server, ids, options.connections))
    wall, spent = time.perf_counter() - began, server.cpu_s - cpu
    pin(range(os.cpu_count() or 1))
    per_s = {"per_second": round(len(ids) / wall), "per_core_second": round(len(ids) / spent) if spent else None}
    return {**per_s, "ms": quantiles(waits)}


async def _ask(server: Server, ids: list[int], connections: int) -> list[float]:
    waits: list[float] = []
    left = iter(ids)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in left:
            began = time.perf_counter()
            writer.write(request(server, "GET", f"/schemas/ids/{number}"))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            waits.append((time.perf_counter() - began) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SubjectFailed(f"id {number}: {head[:60]!r}")
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return waits


def request(server: Server, method: str, path: str, body: bytes = b"") -> bytes:
    """As stock clients send it."""
    accept = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\nAccept: {accept}\r\n"
    )
    if body:
        head += f"Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def exchange(connection: socket.socket, sent: bytes) -> None:
    """One request and its whole answer, which must be a success."""
    connection.sendall(sent)
    answer = b""
    while b"}" not in answer:
        answer += connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SubjectFailed(answer[:300].decode("utf-8", "replace"))


def compatibility() -> dict[str, Any]:
    """A wide record against itself with every type widened: parsing aside, all the work there is."""
    from hub.avro.compat import check_pair
    from hub.avro.schema import parse

    old, new = parse(schema("Wide", WIDE_FIELDS, "int")), parse(schema("Wide", WIDE_FIELDS, "long"))
    times = []
    for _ in range(20):
        began = time.process_time()
        if check_pair("BACKWARD", new, old) or not check_pair("FORWARD", new, old):
            raise SubjectFailed("compatibility of the wide record is wrong")
        times.append((time.process_time() - began) * 1000 / 2)
    return {"cpu_ms": quantiles(times)}


def quantiles(values: list[float]) -> dict[str, float]:
    """Median, the 99th of a hundred, most."""
    ordered = sorted(values)
    at_99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"median": round(statistics.median(ordered), 3), "p99": round(at_99, 3), "max": round(ordered[-1], 3)}

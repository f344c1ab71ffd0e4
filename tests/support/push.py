"""A project whose connector is pushed to, a sender that signs, and the hub that answers: here, or in a process to kill."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.from_thread
import fastavro
import httpx

from hub import blocks
from hub.api.app import create_app
from hub.app import Hub
from hub.cli.inprocess import AppTransport
from hub.log.sqlite import SqliteLog
from hub.ports import LogReader
from hub.settings import load_settings
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
NAME, TOPIC = "city-sensors", "city.sensor.reading.v1"
SCHEMA: dict[str, Any] = {
    "type": "record", "name": "Reading", "namespace": "t", "doc": "A reading.", "doc_zh": "读数。",
    "fields": [
        {"name": "sensor", "type": "string", "doc": "Its sensor.", "doc_zh": "传感器。", "classification": "public"},
        {"name": "value", "type": "double", "doc": "Its value.", "doc_zh": "值。", "classification": "public"},
    ],
}  # fmt: skip
CONNECTOR = """\
connector: {name}
agency: city
source: {source}
schedule: continuous
publish:
  topic: {topic}
  schema: reading.avsc
  mode: {mode}
  key: {key}
  where: sensor <> 'skip'
  fields: {{sensor: sensor, value: to_double(value)}}
"""
TOPIC_FILE = "topic: {topic}\ntitle: {{en: Readings, zh: 读数}}\nsharing: not shared\n"


def secret(text: str = "first") -> str:
    """A symmetric key."""
    return "whsec_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def make_project(directory: Path, source: dict[str, Any], *, mode: str = "append", name: str = NAME) -> Path:
    """One connector; `KEY` and `OTHER` are secrets of it."""
    for folder in ("connectors.d", "topics.d", "grants.d", "schemas", "secrets.d"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "datong.yaml").touch()
    (directory / "agencies.yaml").write_text("agencies:\n  - {id: city, name: {en: City, zh: 市}}\n")
    (directory / "schemas/reading.avsc").write_text(json.dumps(SCHEMA))
    (directory / "topics.d/reading.yaml").write_text(TOPIC_FILE.format(topic=TOPIC))
    key = "[]" if mode == "append" else "[sensor]"
    text = CONNECTOR.format(name=name, source=json.dumps(source), topic=TOPIC, mode=mode, key=key)
    (directory / f"connectors.d/{name}.yaml").write_text(text)
    for file, value in (("KEY", secret()), ("OTHER", secret("second"))):
        path = directory / "secrets.d" / file
        path.write_text(value)
        path.chmod(0o600)
    return directory


@dataclass
class Sender:
    """Signs by a symmetric key, as a department's system does."""

    client: httpx.Client
    path: str = f"/api/v1/intake/{NAME}"
    key: str = field(default_factory=secret)

    def headers(self, body: bytes, name: str, *, at: int | None = None) -> dict[str, str]:
        """Those of the Standard Webhooks specification."""
        moment = str(int(time.time()) if at is None else at)
        raw = base64.b64decode(self.key.removeprefix("whsec_"))
        made = hmac.digest(raw, f"{name}.{moment}.".encode() + body, hashlib.sha256)
        signature = "v1," + base64.b64encode(made).decode()
        return {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": signature}

    def send(
        self,
        content: Any,
        name: str | None = None,
        *,
        media: str = "application/json",
        at: int | None = None,
        **more: str,
    ) -> httpx.Response:
        """One attempt."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {**self.headers(body, name or uuid.uuid4().hex, at=at), "content-type": media, **more}
        return self.client.post(self.path, content=body, headers=headers)


@contextmanager
def here(project: Path, *, run: bool = True) -> Iterator[tuple[Hub, httpx.Client]]:
    """The hub in this process, its connectors running or only when asked."""
    with Hub.open(load_settings(project, env={})) as hub, anyio.from_thread.start_blocking_portal() as portal:
        transport = AppTransport(httpx.ASGITransport(app=create_app(hub), raise_app_exceptions=False), portal)
        token = {"Authorization": f"Bearer {hub.operator_token()}"}
        with httpx.Client(transport=transport, base_url="http://localhost", headers=token, timeout=60) as client:
            if run:
                hub.supervisor.run_now(NAME)
                until_open(hub)
            yield hub, client


def until_open(hub: Hub, name: str = NAME) -> None:
    """Until the connector takes what is pushed."""
    deadline = time.monotonic() + 120
    while hub.doors.door(name) is None:
        assert time.monotonic() < deadline, hub.supervisor.status(name)
        time.sleep(0.01)


@contextmanager
def serving(project: Path, *, wait: bool = True, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """`datong serve` in a process of its own, answering; killed at the end if it still runs. Without `wait`, it may be
    dead before it answers."""
    port = free_port()
    command = [sys.executable, "-m", "hub.cli.main", "serve", "--port", str(port)]
    told = {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_REGISTRY__PORT": "0", **env}
    with (project / "hub.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=project, env=told, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            deadline = time.monotonic() + 120
            while wait:
                with suppress(httpx.TransportError):
                    if client.get("/livez").status_code == 200:
                        break
                assert process.poll() is None, (project / "hub.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process, client
    finally:
        process.kill()
        process.wait()


def readings(log: LogReader, topic: str = TOPIC) -> list[tuple[str, float]]:
    """All records of the topic, in order, by another decoder than the hub's own."""
    found: list[tuple[str, float]] = []
    for partition, span in log.ends(topic).items():
        offset = span.earliest
        while offset < span.end:
            fetch = log.read(topic, partition, offset, 10_000_000)
            for block in fetch.blocks:
                for value in blocks.decode(block.records, block.base_offset).values.to_pylist():
                    made: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), SCHEMA, None)
                    found.append((made["sensor"], made["value"]))
            offset = fetch.next_offset
    return found


def published(project: Path) -> list[tuple[str, float]]:
    """The same of a project whose hub does not run."""
    log = SqliteLog.at(project / "var/log.db", clock=lambda: 0)
    try:
        return readings(log)
    finally:
        log.close()

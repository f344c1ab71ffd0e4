"""`datong serve` as a process of its own on the first core, and what it cost as the kernel counted it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import ROOT, SubjectFailed, cpu_of, peak_of, pin

START_S = 120.0


@dataclass
class Server:
    """A hub, or its registry alone, that runs."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    started_s: float

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def api(self) -> Iterator[httpx.Client]:
        """As its operator."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
            yield client

    def pull(self, connector: str) -> dict[str, Any]:
        """Run a connector to its end; the run. Raises SubjectFailed when it did not end well."""
        runs = f"/connectors/{connector}/runs"
        with self.api() as client:
            started = client.post(runs, json={}).raise_for_status().json()["run"]
            run: dict[str, Any] = {"state": "running"}
            while run["state"] == "running":
                run = client.get(f"{runs}/{started}", params={"wait_ms": 1000}).raise_for_status().json()
        if run["state"] != "completed":
            raise SubjectFailed(f"the hub's run ended as {run['state']}: {run.get('error')}")
        return run

    @property
    def cpu_s(self) -> float:
        """User and system time until now."""
        return cpu_of(self.process.pid)

    @property
    def rss_mb(self) -> float:
        """The most memory it ever had."""
        return peak_of(self.process.pid)


@contextmanager
def serving(folder: Path, store: str = "", role: str = "registry", **more: str) -> Iterator[Server]:
    """The registry of a project, or all of its hub, from its first answer on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-P", "-m", "hub.cli.main", "serve", "--role", role, "--port", str(port)]
    env = {**environment(), **({"DATONG_STORE__URL": store} if store else {}), **more}
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=output, preexec_fn=lambda: pin([0])
        )
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - began > START_S:
                    output.seek(0)
                    raise SubjectFailed(f"it did not start: {output.read().decode()[-2000:]}")
                time.sleep(0.01)
            started = time.perf_counter() - began
            token = (folder / "var" / "operator.token").read_text().strip()
            yield Server(process=process, port=port, token=token, started_s=started)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def answers(port: int) -> bool:
    """Is it ready?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def environment() -> dict[str, str]:
    """For children."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}

"""`datong serve --role registry` as a process of its own, as an operator starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_S = 120.0


class Node:
    """One registry process over a project directory."""

    def __init__(self, directory: Path, store_url: str = "", env: dict[str, str] | None = None) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "datong.yaml").touch()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {**os.environ, **({"DATONG_STORE__URL": store_url} if store_url else {}), **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> str:
        return (self.directory / "var" / "operator.token").read_text().strip()

    def start(self) -> None:
        command = [sys.executable, "-P", "-m", "hub.cli.main", "serve", "--role", "registry"]
        with (self.directory / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--project", str(self.directory)],
                env=self._env,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.directory / "out").read_text()
            try:
                if httpx.get(f"{self.url}/livez", timeout=10, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError((self.directory / "out").read_text())

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        return self.process.wait(timeout=READY_S)

    def client(self, timeout: float = 60.0) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)


@contextmanager
def running(directory: Path, store_url: str = "") -> Iterator[Node]:
    node = Node(directory, store_url)
    node.start()
    try:
        yield node
    finally:
        if node.process is not None and node.process.poll() is None:
            node.stop()


def dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))

"""A standalone Kafka Connect worker in a process of its own, pinned to one core, and what each of its connectors cost.

One garbage collector thread and Connect's own heap bounds: on one core the JVM takes the serial collector by itself."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import SubjectFailed, cpu_of, peak_of, pin
from benchmarks.rounds import Measured
from deploy.services.kafka import HERE as LOGGING

READY_S, DONE_S = 120.0, 900.0
POLL_S = 0.05
REQUEST_S = 30.0
HEAP = ("-Xms256m", "-Xmx2g")
PRODUCER = {"compression.type": "lz4", "linger.ms": "5", "batch.size": "262144", "acks": "all"}


class Worker:
    """From `start` on it may run connectors, one after the other."""

    def __init__(self, jars: Path, bootstrap: str, folder: Path, plugins: Path | None = None) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        settings = {
            "bootstrap.servers": bootstrap,
            "listeners": self._url,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.storage.file.filename": str(folder / "offsets"),
            **({"plugin.path": str(plugins)} if plugins else {}),
            **{f"producer.{name}": value for name, value in PRODUCER.items()},
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (folder / "worker.properties").write_text(text, encoding="utf-8")
        command = ["java", *HEAP, f"-Dlog4j2.configurationFile={LOGGING / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        self._log = (folder / "worker.log").open("wb")
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, "org.apache.kafka.connect.cli.ConnectStandalone", str(folder / "worker.properties")],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: pin(range(1)),
        )

    def ready(self) -> None:
        """Until it answers. Raises SubjectFailed with the end of its log."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self._alive()
            try:
                self._ask("GET", "/connectors")
            except OSError:
                time.sleep(POLL_S)
                continue
            return
        raise SubjectFailed(f"Connect did not answer in {READY_S:.0f} s: {self._words()}")

    def copy(self, name: str, settings: Mapping[str, str], count: Callable[[], int], expected: int) -> None:
        """Run one connector until its topic has the expected records. Raises SubjectFailed."""
        try:
            self._ask("POST", "/connectors", {"name": name, "config": dict(settings)})
        except urllib.error.HTTPError as error:
            raise SubjectFailed(f"Connect refused {name}: {error.read().decode()[:500]}") from error
        deadline = time.monotonic() + DONE_S
        while (found := count()) < expected:
            self._alive()
            if time.monotonic() > deadline or self._failed(name):
                raise SubjectFailed(f"{name} wrote {found:,} of {expected:,} records: {self._words()}")
            time.sleep(POLL_S)

    def drop(self, name: str) -> None:
        """Take a connector away; the worker stays."""
        self._ask("DELETE", f"/connectors/{name}")

    def measured(self, rows: int, wall_s: float, cpu_s: float) -> Measured:
        """Figures of a run that wrote so many rows."""
        return Measured(
            rows=rows, wall_s=wall_s, cpu_s=cpu_s, rss_mb=peak_of(self._process.pid), accepted=rows, rejected=0
        )

    def cpu_s(self) -> float:
        """Of the whole process so far."""
        return cpu_of(self._process.pid)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(REQUEST_S)
        self._log.close()

    def _failed(self, name: str) -> bool:
        try:
            tasks = self._ask("GET", f"/connectors/{name}/status")["tasks"]
        except OSError:
            return False
        return any(task["state"] == "FAILED" for task in tasks)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(self._url + path, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, json.dumps(body).encode() if body else None, REQUEST_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _alive(self) -> None:
        if self._process.poll() is not None:
            raise SubjectFailed(f"Connect ended with {self._process.returncode}: {self._words()}")

    def _words(self) -> str:
        return (self._folder / "worker.log").read_text(encoding="utf-8", errors="replace")[-1500:]

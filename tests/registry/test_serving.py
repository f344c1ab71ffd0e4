"""The registry as processes: alone, inside a hub, killed, paused, with slow and idle callers."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.registry.calls import f, rec, text
from tests.registry.process import Node, running
from tests.support.ports import free_port
from tests.support.projects import make_project

SCHEMAS = 200
PATIENCE_S = 600.0  # no part of what is tested: each kill of a node is followed by its start


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("serving") / "project") as made:
        yield made


def test_it_answers_at_its_root_and_under_registry(node: Node) -> None:
    with node.client() as client:
        assert client.post("/subjects/a%2Fb/versions", json={"schema": '"int"'}).json() == {"id": 1}
        assert client.get("/registry/subjects").json() == ["a/b"]
        assert client.get("/livez", headers={"Authorization": ""}).json() == {"status": "ok"}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone says what a process has loaded")
def test_it_starts_light(node: Node) -> None:
    assert node.process is not None
    maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    assert not any(name in maps for name in ("libarrow", "numpy", "plotly", "librdkafka"))


def test_it_takes_the_data_directory_and_ends_well(tmp_path: Path) -> None:
    with running(tmp_path / "project") as node:
        command = [sys.executable, "-P", "-m", "hub.cli.main", "serve", "--role", "registry"]
        second = subprocess.run(
            [*command, "--port", str(free_port()), "--project", str(node.directory)], capture_output=True, text=True
        )
        assert second.returncode == 1
        assert f"in use by the hub at {node.url}" in second.stderr
        taken = subprocess.run(
            [*command, "--port", str(node.port), "--project", str(tmp_path / "other")], capture_output=True, text=True
        )
        assert taken.returncode == 3
        assert "registry.port" in taken.stderr
        assert node.stop() == 0


def test_state_survives_kill_9(tmp_path: Path) -> None:
    node = Node(tmp_path / "project")
    for n in range(2):
        node.start()
        with node.client() as client:
            for k in range(5):
                number = n * 5 + k
                assert client.post(
                    f"/subjects/s{number}/versions", json={"schema": text(rec(name=f"R{number}"))}
                ).json() == {"id": number + 1}
        node.kill()
    node.start()
    with node.client() as client:
        assert len(client.get("/subjects").json()) == 10
    node.stop()


@pytest.mark.long
def test_S20_a_body_that_never_comes_is_answered(node: Node) -> None:
    """A declared body of which a byte comes now and then: its deadline is for the whole of it."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as slow:
        head = "POST /subjects/slow/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        slow.sendall(f"{head}Authorization: Bearer {node.token}\r\n\r\n".encode())
        started = time.monotonic()
        with node.client() as client:
            assert client.get("/subjects").status_code == 200  # others are served meanwhile
        answer = b""
        while b"}" not in answer and time.monotonic() - started < PATIENCE_S:
            slow.sendall(b" ")
            slow.settimeout(1.0)
            try:
                answer += slow.recv(4096)
            except TimeoutError:
                continue
    assert b"408" in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error_code"] == 408


def test_S20_idle_connections_do_not_stop_others(node: Node) -> None:
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(200)]
    try:
        with node.client() as client:
            assert client.get("/subjects").status_code == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /subjects/%zz/versions HTTP/1.1",
        b"GET /subjects/\xff/versions HTTP/1.1",
        b"GET /subjects?deleted=%ff HTTP/1.1",
        b"GET //// HTTP/1.1",
    ],
)
def test_S23_odd_request_lines_are_never_a_5xx(node: Node, request_line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as raw:
        raw.sendall(
            request_line
            + f"\r\nHost: localhost\r\nAuthorization: Bearer {node.token}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert int(answer.split(b" ")[1]) < 500


# -- inside a hub


def test_a_hub_serves_it_on_its_own_port_too(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    port, own = free_port(), free_port()
    env = {**os.environ, "DATONG_REGISTRY__PORT": str(own)}
    command = [sys.executable, "-P", "-m", "hub.cli.main", "serve", "--port", str(port), "--project", str(project)]
    hub = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert hub.stderr is not None
        while f"registry answers on http://127.0.0.1:{own}" not in (line := hub.stderr.readline()):
            assert line, "the hub ended"
        token = (project / "var" / "operator.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        body = {"schema": '"int"'}
        made = httpx.post(f"http://127.0.0.1:{own}/subjects/a%2Fb/versions", json=body, headers=headers, timeout=60)
        number = made.json()["id"]
        for base in (f"http://127.0.0.1:{port}/registry", f"http://127.0.0.1:{own}"):
            assert httpx.get(f"{base}/subjects/a%2Fb/versions/1", headers=headers, timeout=60).json()["id"] == number
            assert httpx.get(f"{base}/subjects", timeout=60).json()["error_code"] == 401
        assert httpx.get(f"http://127.0.0.1:{port}/livez", timeout=60).json() == {"status": "ok"}
    finally:
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(120) == 0
        hub.stderr.close()


# -- two nodes, one store


def schema_of(n: int) -> str:
    return text(rec(f(f"f{n}", "int", default=0), name=f"R{n}"))


class Caller:
    """Registers by one node until it answers, however often that takes."""

    def __init__(self, node: Node, answers: dict[int, set[int]], lock: threading.Lock) -> None:
        self._node, self._answers, self._lock = node, answers, lock

    def __call__(self, n: int) -> None:
        headers = {"Authorization": f"Bearer {self._node.token}"}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                url = f"{self._node.url}/subjects/s{n % 20}/versions"
                found = httpx.post(url, json={"schema": schema_of(n)}, headers=headers, timeout=30, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if found.status_code == 200:
                with self._lock:
                    self._answers.setdefault(n, set()).add(found.json()["id"])
                return
            assert found.status_code >= 500, found.text
        raise TimeoutError(n)


def torment(nodes: list[Node], stop: threading.Event) -> None:
    """Pause, or kill and start again, now one and now the other."""
    chance = random.Random(20)
    while not stop.wait(1.0):
        node = chance.choice(nodes)
        assert node.process is not None
        if chance.random() < 0.6:
            node.process.send_signal(signal.SIGSTOP)
            stop.wait(chance.uniform(0.2, 1.0))
            node.process.send_signal(signal.SIGCONT)
        else:
            node.kill()
            node.start()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_F20_two_nodes_under_kill_and_pause_agree_on_every_id(url: str, tmp_path: Path) -> None:
    nodes = [Node(tmp_path / name, url) for name in ("one", "two")]
    for node in nodes:
        node.start()
    with nodes[0].client() as client:
        assert client.put("/config", json={"compatibility": "NONE"}).status_code == 200
    answers: dict[int, set[int]] = {}
    lock, stop = threading.Lock(), threading.Event()
    nemesis = threading.Thread(target=torment, args=(nodes, stop))
    nemesis.start()
    try:
        with ThreadPoolExecutor(4) as one, ThreadPoolExecutor(4) as two:
            pools = zip((one, two), nodes, strict=True)
            done = [pool.map(Caller(node, answers, lock), range(SCHEMAS)) for pool, node in pools]
            for results in done:
                list(results)
    finally:
        stop.set()
        nemesis.join()
    assert {n: len(ids) for n, ids in answers.items()} == dict.fromkeys(range(SCHEMAS), 1)  # same schema, same id
    given = {n: next(iter(ids)) for n, ids in answers.items()}
    assert sorted(given.values()) == list(range(1, SCHEMAS + 1))  # no id twice, none lost
    for node in nodes:
        with node.client() as client:
            for n, number in given.items():
                assert json.loads(client.get(f"/schemas/ids/{number}").json()["schema"]) == json.loads(schema_of(n))
            for subject in range(20):
                assert client.get(f"/subjects/s{subject}/versions").json() == list(range(1, 11))
        node.stop()

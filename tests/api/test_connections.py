"""Who is slow, silent or too many does not hold a port, and who is not notices nothing (S20)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from hub.cli.connections import protocol
from hub.cli.listening import start
from tests.support.ports import free_port
from tests.support.waiting import eventually

MOST = 20
HEADER_S, BODY_S = 0.6, 1.0
PATIENCE_S = 60.0  # no part of what is tested
GET = b"GET /quick HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that soon loses patience."""
    with served(header_s=HEADER_S, body_s=BODY_S) as port:
        yield port


@pytest.fixture(scope="module")
def patient() -> Iterator[int]:
    """Of one that does not: who connects is there until it goes, on a machine that stands still for a moment as well."""
    with served(header_s=PATIENCE_S, body_s=PATIENCE_S) as port:
        yield port


@contextmanager
def served(*, header_s: float, body_s: float) -> Iterator[int]:
    app = FastAPI()

    @app.get("/quick")
    def quick() -> str:
        return "yes"

    @app.get("/slow")
    def slow() -> str:
        time.sleep(2 * HEADER_S)
        return "yes"

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    found = free_port()
    made = protocol(MOST, header_s=header_s, body_s=body_s)
    server = uvicorn.Server(
        uvicorn.Config(app, port=found, http=made, log_config=None, h11_max_incomplete_event_size=4096)
    )
    thread = start(server, "test")
    yield found
    server.should_exit = True
    thread.join(PATIENCE_S)


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source, 0))


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    connection.settimeout(PATIENCE_S)
    told = b""
    try:
        while part := connection.recv(65536):
            told += part
    except ConnectionResetError:
        pass
    return told


def trickle(connection: socket.socket, data: bytes) -> None:
    """A byte every twentieth of a second, until hung up on."""
    try:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("begin", "rest", "status"),
    [
        (b"", b"", b"408"),
        (b"GET /quick HTTP/1.1\r\nX-Slow: ", b"a" * 400, b"408"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\n", b"b" * 400, b"408"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n190\r\n", b"b" * 400, b"408"),
        (GET + b"X-Large: " + b"c" * 5000, b"", b"431"),
        (b"NONSENSE\r\n\r\n", b"", b"400"),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"", b"400"),
    ],
    ids=["silent", "slow header", "slow body", "slow chunk", "large header", "no HTTP", "two lengths"],
)
def test_S20_what_does_not_come_in_time_or_shape_is_refused_and_hung_up_on(
    port: int, patient: int, begin: bytes, rest: bytes, status: bytes
) -> None:
    with connect(port if status == b"408" else patient) as connection:
        connection.sendall(begin)
        sender = threading.Thread(target=trickle, args=(connection, rest))
        sender.start()
        assert answer(connection)[9:12] == status
    sender.join()


def test_S20_a_second_request_that_trickles_is_ended_as_the_first_would_be(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET + b"\r\n")
        told = b""
        while not told.endswith(b'"yes"'):
            told += connection.recv(65536)
        connection.sendall(GET + b"X-Slow: ")
        assert answer(connection)[9:12] == b"408"


def test_a_slow_answer_and_an_idle_wait_between_requests_are_no_fault(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        assert client.get("/slow").status_code == 200
        time.sleep(1.5 * HEADER_S)
        assert client.post("/body", content=b"x" * 1_000_000).json() == 1_000_000


def test_S20_an_address_has_so_many_connections_and_others_are_let_in(patient: int) -> None:
    """The many come again as soon as they are hung up on, from an address of their own."""
    held: list[socket.socket] = []
    try:
        for _ in range(MOST):
            held.append(connect(patient, "127.0.0.2"))
        with connect(patient, "127.0.0.2") as one_more:
            assert answer(one_more)[9:12] == b"429"
        assert httpx.get(f"http://127.0.0.1:{patient}/quick", timeout=60, trust_env=False).json() == "yes"
    finally:
        for connection in held:
            connection.close()
    assert eventually(lambda: let_in(patient, "127.0.0.2"))


def let_in(port: int, source: str) -> bool:
    with connect(port, source) as connection:
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        return answer(connection)[9:12] == b"200"


def test_S20_chance_of_threads_leaves_no_connection_counted(port: int) -> None:
    """Refused, slow, served and broken ones in turn, more than an address may have: at the end all are given back."""

    def refused() -> None:
        with connect(port, "127.0.0.3"):
            pass

    def broken() -> None:
        with connect(port, "127.0.0.3") as connection:
            connection.sendall(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")

    ways: list[Callable[[], object]] = [refused, broken, lambda: let_in(port, "127.0.0.3")]
    for number in range(3 * MOST):
        ways[number % 3]()
    assert eventually(lambda: let_in(port, "127.0.0.3"))

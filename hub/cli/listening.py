"""Ports that answer, and signals that end it. Imports nothing large: the registry alone starts light."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from hub.cli.connections import protocol
from hub.cli.exits import INTERRUPTED
from hub.errors import ConfigurationInvalid
from hub.settings import is_everywhere

START_S = 10.0
CONNECTIONS = 1_000  # of one address at a time, where no setting says otherwise


def wait_for_signal(over: Callable[[], bool] = lambda: False) -> None:
    """Until SIGTERM, SIGINT, or `over`. The next signal ends the process without waiting for anything."""
    asked = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if asked.is_set():
            os._exit(INTERRUPTED)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    while not asked.wait(0.5) and not over():  # a wait without end would not let the handler run on every system
        pass


class Server(uvicorn.Server):
    """A server that tells its application before it waits for the requests under way."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._ending()
        await super().shutdown(sockets)


def server_of(
    app: Any,
    host: str,
    port: int,
    setting: str,
    ending: Callable[[], None] = lambda: None,
    connections: int = CONNECTIONS,
    proxies: Sequence[str] = (),
) -> uvicorn.Server:
    """A server for an application, with at most so many connections an address. `proxies` besides this machine's own are
    believed whom they speak for. Raises ConfigurationInvalid naming the setting when the port is taken."""
    check_port(host, port, setting)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol(connections),
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=["127.0.0.1", "::1", *proxies],
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config, ending)


def start(server: uvicorn.Server, setting: str) -> threading.Thread:
    """Let it listen in a thread of its own. Raises ConfigurationInvalid."""
    thread = threading.Thread(target=server.run, name=f"server {setting}", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not server.started:
        raise ConfigurationInvalid("the server did not start", where=setting, remedy="see the hub's log")
    return thread


@contextmanager
def listening(app: Any, host: str, port: int, setting: str, connections: int = CONNECTIONS) -> Iterator[None]:
    """An application that answers as long as the block lasts, and ends what it is doing after it."""
    server = server_of(app, host, port, setting, connections=connections)
    thread = start(server, setting)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(START_S)


def check_port(host: str, port: int, setting: str) -> None:
    """A port in use is a setting to change, not a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            variable = f"DATONG_{setting.upper().replace('.', '__')}"
            raise ConfigurationInvalid(
                f"cannot listen on {host} port {port}: {error.strerror}",
                where=setting,
                remedy=f"stop what listens there, or choose another with `--port` or {variable}",
            ) from error


def address(host: str, port: int) -> str:
    """As a URL has it; an address that stands for all is shown as this machine's."""
    name = "127.0.0.1" if is_everywhere(host) else host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

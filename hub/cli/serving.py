"""`datong serve` and `datong demo`: a hub that answers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.main import INTERRUPTED, JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import project_of
from hub.directory import Role
from hub.errors import ConfigurationInvalid, Fenced

if TYPE_CHECKING:
    import uvicorn

    from hub.app import Hub
    from hub.settings import Loaded

DRAIN_S = 30.0
FENCED = (
    "this process was paused, or did not reach the store, for longer than supervisor.takeover_after; "
    "nothing it did since was written; start it again"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(demo)


def serve(
    project: ProjectOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address to bind. Default: the setting http.host, 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port. Default: the setting http.port, 8080.")] = None,
    role: Annotated[
        Role,
        typer.Option(
            help="all: everything in this process. api: answers, runs nothing. worker: runs connectors, answers /livez, "
            "/readyz and /metrics. api and worker share their work through PostgreSQL and Kafka."
        ),
    ] = "all",
) -> int:
    """Run the hub: API, schedules and deliveries. SIGTERM drains. Example: datong serve"""
    from hub.cli.waiting import open_when_ready
    from hub.settings import load_settings

    flags: dict[str, Any] = {}
    if host is not None:
        flags["http.host"] = host
    if port is not None:
        flags["http.port"] = port
    loaded = load_settings(project_of(project), flags=flags)
    out = Output(as_json=False)
    with open_when_ready(loaded, out.note, role) as hub:
        return _serve(hub, loaded, out)


def _serve(hub: Hub, loaded: Loaded, out: Output) -> int:
    """Serve until a signal, or until another worker took over; then stop taking requests, drain, and return."""
    for mistake in hub.catalogue.mistakes:
        out.note(f"left out: {mistake}")
    server, thread = _background(hub, loaded)
    what = "" if hub.role == "all" else f" as {hub.role}"
    out.note(f"datong serves http://{_shown(loaded)}{what} (stop with Ctrl-C)")
    wait_for_signal(lambda: hub.supervisor.fenced)
    out.note("draining; a second signal quits at once")
    server.should_exit = True
    hub.supervisor.drain(DRAIN_S)
    thread.join(DRAIN_S)
    if hub.supervisor.fenced:
        out.failure(Fenced("another worker took over what this one did", remedy=FENCED))
        return Fenced.exit_code
    return 0


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


def make_server(hub: Hub, loaded: Loaded) -> uvicorn.Server:
    """A server for the hub's application."""
    import uvicorn

    from hub.api.app import create_app

    http = loaded.settings.http
    _check_port(http.host, http.port)
    config = uvicorn.Config(
        create_app(hub),
        host=http.host,
        port=http.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return uvicorn.Server(config)


def _shown(loaded: Loaded) -> str:
    host = loaded.settings.http.host
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"[{name}]:{loaded.settings.http.port}" if ":" in name else f"{name}:{loaded.settings.http.port}"


def _check_port(host: str, port: int) -> None:
    """A port in use is a setting to change, not a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationInvalid(
                f"cannot listen on {host} port {port}: {error.strerror}",
                where="http.port",
                remedy="stop what listens there, or choose another with `--port` or DATONG_HTTP__PORT",
            ) from error


def demo(
    directory: Annotated[Path, typer.Option("--directory", "-d", help="Where the demo's project is made.")] = Path(
        "datong-demo"
    ),
    once: Annotated[bool, typer.Option("--once", help="End when everything is published, instead of serving.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what an earlier demo left in the directory first.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Publish real Italian open data through four connectors, and read it as two agencies. Example: datong demo --once"""
    from hub.app import Hub
    from hub.cli.demonstration import make_project, run_demo, show
    from hub.settings import load_settings

    out = Output(as_json=as_json)
    if fresh and (directory / "datong.yaml").is_file():
        shutil.rmtree(directory)
    make_project(directory, out)
    loaded = load_settings(directory.resolve())
    with Hub.open(loaded, scheduled=False) as hub:
        server, thread = _background(hub, loaded)
        try:
            result = run_demo(hub, loaded, out)
            if as_json:
                out.data(result.summary)
            else:
                show(out, result)
            if not once:
                _stay(hub, out, loaded, directory)
        finally:
            server.should_exit = True
            thread.join(10)
            hub.supervisor.drain(DRAIN_S)
    return result.exit_code


def _background(hub: Hub, loaded: Loaded) -> tuple[uvicorn.Server, threading.Thread]:
    server = make_server(hub, loaded)
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not server.started:
        raise ConfigurationInvalid("the server did not start", where="http.port", remedy="see the hub's log")
    hub.announce(f"http://{_shown(loaded)}")  # commands find the hub once its port is open
    return server, thread


def _stay(hub: Hub, out: Output, loaded: Loaded, directory: Path) -> None:
    out.line()
    out.line(f"The hub serves http://{_shown(loaded)} until Ctrl-C. In another terminal, try:", style="bold")
    for command in ("connector list", "topics it-mim.education.school.v1", "quarantine list", "run"):
        out.line(f"  python3 dev.py datong {command} --project {directory}")
    hub.supervisor.start()
    wait_for_signal()
    out.note("draining")

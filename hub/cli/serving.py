"""`datong serve` and `datong demo`: a hub that answers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub import memory
from hub.cli.main import JsonOption, ProjectOption
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
    port: Annotated[
        int | None,
        typer.Option(help="Port. Default: the setting http.port, 8080; with --role registry registry.port, 8081."),
    ] = None,
    role: Annotated[
        Role,
        typer.Option(
            help="all: everything in this process. api: answers, runs nothing. worker: runs connectors, answers /livez, "
            "/readyz, /metrics and what is pushed to them. api and worker share their work through PostgreSQL and Kafka. "
            "registry: the schema registry alone."
        ),
    ] = "all",
) -> int:
    """Run the hub: API, schedules and deliveries. SIGTERM drains. Example: datong serve"""
    from hub.settings import load_settings

    flags: dict[str, Any] = {}
    if host is not None:
        flags["http.host"] = host
    if role == "registry":
        from hub.cli.registry_role import serve_registry

        serve_registry(load_settings(project_of(project), flags=flags), port, Output(as_json=False))
        return 0
    from hub.cli.waiting import open_when_ready

    if port is not None:
        flags["http.port"] = port
    loaded = load_settings(project_of(project), flags=flags)
    out = Output(as_json=False)
    with open_when_ready(loaded, out.note, role) as hub:
        return _serve(hub, loaded, out)


def _serve(hub: Hub, loaded: Loaded, out: Output) -> int:
    """Serve until a signal, or until another worker took over; then stop taking requests, drain, and return."""
    from hub.cli.listening import wait_for_signal

    refuse_demo_people(hub, loaded)
    for mistake in hub.catalogue.mistakes:
        out.note(f"left out: {mistake}")
    server, thread = _background(hub, loaded)
    what = "" if hub.role == "all" else f" as {hub.role}"
    out.note(f"datong serves http://{_shown(loaded)}{what} (stop with Ctrl-C)")
    with registry_port(hub, loaded, out), connect_port(hub, loaded, out):
        wait_for_signal(lambda: hub.supervisor.fenced)
        out.note("draining; a second signal quits at once")
    server.should_exit = True
    hub.supervisor.drain(DRAIN_S)
    thread.join(DRAIN_S)
    if hub.supervisor.fenced:
        out.failure(Fenced("another worker took over what this one did", remedy=FENCED))
        return Fenced.exit_code
    return 0


def refuse_demo_people(hub: Hub, loaded: Loaded) -> None:
    """Raises ConfigurationInvalid when others than this machine could log in by a password that everybody knows."""
    from hub.api.hosts import LOOPBACK

    if loaded.settings.http.host not in LOOPBACK and hub.people.has_demo:
        raise ConfigurationInvalid(
            "the demo's person has a password that everybody knows, and http.host is not this machine's own",
            where="http.host",
            remedy="`datong people remove demo`, or `datong people change demo --password`",
        )


def make_server(hub: Hub, loaded: Loaded) -> uvicorn.Server:
    """A server for the hub's application."""
    from hub.api.app import create_app
    from hub.cli.listening import server_of
    from hub.console.app import add_console

    http = loaded.settings.http
    app = create_app(hub)
    if hub.role != "worker":
        add_console(app, hub)
    limit = loaded.settings.limits.connections
    return server_of(app, http.host, http.port, "http.port", app.state.waiting.stop, limit, http.proxies)


@contextmanager
def registry_port(hub: Hub, loaded: Loaded, out: Output) -> Iterator[None]:
    """The registry at the root of a port of its own as well, unless it is 0. A port that nobody chose and that is taken
    is no reason not to serve."""
    from hub.api.app import registry_app
    from hub.cli.listening import address, listening

    host, port = loaded.settings.http.host, loaded.settings.registry.port
    if not port or loaded.settings.registry.url or hub.role == "worker":  # another one has its own port
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(
                listening(registry_app(hub), host, port, "registry.port", hub.settings.limits.connections)
            )
            out.note(f"the schema registry answers on http://{address(host, port)}")
        except ConfigurationInvalid:
            if loaded.origins["registry.port"] != "default":
                raise
            out.note(f"port {port} is taken: the schema registry answers on http://{_shown(loaded)}/registry alone")
        yield


@contextmanager
def connect_port(hub: Hub, loaded: Loaded, out: Output) -> Iterator[None]:
    """Kafka Connect's API at the root of a port of its own, when the setting connect.port names one."""
    from hub.api.connect.app import create_app
    from hub.cli.listening import address, listening

    host, port = loaded.settings.http.host, loaded.settings.connect.port
    if not port or hub.role == "worker":
        yield
        return
    with listening(create_app(hub), host, port, "connect.port", hub.settings.limits.connections):
        out.note(f"Kafka Connect's API answers on http://{address(host, port)}")
        yield


def _shown(loaded: Loaded) -> str:
    from hub.cli.listening import address

    return address(loaded.settings.http.host, loaded.settings.http.port)


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
    """Publish real Italian open data through its connectors, and read it as two agencies. Example: datong demo --once"""
    from examples.italy import broker, service
    from hub.cli.demonstration import make_project

    out = Output(as_json=as_json)
    if fresh and (directory / "datong.yaml").is_file():
        shutil.rmtree(directory)
    make_project(directory, out)
    with service.running(directory) as web, broker.running(directory) as sensors:
        if web is not None:
            out.note(
                f"it-dpc-regions reads a web service on http://{service.HOST}:{web.port}, which ends with the demo"
            )
        if sensors is None:
            out.note(f"mosquitto is not installed: {broker.NAME}, sensors over MQTT, is left out")
        else:
            out.note(f"{broker.NAME} reads an MQTT broker on {broker.HOST}:{sensors}, which ends with the demo")
        return _demonstrate(directory, out, once=once, without=() if sensors else (broker.NAME,))


def _demonstrate(directory: Path, out: Output, *, once: bool, without: tuple[str, ...]) -> int:
    from hub.api.hosts import LOOPBACK
    from hub.app import Hub
    from hub.cli.demonstration import run_demo, show
    from hub.settings import load_settings

    loaded = load_settings(directory.resolve())
    with Hub.open(loaded, scheduled=False) as hub:
        if loaded.settings.http.host in LOOPBACK:
            hub.people.ensure_demo()
        server, thread = _background(hub, loaded)
        if not once:
            hub.watch.start()  # who looks at the console sees the first records come
        try:
            result = run_demo(hub, loaded, out, without)
            if out.as_json:
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
    from hub.cli.listening import start

    server = make_server(hub, loaded)
    thread = start(server, "http.port")
    memory.settle()
    hub.announce(f"http://{_shown(loaded)}")  # commands find the hub once its port is open
    return server, thread


def _stay(hub: Hub, out: Output, loaded: Loaded, directory: Path) -> None:
    from hub.people import DEMO_NAME, DEMO_PASSWORD

    out.line()
    out.line(f"The hub serves http://{_shown(loaded)} until Ctrl-C.", style="bold")
    out.line(f"Its console: http://{_shown(loaded)}/console/ (log in as {DEMO_NAME}, password {DEMO_PASSWORD})")
    out.line("In another terminal, try:")
    for command in ("connector list", "topics show it-mim.education.school.v1", "quarantine list", "run"):
        out.line(f"  python3 dev.py datong {command} --project {directory}")
    from hub.cli.listening import wait_for_signal

    hub.start()
    with registry_port(hub, loaded, out), connect_port(hub, loaded, out):
        wait_for_signal()
        out.note("draining")

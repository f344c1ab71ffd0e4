"""`datong serve --role registry`: the schema registry alone. Its composition root; imports no Arrow."""

from __future__ import annotations

import os

from hub import __version__, logs, memory
from hub.api.registry import create_registry_app
from hub.api.registry.app import Limits, service
from hub.api.registry.edge import Edge
from hub.cli.listening import address, listening, wait_for_signal
from hub.cli.output import Output
from hub.directory import Directory, Running
from hub.registry import Registry
from hub.registry.access import Gate
from hub.settings import Loaded
from hub.store import Store
from hub.stores import open_store


def serve_registry(loaded: Loaded, port: int | None, out: Output) -> None:
    """Answer on one port until a signal, at its root and under /registry. Raises DirectoryInUse, DirectoryTooNew."""
    settings = loaded.settings
    logs.configure(settings.logging.format, settings.logging.level)
    directory = Directory(settings.data_path)
    directory.acquire()
    try:
        with open_store(settings, directory.path) as store:
            where = port if port is not None else settings.registry.port
            with listening(
                _app(loaded, store, directory), settings.http.host, where, "registry.port", settings.limits.connections
            ):
                memory.settle()
                shown = f"http://{address(settings.http.host, where)}"
                directory.announce(Running(url=shown, pid=os.getpid(), version=__version__, role="registry"))
                out.note(f"datong's schema registry serves {shown} (stop with Ctrl-C)")
                wait_for_signal()
                out.note("draining; a second signal quits at once")
    finally:
        directory.release()


def _app(loaded: Loaded, store: Store, directory: Directory) -> Edge:
    settings = loaded.settings
    gate = Gate(store.tokens, directory.operator_token())
    limits = Limits(hosts=settings.http.allowed_hosts, max_body_bytes=settings.limits.request_bytes)
    return create_registry_app(service(Registry(store), store, gate), limits)

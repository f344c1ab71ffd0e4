"""`python3 dev.py services kafka|postgres start|stop|status`: real services for a person at a desk."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from deploy.services import ServiceMissing, kafka, postgres


def main(arguments: list[str]) -> int:
    """Run one verb on one service and return the exit code."""
    parser = argparse.ArgumentParser(prog="dev.py services", description=__doc__)
    parser.add_argument("service", choices=["kafka", "postgres"])
    parser.add_argument("verb", choices=["start", "stop", "status"])
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="brokers, when Kafka is first started")
    parser.add_argument("--secure", action="store_true", help="Kafka with TLS, SCRAM and ACLs, when first started")
    parser.add_argument("--directory", type=Path, help="where the data stands; default: the system's temporary folder")
    parser.add_argument("--print-url", action="store_true", help="print the setting's value alone")
    chosen = parser.parse_args(arguments)
    directory = (chosen.directory or home() / chosen.service).resolve()
    try:
        return (_kafka if chosen.service == "kafka" else _postgres)(chosen, directory)
    except (ServiceMissing, RuntimeError) as problem:
        print(f"{chosen.service}: {problem}", file=sys.stderr)
        return 1


def home() -> Path:
    """Of this user's services."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"datong-services-{user}"


def _kafka(chosen: argparse.Namespace, directory: Path) -> int:
    if chosen.verb == "start":
        cluster = kafka.start(directory, nodes=chosen.nodes, secure=chosen.secure)
        url = f"kafka://{cluster.bootstrap}"
        print(url if chosen.print_url else f"running; for the hub: DATONG_LOG__URL={url}")
        if cluster.secure:
            print(f"users and passwords: {directory / 'cluster.json'}; authority: {cluster.ca_file}", file=sys.stderr)
        return 0
    found = kafka.status(directory)
    if found is None:
        print("kafka: never started here")
        return 0 if chosen.verb == "stop" else 1
    if chosen.verb == "stop":
        found.stop()
        print(f"kafka: stopped; its data stays in {directory}")
        return 0
    for node in found.nodes:
        print(f"kafka node {node.id} on {node.address}: {'running' if node.alive() else 'stopped'}")
    return 0 if all(n.alive() for n in found.nodes) else 1


def _postgres(chosen: argparse.Namespace, directory: Path) -> int:
    server = postgres.start(directory) if chosen.verb == "start" else postgres.status(directory)
    if server is None:
        print("postgres: never started here")
        return 0 if chosen.verb == "stop" else 1
    if chosen.verb == "stop":
        server.stop()
        print(f"postgres: stopped; its data stays in {directory}")
        return 0
    running = server.alive()
    if chosen.print_url:
        print(server.url)
    elif chosen.verb == "start":  # the URL holds the password: it is printed for a variable, not for a screen
        more = f" --directory {chosen.directory}" if chosen.directory else ""
        command = f"python3 dev.py services postgres start --print-url{more}"
        print(f'running on 127.0.0.1:{server.port}; for the hub: export DATONG_STORE__URL="$({command})"')
        print(f"passwords: {directory / 'server.json'}", file=sys.stderr)
    else:
        print(f"postgres on 127.0.0.1:{server.port}: {'running' if running else 'stopped'}")
    return 0 if running else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

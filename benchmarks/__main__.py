"""`python3 dev.py bench NAME …`: pipeline, registry, sqlite, small-batch, snapshot, delivery, peers; `--json`: for programs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import page, peers
from benchmarks.delivery import delivery
from benchmarks.measure import SubjectFailed
from benchmarks.pipeline import ContentDiffers, Options, pipeline
from benchmarks.postgres import Options as PostgresOptions
from benchmarks.postgres import postgres
from benchmarks.profile import profile
from benchmarks.small_batch import small_batch
from benchmarks.snapshot import snapshot
from benchmarks.sqlite import sqlite
from deploy.services import ServiceMissing

FAILED = 1
MILLION = 1_000_000
Chosen = argparse.Namespace


def main(arguments: list[str]) -> int:
    """Run one benchmark and print what it found."""
    chosen = _parser().parse_args(arguments)
    try:
        found = chosen.do(chosen)
    except (ContentDiffers, SubjectFailed, ServiceMissing, RuntimeError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return FAILED
    if getattr(chosen, "keep", False):
        print(f"[bench] wrote {page.keep(found)}", file=sys.stderr)
    if chosen.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print("\n".join(_lines(found)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    names = parser.add_subparsers(required=True, metavar="NAME")
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--json", action="store_true", help="one JSON document")
    whole = names.add_parser("pipeline", parents=[both], help="CSV → log: the hub, references, peers")
    whole.add_argument("--rows", type=int, default=1_000_000)
    whole.add_argument("--sink", choices=["kafka", "sqlite", "null"], default="sqlite")
    whole.add_argument("--cores", type=int, choices=[1, 2], default=1, help="2: the hub on two cores as well")
    whole.add_argument("--rounds", type=int, default=3)
    whole.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker; default: one from its jars")
    whole.add_argument("--tenfold", action="store_true", help="the hub once with ten times the rows as well")
    whole.add_argument("--no-peers", action="store_true")
    whole.add_argument("--peers", type=Path, default=peers.home(), help="folder of the peers' environments")
    whole.set_defaults(do=_pipeline)
    _registry(names, both)
    install = names.add_parser("peers", parents=[both], help="install the peers' environments")
    install.add_argument("names", nargs="*", metavar="PEER", help=", ".join(peers.PEERS))
    install.add_argument("--peers", type=Path, default=peers.home(), help="where to")
    install.set_defaults(do=lambda chosen: peers.install(chosen.names, chosen.peers))
    return parser


def _registry(names: Any, both: argparse.ArgumentParser) -> None:
    from benchmarks.registry import Options as RegistryOptions
    from benchmarks.registry import registry

    made = names.add_parser(
        "registry", parents=[both], help="the schema registry: look-ups, registering, start, memory"
    )
    made.add_argument("--subjects", type=int, default=RegistryOptions.subjects, help="each with five versions")
    made.add_argument("--requests", type=int, default=RegistryOptions.requests)
    made.set_defaults(do=lambda chosen: registry(RegistryOptions(subjects=chosen.subjects, requests=chosen.requests)))


def _pipeline(chosen: argparse.Namespace) -> dict[str, Any]:
    return pipeline(
        Options(
            rows=chosen.rows,
            sink=chosen.sink,
            cores=chosen.cores,
            rounds=chosen.rounds,
            bootstrap=chosen.bootstrap,
            peers=None if chosen.no_peers else chosen.peers,
            tenfold=chosen.tenfold,
        )
    )


def _lines(found: Any, prefix: str = "") -> list[str]:
    """Nested values as dotted names."""
    if isinstance(found, dict):
        return [line for name, value in found.items() for line in _lines(value, f"{prefix}{name}.")]
    return [f"{prefix.rstrip('.')}: {found}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

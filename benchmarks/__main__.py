"""`python3 dev.py bench NAME …`: measures one thing and prints it, as one JSON document with --json, else in lines.

--keep also writes it to docs/benchmarks, from which `report` makes docs/benchmarks.md."""

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
from benchmarks.registry import Options as RegistryOptions
from benchmarks.registry import registry
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
    _pipeline(_measuring(names, "pipeline", "CSV → log: the hub, references, peers", rows=MILLION))
    _postgres(_measuring(names, "postgres", "a PostgreSQL table → log", rows=MILLION))
    one = _measuring(names, "sqlite", "a block per row against a row per record", rows=MILLION // 2)
    one.set_defaults(do=lambda chosen: sqlite(chosen.rows, chosen.rounds))
    one = _measuring(names, "snapshot", "a snapshot's first run, and an unchanged one", rows=MILLION)
    one.set_defaults(do=lambda chosen: snapshot(chosen.rows, chosen.rounds))
    one = _measuring(names, "delivery", "log → what a grant allows, in every form", rows=MILLION)
    one.set_defaults(do=lambda chosen: delivery(chosen.rows, chosen.rounds))
    one = _measuring(names, "small-batch", "what one small batch costs, whatever its rows")
    one.set_defaults(do=lambda chosen: small_batch(chosen.rounds))
    _registry(names)
    _console(names)
    _profile(names)
    _peers(names)
    report = names.add_parser("report", help="write docs/benchmarks.md and its charts from docs/benchmarks/*.json")
    report.add_argument("--json", action="store_true", help="one JSON document")
    report.set_defaults(do=lambda _chosen: {"written": [str(path) for path in page.write()]})
    return parser


def _measuring(names: Any, name: str, summary: str, *, rows: int | None = None) -> argparse.ArgumentParser:
    """A benchmark's parser, with what all of them take."""
    made: argparse.ArgumentParser = names.add_parser(name, help=summary)
    made.add_argument("--json", action="store_true", help="one JSON document")
    made.add_argument("--keep", action="store_true", help="also write it to docs/benchmarks")
    made.add_argument("--rounds", type=_positive, default=3)
    if rows:
        made.add_argument("--rows", type=_positive, default=rows)
    return made


def _with_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker; default: one from its jars")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peers", type=Path, default=peers.home(), help="folder of the peers' environments")


def _pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sink", choices=["kafka", "sqlite", "null"], default="sqlite")
    parser.add_argument("--cores", type=int, choices=[1, 2], default=1, help="2: the hub on two cores as well")
    parser.add_argument("--tenfold", action="store_true", help="the hub with ten times the rows as well")
    _with_broker(parser)

    def do(chosen: Chosen) -> dict[str, Any]:
        names = ("rows", "sink", "cores", "rounds", "bootstrap", "tenfold")
        given = {name: getattr(chosen, name) for name in names}
        return pipeline(Options(**given, peers=None if chosen.no_peers else chosen.peers))

    parser.set_defaults(do=do)


def _postgres(parser: argparse.ArgumentParser) -> None:
    _with_broker(parser)

    def do(chosen: Chosen) -> dict[str, Any]:
        given = {name: getattr(chosen, name) for name in ("rows", "rounds", "bootstrap")}
        return postgres(PostgresOptions(**given, peers=None if chosen.no_peers else chosen.peers))

    parser.set_defaults(do=do)


def _registry(names: Any) -> None:
    parser = names.add_parser("registry", help="the schema registry: look-ups, registering, start, memory")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--subjects", type=_positive, default=RegistryOptions.subjects, help="each with five versions")
    parser.add_argument("--requests", type=_positive, default=RegistryOptions.requests)
    parser.set_defaults(do=lambda chosen: registry(RegistryOptions(subjects=chosen.subjects, requests=chosen.requests)))


def _console(names: Any) -> None:
    parser = names.add_parser(
        "console", help="first paint and weight of pages, a large hub, viewers, hostile connections"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    sizes = ("topics", "connectors", "viewers", "rounds", "requests", "trickling", "idle")
    for name in sizes:
        parser.add_argument(f"--{name}", type=_positive)
    parser.add_argument("--seconds", type=float, help="that viewers look on")
    parser.add_argument("--patience", type=float, help="seconds until hostile connections should have been ended")

    def do(chosen: Chosen) -> dict[str, Any]:
        from benchmarks.console import Options, console  # large: other benchmarks measure their children's memory

        given = {name: getattr(chosen, name) for name in (*sizes, "seconds", "patience")}
        return console(Options(**{name: value for name, value in given.items() if value is not None}))

    parser.set_defaults(do=do)


def _profile(names: Any) -> None:
    parser = names.add_parser("profile", help="where the pipeline's time goes, as a flame graph")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--keep", action="store_true", help="also write it to docs/benchmarks")
    parser.add_argument("--rows", type=_positive, default=3 * MILLION)
    parser.add_argument("--sink", choices=["kafka", "sqlite", "postgres"], default="sqlite",
                        help="`postgres`: a table of it, to SQLite")  # fmt: skip
    parser.add_argument("--peers", type=Path, default=peers.home(), help="folder with the sampler's environment")
    parser.set_defaults(do=lambda chosen: profile(chosen.rows, chosen.sink, chosen.peers))


def _peers(names: Any) -> None:
    parser = names.add_parser("peers", help="install the peers' environments and jars")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("names", nargs="*", metavar="PEER", choices=[*peers.KNOWN, []], help=", ".join(peers.KNOWN))
    parser.add_argument("--peers", type=Path, default=peers.home(), help="where to")
    parser.set_defaults(do=lambda chosen: peers.install(chosen.names, chosen.peers))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _lines(found: Any, prefix: str = "") -> list[str]:
    """Nested values as dotted names."""
    if isinstance(found, dict):
        return [line for name, value in found.items() for line in _lines(value, f"{prefix}{name}.")]
    return [f"{prefix.rstrip('.')}: {found}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

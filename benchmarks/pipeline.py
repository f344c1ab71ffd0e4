"""`pipeline`: CSV → normalise → check → Avro → log, the hub beside its references and peers, interleaved, one process each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jvm, machine, subjects
from benchmarks.broker import broker
from benchmarks.measure import SubjectFailed, module, run, spread
from benchmarks.peers import KNOWN, PEERS, python_of, version_of
from benchmarks.peers.jvm import JVM, jars_of
from benchmarks.rounds import About, Measured, Outcome, Subject, interleave, quotient, ratios, tell
from benchmarks.subjects import FAST_ROWS, PEER_ROWS, SLOW_ROWS, Bench
from deploy.services import kafka as service

CONTENT_ROWS = 200_000
PEER_CONTENT_ROWS = 20_000
CONTENT = ("accepted", "rejected", "hash")
COPIES = "connect-file"  # copies the extract's lines and does nothing else
SENDS = "producer-performance"
NOT_INSTALLED = "not installed: `python3 dev.py bench peers`"
PEERS_NEED_KAFKA = "the peers' jobs write to Kafka only: --sink kafka"
TEN = "hub, ten times the rows"
TWO = "hub, two cores"
ABOUT = {
    "parse": About(ran="pyarrow.csv: the extract's columns as text", not_done="only reads"),
    "raw-batches": About(ran="ready lz4 batches of 6,000 records over a plain socket", not_done="only sends"),
    "confluent-produce": About(
        ran="confluent-kafka's produce() of ready keys, values and headers; lz4, idempotent, linger 5 ms",
        not_done="only sends, without transactions",
    ),
    "rows-tuned": About(
        ran="csv.reader → a straight Python function → fastavro → the sink, record by record",
        not_done="no transactions, no checkpoints; rejects to a file",
    ),
    "hub": About(ran="`datong run` of an ordinary project, start-up included"),
    TWO: About(ran="the same on both cores"),
    TEN: About(ran="the same with ten times the rows"),
    **{name: peer.about for name, peer in PEERS.items()},
    **{f"{name}, {state}": peer.about for name, peer in JVM.items() for state in ("cold", "warm")},
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for."""

    rows: int
    sink: str = "sqlite"
    cores: int = 1
    rounds: int = 3
    bootstrap: str | None = None
    peers: Path | None = None  # folder of their environments; None: leave them out
    tenfold: bool = False


class ContentDiffers(Exception):
    """Two subjects do not agree on what the rows say."""


def pipeline(options: Options) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed."""
    with opened(options) as bench:
        content = check_content(bench, min(options.rows, CONTENT_ROWS))
        differing = check_peers(bench, min(options.rows, PEER_CONTENT_ROWS), content)
        todo = {name: subject for name, subject in _subjects(bench, options).items() if name not in differing}
        outcome = interleave(todo, options.rounds, required=["hub", "start-up"])
    outcome.failures |= differing
    if options.sink == "kafka":
        for name in sorted((PEERS.keys() | {COPIES, SENDS}) - bench.peers.keys() - bench.jvm.keys()):
            outcome.failures.setdefault(name, NOT_INSTALLED)
    return report(options, content, outcome)


def check_content(bench: Bench, rows: int) -> dict[str, Any]:
    """Equal counts, and equal (key, value) as fastavro reads them."""
    tell(f"content of {rows:,} rows")
    ours, theirs = subjects.hub(bench, rows, tally=True), subjects.rows_tuned(bench, rows, tally=True)
    sides = {"hub": _content(ours), "rows-tuned": _content(theirs)}
    if sides["hub"] != sides["rows-tuned"] or ours.hash is None:
        raise ContentDiffers(f"the hub and rows-tuned do not log the same: {sides}")
    return {"rows": rows, **sides["hub"], "equal": True}


def check_peers(bench: Bench, rows: int, content: Mapping[str, Any]) -> dict[str, str]:
    """Every reference and Python peer that sends to Kafka must send what rows-tuned sends; those that do not, with why.

    `content`: as of `check_content`, which is not made again for the same rows."""
    if bench.broker is None:
        return {}
    known = content["rows"] == rows
    wanted = {k: content[k] for k in CONTENT} if known else _content(subjects.rows_tuned(bench, rows, tally=True))
    senders: dict[str, Callable[[], Measured]] = {
        name: partial(subjects.peer, bench, PEERS[name], rows, tally=True) for name in bench.peers
    }
    senders["raw-batches"] = partial(subjects.raw, bench, rows, tally=True)
    senders["confluent-produce"] = partial(subjects.produce, bench, rows, tally=True)
    differing = {}
    for name, sender in senders.items():
        tell(f"content of {name}")
        try:
            made = sender()
        except SubjectFailed as error:
            differing[name] = str(error)
            continue
        found = {**_content(made), **({"rejected": wanted["rejected"]} if name not in bench.peers else {})}
        if found != wanted:
            differing[name] = f"its content is not that of rows-tuned: {found}, not {wanted}"
    return differing


def _content(made: Measured) -> dict[str, Any]:
    return {name: getattr(made, name) for name in CONTENT}


@contextmanager
def opened(options: Options) -> Iterator[Bench]:
    """A folder, a broker where the sink is one, the extracts, and the peers that are there."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datong-bench-")))
        peers: dict[str, Path] = {}
        jars: dict[str, Path] = {}
        if options.sink == "kafka" and options.peers is not None:
            pythons = {name: python_of(peer, options.peers) for name, peer in PEERS.items()}
            peers = {name: python for name, python in pythons.items() if python is not None}
            folders = {name: jars_of(peer, options.peers) for name, peer in JVM.items()}
            jars = {name: folder for name, folder in folders.items() if folder is not None}
        there = stack.enter_context(broker(options.bootstrap, work)) if options.sink == "kafka" else None

        def extract(rows: int) -> Path:
            made = work / f"extract{rows}.csv"
            if not made.exists():
                tell(f"writing {rows:,} rows")
                run(module("benchmarks.workload", made, rows))
            return made

        yield Bench.of(options.sink, work, extract, broker=there, peers=peers, jvm=jars)


def _subjects(bench: Bench, options: Options) -> dict[str, Subject]:
    """By name, in the order of a round."""
    rows = options.rows
    made: dict[str, Subject] = {
        "parse": lambda: subjects.parse(bench, rows),
        "rows-tuned": lambda: subjects.rows_tuned(bench, min(rows, SLOW_ROWS)),
        "hub": lambda: subjects.hub(bench, rows),
        "start-up": lambda: subjects.hub(bench, 1),
    }
    if options.cores == 2:
        made[TWO] = lambda: subjects.hub(bench, rows, cores=2)
    if bench.broker:
        made["raw-batches"] = lambda: subjects.raw(bench, min(rows, FAST_ROWS))
        made["confluent-produce"] = lambda: subjects.produce(bench, min(rows, FAST_ROWS))
        for name in bench.peers:
            made[name] = partial(subjects.peer, bench, PEERS[name], min(rows, PEER_ROWS))
        if COPIES in bench.jvm:
            made[COPIES] = lambda: jvm.connect_file(bench, rows)
        if SENDS in bench.jvm:
            made[SENDS] = lambda: jvm.producer_performance(bench, min(rows, FAST_ROWS))
    if options.tenfold:
        made[TEN] = lambda: subjects.hub(bench, 10 * rows)
    return made


def report(options: Options, content: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """All that was measured, as JSON."""
    start_up = outcome.runs.pop("start-up")
    made = _ratios(outcome, spread([m.wall_s for m in start_up])["median"])
    return {
        "benchmark": "pipeline",
        "rows": options.rows,
        "sink": options.sink,
        "cores": options.cores,
        "rounds": options.rounds,
        **machine.describe(versions(outcome, options.bootstrap) if options.sink == "kafka" else None),
        "content": dict(content),
        "us_per_record": outcome.us("hub"),
        "rss_mb": outcome.rss("hub"),
        **ratios(made, _missing(options)),
        "start_up_s": spread([m.wall_s for m in start_up]),
        "subjects": outcome.subjects(ABOUT),
        "failures": outcome.failures,
    }


def versions(outcome: Outcome, bootstrap: str | None) -> dict[str, str | None]:
    """Of the broker, if it is the benchmark's own, and of the peers that ran."""
    ran = [name for name in KNOWN if any(f == name or f.startswith(f"{name}, ") for f in outcome.runs)]
    return {"kafka": None if bootstrap else service.VERSION, **{name: version_of(name) for name in ran}}


def _ratios(outcome: Outcome, start_up_s: float) -> dict[str, float | None]:
    """`vs_…` above 1: the hub is faster. `…_10x`: ten times the rows ÷ the rows. `cpu_…`: the hub's CPU ÷ the other's.

    `…_running` is the same with the hub's start-up taken off, as the other side has it."""
    us = outcome.us
    hub = us("hub")
    rows = outcome.runs["hub"][-1].rows
    running = hub - start_up_s / rows * 1e6 if hub is not None else None
    peers = [found for name in PEERS if (found := us(name)) is not None]
    best = min(peers) if peers else None
    return {
        "vs_rows_tuned": quotient(us("rows-tuned"), hub),
        "vs_best_python_peer": quotient(best, hub),
        "vs_best_python_peer_running": quotient(best, running),
        "vs_confluent_produce": quotient(us("confluent-produce"), hub),
        "vs_confluent_produce_running": quotient(us("confluent-produce"), running),
        "two_cores": quotient(hub, us(TWO)),
        "memory_10x": quotient(outcome.rss(TEN), outcome.rss("hub")),
        "cost_10x": quotient(us(TEN), hub),
        "vs_rows_tuned_10x": quotient(us("rows-tuned"), us(TEN)),
        "vs_best_python_peer_10x": quotient(best, us(TEN)),
        "cpu_vs_warm_connect": quotient(us("hub", "cpu_s"), us(f"{COPIES}, warm", "cpu_s")),
        "cpu_vs_warm_connect_10x": quotient(us(TEN, "cpu_s"), us(f"{COPIES}, warm", "cpu_s")),
    }


def _missing(options: Options) -> dict[str, str]:
    kafka = options.sink == "kafka"
    no_peer = "no peer ran: see failures" if kafka else PEERS_NEED_KAFKA
    no_produce = "produce() failed: see failures" if kafka else "produce() needs --sink kafka"
    return {
        "vs_rows_tuned": "rows-tuned failed: see failures",
        "vs_best_python_peer": no_peer,
        "vs_confluent_produce": no_produce,
        "two_cores": "needs --cores 2",
        **dict.fromkeys(("memory_10x", "cost_10x", "vs_rows_tuned_10x"), "needs --tenfold"),
        **dict.fromkeys(
            ("vs_best_python_peer_10x", "cpu_vs_warm_connect_10x"), "needs --sink kafka --tenfold and peers"
        ),
        "cpu_vs_warm_connect": "Connect did not run: see failures" if kafka else PEERS_NEED_KAFKA,
    }

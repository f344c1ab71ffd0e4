"""`pipeline`: CSV → normalise → check → Avro → log, the hub beside its references and peers, interleaved, one process each."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine, subjects
from benchmarks.broker import broker
from benchmarks.measure import SubjectFailed, module, run, spread
from benchmarks.peers import PEERS, python_of
from benchmarks.subjects import Bench, Measured

CONTENT_ROWS = 200_000
PEERS_NEED_KAFKA = "the peers' jobs write to Kafka only: --sink kafka"


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


@dataclass
class Outcome:
    """Runs by subject; why something is missing."""

    runs: dict[str, list[Measured]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def us(self, name: str) -> float | None:
        """Median µs per record."""
        runs = self.runs.get(name)
        return spread([m.wall_s / m.rows * 1e6 for m in runs])["median"] if runs else None


def pipeline(options: Options) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed."""
    with _bench(options) as bench:
        content = check_content(bench, min(options.rows, CONTENT_ROWS))
        outcome = Outcome()
        _measure(bench, options, outcome)
    if options.sink == "kafka":
        for name in PEERS.keys() - bench.peers.keys():
            outcome.failures.setdefault(name, "not installed: `python3 dev.py bench peers`")
    return report(options, content, outcome)


class ContentDiffers(Exception):
    """The hub and the row-by-row way do not agree on what the rows say."""


def check_content(bench: Bench, rows: int) -> dict[str, Any]:
    """Equal counts, and equal (key, value) as fastavro reads them."""
    tell(f"content of {rows:,} rows")
    ours, theirs = subjects.hub(bench, rows, tally=True), subjects.rows_tuned(bench, rows, tally=True)
    sides = {
        name: {"accepted": m.accepted, "rejected": m.rejected, "hash": m.hash}
        for name, m in (("hub", ours), ("rows-tuned", theirs))
    }
    if sides["hub"] != sides["rows-tuned"] or ours.hash is None:
        raise ContentDiffers(f"the hub and rows-tuned do not log the same: {sides}")
    return {"rows": rows, **sides["hub"], "equal": True}


@contextmanager
def _bench(options: Options) -> Iterator[Bench]:
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datong-bench-")))
        peers = {}
        if options.sink == "kafka" and options.peers is not None:
            found = {name: python_of(peer, options.peers) for name, peer in PEERS.items()}
            peers = {name: python for name, python in found.items() if python is not None}
        there = stack.enter_context(broker(options.bootstrap, work)) if options.sink == "kafka" else None

        def extract(rows: int) -> Path:
            made = work / f"extract{rows}.csv"
            if not made.exists():
                tell(f"writing {rows:,} rows")
                run(module("benchmarks.workload", made, rows))
            return made

        yield Bench.of(options.sink, work, extract, broker=there, peers=peers)


def _measure(bench: Bench, options: Options, outcome: Outcome) -> None:
    todo = dict(subjects.all_of(bench, options.rows))
    todo["start-up"] = lambda: subjects.hub(bench, 1)
    if options.cores == 2:
        todo["hub, two cores"] = lambda: subjects.hub(bench, options.rows, cores=2)
    for number in range(options.rounds):
        for name, subject in todo.items():
            if name in outcome.failures:
                continue
            tell(f"round {number + 1}: {name}")
            try:
                outcome.runs.setdefault(name, []).append(subject())
            except SubjectFailed as error:
                if name == "hub":
                    raise
                outcome.failures[name] = str(error)
                del outcome.runs[name]
    if options.tenfold:
        tell("ten times the rows")
        outcome.runs["hub, ten times the rows"] = [subjects.hub(bench, 10 * options.rows)]


def report(options: Options, content: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """All that was measured, as JSON."""
    hub = outcome.runs["hub"]
    ratios = _ratios(options, outcome)
    return {
        "benchmark": "pipeline",
        "rows": options.rows,
        "sink": options.sink,
        "cores": options.cores,
        "rounds": options.rounds,
        **machine.describe(),
        "content": dict(content),
        "us_per_record": outcome.us("hub"),
        "rss_mb": spread([m.rss_mb for m in hub])["median"],
        "ratios": ratios,
        "reasons": outcome.reasons,
        "subjects": {name: _subject(runs) for name, runs in outcome.runs.items() if name != "start-up"},
        "start_up_s": spread([m.wall_s for m in outcome.runs["start-up"]]),
        "failures": outcome.failures,
    }


def _subject(runs: list[Measured]) -> dict[str, Any]:
    last = runs[-1]
    return {
        "rows": last.rows,
        "rounds": len(runs),
        "wall_us": spread([m.wall_s / m.rows * 1e6 for m in runs]),
        "cpu_us": spread([m.cpu_s / m.rows * 1e6 for m in runs]),
        "rss_mb": spread([m.rss_mb for m in runs]),
        "accepted": last.accepted,
        "rejected": last.rejected,
        "bytes_out": last.bytes_out,
        "bytes_per_record": round(last.bytes_out / last.accepted, 1) if last.bytes_out else None,
    }


def _ratios(options: Options, outcome: Outcome) -> dict[str, float | None]:
    """Above 1: the hub is faster. `memory_10x` and `cost_10x`: ten times the rows ÷ the rows, lower is better."""
    us, reasons = outcome.us, outcome.reasons
    hub = us("hub")
    assert hub is not None
    peers = [found for name in PEERS if (found := us(name)) is not None]
    tenfold = outcome.runs.get("hub, ten times the rows", [])
    one_rss = spread([m.rss_mb for m in outcome.runs["hub"]])["median"]
    two_cores, produced, rows = us("hub, two cores"), us("confluent-produce"), us("rows-tuned")
    ratios = {
        "vs_rows_tuned": rows and rows / hub,
        "vs_best_python_peer": min(peers) / hub if peers else None,
        "vs_confluent_produce": produced and produced / hub,
        "two_cores": two_cores and hub / two_cores,
        "memory_10x": tenfold[0].rss_mb / one_rss if tenfold else None,
        "cost_10x": tenfold[0].wall_s / tenfold[0].rows * 1e6 / hub if tenfold else None,
    }
    missing = {
        "vs_rows_tuned": "rows-tuned failed",
        "vs_best_python_peer": "no peer ran: see failures" if options.sink == "kafka" else PEERS_NEED_KAFKA,
        "vs_confluent_produce": "produce() needs --sink kafka",
        "two_cores": "needs --cores 2",
        "memory_10x": "needs --tenfold",
        "cost_10x": "needs --tenfold",
    }
    reasons.update({name: missing[name] for name, ratio in ratios.items() if ratio is None})
    return {name: None if ratio is None else round(ratio, 3) for name, ratio in ratios.items()}


def tell(text: str) -> None:
    """Progress goes to stderr."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)

"""`sqlite`: appending to the SQLite log, a block per row by the hub's writer against a row per record."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks import machine, subjects
from benchmarks.append import TOPIC
from benchmarks.measure import module, run
from benchmarks.pipeline import ContentDiffers, Options, opened
from benchmarks.rounds import About, Measured, Subject, interleave, quotient, ratios, tell
from benchmarks.subjects import Bench

CONTENT_ROWS = 50_000
ABOUT = {
    "rows": About(
        ran="ready tuples, a row per record, synchronous=FULL, 30,000 records a transaction",
        not_done="no checksums, no checkpoint",
    ),
    "blocks": About(ran="ready sections through the hub's writer: lz4, CRC32C, checkpoint; the same transactions"),
    "columns": About(ran="the same from columns of keys, values and ids: partitions and sections made too"),
}


def sqlite(rows: int, rounds: int) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed."""
    with opened(Options(rows=rows, sink="sqlite")) as bench:
        content = check_content(bench, min(rows, CONTENT_ROWS))
        todo: dict[str, Subject] = {name: partial(append, bench, name, rows) for name in ABOUT}
        outcome = interleave(todo, rounds, required=list(ABOUT))
    sizes = {name: runs[-1].bytes_out for name, runs in outcome.runs.items()}
    made = {
        "append_vs_rows": quotient(outcome.us("rows"), outcome.us("blocks")),
        "append_from_columns_vs_rows": quotient(outcome.us("rows"), outcome.us("columns")),
        "bytes_vs_rows": quotient(sizes["blocks"], sizes["rows"]),
    }
    return {
        "benchmark": "sqlite",
        "rows": rows,
        "rounds": rounds,
        **machine.describe(),
        "content": content,
        "us_per_record": outcome.us("blocks"),
        "rss_mb": outcome.rss("blocks"),
        **ratios(made, {}),
        "subjects": outcome.subjects(ABOUT),
        "failures": outcome.failures,
    }


def append(bench: Bench, way: str, rows: int, *, tally: bool = False) -> Measured:
    """One way, once: see `benchmarks.append`."""
    ready = subjects.ready(bench, rows)
    with bench.place() as place:
        log = place.folder / "log.db"
        made = subjects.measured(run(module("benchmarks.append", way, ready, "--out", log)))
        if tally:
            made = replace(made, hash=subjects.hash_of(bench, "rows" if way == "rows" else "sqlite", log, TOPIC))
        return replace(made, bytes_out=subjects.disk(log))


def check_content(bench: Bench, rows: int) -> dict[str, Any]:
    """All ways leave the same records."""
    tell(f"content of {rows:,} rows")
    found = {way: append(bench, way, rows, tally=True) for way in ABOUT}
    if len({(m.accepted, m.hash) for m in found.values()}) != 1:
        raise ContentDiffers(f"the logs do not say the same: {found}")
    one = found["rows"]
    return {"rows": rows, "accepted": one.accepted, "rejected": 0, "hash": one.hash, "equal": True}

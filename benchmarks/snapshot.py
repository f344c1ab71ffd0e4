"""`snapshot`: a keyed connector in mode snapshot, its first run and one that finds nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import machine, subjects
from benchmarks.measure import SubjectFailed
from benchmarks.pipeline import Options, opened
from benchmarks.project import Project
from benchmarks.rounds import About, Measured, Subject, interleave, quotient, ratios
from benchmarks.subjects import Bench

FIRST, AGAIN, APPEND = "snapshot, first", "snapshot, unchanged", "append"
ABOUT = {
    APPEND: About(ran="`datong run` in mode append", not_done="no state of keys, no deletions"),
    FIRST: About(ran="`datong run` in mode snapshot: every key is new"),
    AGAIN: About(ran="the same again: every record is compared, none is published"),
}


def snapshot(rows: int, rounds: int) -> dict[str, Any]:
    """Measure; every run reconciles, and the second must find each record of the first unchanged. Raises SubjectFailed."""
    with opened(Options(rows=rows, sink="sqlite")) as bench:
        todo: dict[str, Subject] = {APPEND: lambda: subjects.hub(bench, rows), "snapshot": lambda: twice(bench, rows)}
        outcome = interleave(todo, rounds, required=list(todo))
    us = outcome.us
    made = {
        "first_vs_append": quotient(us(FIRST), us(APPEND)),
        "unchanged_vs_append": quotient(us(AGAIN), us(APPEND)),
        "unchanged_memory_vs_append": quotient(outcome.rss(AGAIN), outcome.rss(APPEND)),
    }
    first = outcome.runs[FIRST][-1]
    return {
        "benchmark": "snapshot",
        "rows": rows,
        "rounds": rounds,
        **machine.describe(),
        "content": {"rows": rows, "accepted": first.accepted, "rejected": first.rejected, "equal": True},
        "us_per_record": us(AGAIN),
        "rss_mb": outcome.rss(AGAIN),
        **ratios(made, {}),
        "subjects": outcome.subjects(ABOUT),
        "failures": outcome.failures,
    }


def twice(bench: Bench, rows: int) -> Mapping[str, Measured]:
    """Two runs on one log. Raises SubjectFailed when the second published something or missed a record."""
    with bench.place() as place:
        project = Project(directory=place.folder, tag=place.tag, mode="snapshot")
        project.write(bench.extracts(rows))
        first, again = subjects.run_of(bench, project), subjects.run_of(bench, project)
    if again.published or (again.accepted, again.rejected) != (first.accepted, first.rejected):
        raise SubjectFailed(f"the second run was not unchanged: {first}, then {again}")
    return {FIRST: first, AGAIN: again}

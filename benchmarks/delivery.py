"""`delivery`: a topic → what a grant allows, in every form, beside fastavro and json row by row over the same blocks.

Five of fourteen fields of the records that a row filter lets through. Each subject is a process of its own that times
itself from the first block to the last byte; before that, all forms must say the same, read by libraries that are not ours."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measure import SubjectFailed, module, run, spread
from benchmarks.pipeline import ContentDiffers, tell
from benchmarks.project import Project

FIELDS = ("record_id", "family_name", "birth_date", "municipality", "amount")
WHERE = "sex = 'FEMALE'"  # a third of them
REFERENCE = "rows-ndjson"
FORMS = ("ndjson", "csv", "arrow", "avro", "framed")
ANSWERS = "answers-ndjson"
CONTENT_ROWS = 100_000
SLOW_ROWS = 500_000  # of the row-by-row way, which costs the same per row from a few thousand on


def delivery(rows: int, rounds: int) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed."""
    with tempfile.TemporaryDirectory(prefix="datong-bench-") as work:
        content = check_content(publish(Path(work) / "content", min(rows, CONTENT_ROWS)))
        project = publish(Path(work) / "all", rows)
        runs: dict[str, list[dict[str, Any]]] = {}
        for number in range(rounds):
            for name in (REFERENCE, *FORMS, ANSWERS):
                tell(f"round {number + 1}: {name}")
                runs.setdefault(name, []).append(subject(project, name, SLOW_ROWS if name == REFERENCE else None))
    return report(rows, rounds, content, runs)


def publish(work: Path, rows: int) -> Path:
    """A project with the workload on its topic, and a grant for some of it."""
    work.mkdir()
    extract = work / "extract.csv"
    tell(f"publishing {rows:,} rows")
    run(module("benchmarks.workload", extract, rows))
    project = Project(directory=work / "project")
    project.directory.mkdir()
    project.write(extract)
    project.grant(list(FIELDS), WHERE)
    made = run(module("hub.cli.main", "run", project.connector, "--json", "--project", str(project.directory)))
    state = made.answer["runs"][0]["state"]
    if state != "completed":
        raise SubjectFailed(f"the hub's run ended as {state}")
    return project.directory


def check_content(project: Path) -> dict[str, Any]:
    """Every form and the row-by-row way say the same."""
    said = tallies(project)
    if len({(s["delivered"], s["hash"]) for s in said.values()}) != 1 or not said[REFERENCE]["delivered"]:
        raise ContentDiffers(f"the forms do not say the same: {said}")
    return {**said[REFERENCE], "equal": True}


def tallies(project: Path) -> dict[str, dict[str, Any]]:
    """How many records each subject hands out, and a hash of all that it says."""
    names = (REFERENCE, *FORMS, ANSWERS)
    tell(f"content of {', '.join(names)}")
    return run(module("benchmarks.deliver", ",".join(names), project, "--tally")).answer


def subject(project: Path, name: str, rows: int | None = None) -> dict[str, Any]:
    """One run of one subject, of at least so many records (None: all)."""
    cost = run(module("benchmarks.deliver", name, project, *(["--rows", rows] if rows else [])))
    return {**cost.answer, "rss_mb": cost.rss_mb}


def report(
    rows: int, rounds: int, content: Mapping[str, Any], runs: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """All that was measured, as JSON. µs are per record read, whether the filter lets it through or not."""
    subjects = {name: _subject(found) for name, found in runs.items()}
    paired = {name: _ratio(runs[REFERENCE], runs[name]) for name in (*FORMS, ANSWERS)}
    return {
        "benchmark": "delivery",
        "rows": rows,
        "rounds": rounds,
        **machine.describe(),
        "fields": f"{len(FIELDS)} of 14",
        "where": WHERE,
        "content": dict(content),
        "us_per_record": subjects["ndjson"]["wall_us"]["median"],
        "rss_mb": subjects["ndjson"]["rss_mb"]["median"],
        "ratios": {"vs_rows": paired["ndjson"], "answers_vs_rows": paired[ANSWERS]},
        "vs_rows": paired,
        "subjects": subjects,
    }


def _ratio(reference: list[dict[str, Any]], found: list[dict[str, Any]]) -> float:
    """Of CPU time, each round against its own; above 1: the hub needs less."""
    pairs = zip(reference, found, strict=True)
    ratios: list[float] = [(a["cpu_s"] / a["read"]) / (b["cpu_s"] / b["read"]) for a, b in pairs]
    return round(statistics.median(ratios), 3)


def _subject(found: list[dict[str, Any]]) -> dict[str, Any]:
    last = found[-1]
    return {
        "read": last["read"],
        "delivered": last["delivered"],
        "rounds": len(found),
        "wall_us": spread([m["wall_s"] / m["read"] * 1e6 for m in found]),
        "cpu_us": spread([m["cpu_s"] / m["read"] * 1e6 for m in found]),
        "rss_mb": spread([m["rss_mb"] for m in found]),
        "bytes_per_record": round(last["bytes_out"] / last["delivered"], 1),
    }

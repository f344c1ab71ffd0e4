"""`delivery`: a topic → what a grant allows, in every form, beside fastavro and json row by row over the same blocks.

Five of fourteen fields of the records that a row filter lets through. Each subject is a process of its own that times
itself from the second batch to the last byte; before that, all forms must say the same, read by libraries that are not
ours. µs are per record read, whether the filter lets it through or not."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measure import SubjectFailed, module, run
from benchmarks.pipeline import ContentDiffers
from benchmarks.project import Project
from benchmarks.rounds import About, Measured, Outcome, Subject, interleave, quotient, ratios, tell

FIELDS = ("record_id", "family_name", "birth_date", "municipality", "amount")
WHERE = "sex = 'FEMALE'"  # a third of them
REFERENCE, ANSWERS = "rows-ndjson", "answers-ndjson"
FORMS = ("ndjson", "csv", "arrow", "avro", "framed")
CONTENT_ROWS = 100_000
SLOW_ROWS = 500_000  # of the row-by-row way, which costs the same per row from a few thousand on
ABOUT = {
    REFERENCE: About(
        ran="the log's blocks and the hub's own reader of sections; then fastavro (told which fields are wanted), a"
        " condition, a dict and json for each record",
        not_done="no decision, group or cursor",
    ),
    **{form: About(ran="blocks → columns → bytes", not_done="no decision, group or cursor") for form in FORMS},
    ANSWERS: About(
        ran="whole answers: decision, group, columns, bytes, durable cursor, and the commit", not_done="HTTP"
    ),
}


def delivery(rows: int, rounds: int) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed."""
    with tempfile.TemporaryDirectory(prefix="datong-bench-") as work:
        content = check_content(publish(Path(work) / "content", min(rows, CONTENT_ROWS)))
        project = publish(Path(work) / "all", rows)
        todo: dict[str, Subject] = {name: partial(hand_out, project, name) for name in ABOUT}
        todo[REFERENCE] = partial(hand_out, project, REFERENCE, SLOW_ROWS)
        return report(rows, rounds, content, interleave(todo, rounds, required=list(ABOUT)))


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
    tell(f"content of {', '.join(ABOUT)}")
    return run(module("benchmarks.deliver", ",".join(ABOUT), project, "--tally")).answer


def hand_out(project: Path, name: str, rows: int | None = None) -> Measured:
    """One run of one subject, of at least so many records (None: all)."""
    cost = run(module("benchmarks.deliver", name, project, *(["--rows", rows] if rows else [])))
    answer = cost.answer
    return Measured(
        rows=answer["read"],
        wall_s=answer["wall_s"],
        cpu_s=answer["cpu_s"],
        rss_mb=cost.rss_mb,
        accepted=answer["delivered"],
        rejected=answer["read"] - answer["delivered"],
        bytes_out=answer["bytes_out"],
    )


def report(rows: int, rounds: int, content: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """All that was measured, as JSON. Ratios are of CPU time."""

    def against_rows(name: str) -> float | None:
        return quotient(outcome.us(REFERENCE, "cpu_s"), outcome.us(name, "cpu_s"))

    made = {"vs_rows": against_rows("ndjson"), "answers_vs_rows": against_rows(ANSWERS)}
    made |= {f"{form}_vs_rows": against_rows(form) for form in FORMS if form != "ndjson"}
    return {
        "benchmark": "delivery",
        "rows": rows,
        "rounds": rounds,
        **machine.describe(),
        "fields": f"{len(FIELDS)} of 14",
        "where": WHERE,
        "content": content,
        "us_per_record": outcome.us("ndjson"),
        "rss_mb": outcome.rss("ndjson"),
        **ratios(made, {}),
        "subjects": outcome.subjects(ABOUT),
        "failures": outcome.failures,
    }

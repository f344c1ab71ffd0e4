"""`small-batch`: what one small batch costs, whatever its rows: normalise and encode, 16 fields."""

from __future__ import annotations

from typing import Any

from benchmarks import machine
from benchmarks.measure import module, run, spread
from benchmarks.pipeline import Options, opened
from benchmarks.project import FIELDS, Project
from benchmarks.rounds import quotient, ratios, tell
from benchmarks.schema import SCHEMA
from benchmarks.subjects import Bench

ROWS = 5_000
FIXED, NEXT = "1 row", "1,000 rows"


def flat_schema() -> dict[str, Any]:
    """The workload's fields and those of its address, but the country: 16 on one level."""
    fields = [field for field in SCHEMA["fields"] if field["name"] != "address"]
    address = next(field for field in SCHEMA["fields"] if field["name"] == "address")
    inner = [field for field in address["type"]["fields"] if field["name"] != "country"]
    return {**SCHEMA, "name": "FlatBenefit", "fields": [*fields[:-2], *inner, *fields[-2:]]}


def flat_fields() -> str:
    """The mapping of the same 16."""
    lines = [line for line in FIELDS.splitlines() if line.strip() != "address:" and "country:" not in line]
    return "".join(f"    {line.strip()}\n" for line in lines)


def small_batch(rounds: int) -> dict[str, Any]:
    """Measure in so many processes. Raises SubjectFailed."""
    with opened(Options(rows=ROWS, sink="sqlite")) as bench:
        answers = []
        for number in range(rounds):
            tell(f"round {number + 1}")
            answers.append(once(bench))
    figures = {
        name: {
            "rows": size["rows"],
            "rounds": rounds,
            "wall_ms": spread([answer["sizes"][name]["wall_ms"] for answer in answers]),
            "cpu_ms": spread([answer["sizes"][name]["cpu_ms"] for answer in answers]),
        }
        for name, size in answers[0]["sizes"].items()
    }
    fixed, thousand = figures[FIXED]["wall_ms"]["median"], figures[NEXT]["wall_ms"]["median"]
    made = {"fixed_ms": fixed, "rows_worth_a_batch": quotient(fixed, (thousand - fixed) / 999)}
    return {
        "benchmark": "small-batch",
        "rounds": rounds,
        "fields": answers[0]["fields"],
        **machine.describe(),
        **ratios(made, {}),
        "subjects": figures,
        "failures": {},
    }


def once(bench: Bench) -> dict[str, Any]:
    """One process, pinned to one core."""
    with bench.place() as place:
        project = Project(directory=place.folder, tag=place.tag, fields=flat_fields(), schema=flat_schema())
        project.write(bench.extracts(ROWS))
        return run(module("benchmarks.small", place.folder, project.connector)).answer

"""`postgres`: a table of a real PostgreSQL, read and published, against COPY to nowhere and Debezium's snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import jvm, machine, pipeline, subjects
from benchmarks.database import Server, server
from benchmarks.measure import Cost, module, run, spread
from benchmarks.peers.jvm import JVM
from benchmarks.pipeline import NOT_INSTALLED, ContentDiffers
from benchmarks.project import Project
from benchmarks.rounds import About, Measured, Outcome, Subject, interleave, quotient, ratios, tell
from benchmarks.schema import TABLE_SCHEMA
from benchmarks.serving import serving
from benchmarks.subjects import Bench
from benchmarks.table import FIELDS, ONE, TABLE

PEER = "debezium"
KAFKA, SQLITE = "hub to kafka", "hub to sqlite"
WARM = f"{KAFKA}, warm"
RUNS = 3  # in one process; the last is warm, as of the JVM's
ABOUT = {
    "copy": About(ran="psycopg: COPY … TO STDOUT in binary, bytes dropped", not_done="only reads"),
    "read": About(ran="the hub's source, batches dropped", not_done="only reads, as Arrow batches of 30,000 rows"),
    KAFKA: About(ran="`datong run` of an ordinary project with mapping and checks, start-up included"),
    WARM: About(
        ran="the third run, each of its own connector and topic, in one `datong serve` that watches and samples"
    ),
    SQLITE: About(ran="the same into the SQLite log"),
    **{f"{PEER}, {state}": JVM[PEER].about for state in ("cold", "warm")},
}
MISSING = dict.fromkeys(("cpu_vs_warm_debezium", "warm_cpu_vs_warm_debezium"), "Debezium did not run: see failures")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for."""

    rows: int
    rounds: int = 3
    bootstrap: str | None = None
    peers: Path | None = None


def postgres(options: Options) -> dict[str, Any]:
    """Check content, then measure. Raises ContentDiffers, SubjectFailed, ServiceMissing."""
    with _opened(options) as (bench, there):
        content = check_content(bench, there, options.rows)
        outcome = interleave(
            _subjects(bench, there, options.rows), options.rounds, required=[KAFKA, SQLITE, "start-up"]
        )
        if PEER not in bench.jvm:
            outcome.failures[PEER] = NOT_INSTALLED
    return _report(options, content, outcome, there)


@contextmanager
def _opened(options: Options) -> Iterator[tuple[Bench, Server]]:
    """The table is loaded; the broker runs."""
    with ExitStack() as stack:
        there = stack.enter_context(server())
        wanted = pipeline.Options(rows=options.rows, sink="kafka", bootstrap=options.bootstrap, peers=options.peers)
        bench = stack.enter_context(pipeline.opened(wanted))
        tell(f"loading {options.rows:,} rows")
        run(module("benchmarks.table", "load", bench.extracts(options.rows)), env=there.env, cores=2)
        yield bench, there


@contextmanager
def published_table(rows: int) -> Iterator[tuple[Project, Mapping[str, str]]]:
    """A project that publishes the loaded table to SQLite, and the environment that it runs in."""
    with server() as there, pipeline.opened(pipeline.Options(rows=rows, sink="sqlite")) as bench:
        tell(f"loading {rows:,} rows")
        run(module("benchmarks.table", "load", bench.extracts(rows)), env=there.env, cores=2)
        with bench.place() as place:
            yield _project(place.folder, place.tag, there, TABLE), there.env


def check_content(bench: Bench, there: Server, rows: int) -> dict[str, Any]:
    """The table published to both logs says what the row-by-row way says of the same rows' extract."""
    tell(f"content of {rows:,} rows")
    expected = subjects.rows_tuned(_sqlite(bench), rows, tally=True)
    sides = {
        "rows-tuned": expected,
        SQLITE: hub(_sqlite(bench), there, tally=True),
        **({KAFKA: hub(bench, there, tally=True)} if bench.broker else {}),
    }
    said = {name: {"accepted": m.accepted, "rejected": m.rejected, "hash": m.hash} for name, m in sides.items()}
    if any(found != said["rows-tuned"] for found in said.values()) or expected.hash is None:
        raise ContentDiffers(f"the table and its extract do not say the same: {said}")
    return {"rows": rows, **said["rows-tuned"], "equal": True}


def hub(bench: Bench, there: Server, table: str = TABLE, *, tally: bool = False) -> Measured:
    """`datong run` of an ordinary project that reads a table."""
    with bench.place() as place:
        project = _project(place.folder, place.tag, there, table)
        made = subjects.run_of(bench, project, tally=tally, env=there.env)
        if bench.broker:
            bench.broker.forget(project.topic)
    return made


def warm(bench: Bench, there: Server) -> Mapping[str, Measured]:
    """Three connectors over one table in one hub that serves, one after the other; the last run counts."""
    assert bench.broker is not None
    with bench.place() as place:
        projects = [_project(place.folder, f"{place.tag}-{number}", there, TABLE) for number in range(RUNS)]
        url = f"kafka://{bench.broker.bootstrap}"
        with serving(place.folder, role="all", DATONG_LOG__URL=url, DATONG_REGISTRY__PORT="0", **there.env) as server:
            for project in projects:
                wall, cpu = time.perf_counter(), server.cpu_s
                answer = {"runs": [server.pull(project.connector)]}
                spent = Cost(
                    wall_s=time.perf_counter() - wall, cpu_s=server.cpu_s - cpu, rss_mb=server.rss_mb, answer=answer
                )
        bench.broker.forget(*(project.topic for project in projects))
    return {WARM: subjects.of_run(spent)}


def read(bench: Bench, there: Server) -> Measured:
    """The hub's source alone."""
    with bench.place() as place:
        project = _project(place.folder, place.tag, there, TABLE)
        command = module("benchmarks.table", "read", place.folder, project.connector)
        return subjects.measured(run(command, env=there.env))


def copy(there: Server) -> Measured:
    """COPY to nowhere."""
    cost = run(module("benchmarks.table", "copy"), env=there.env)
    return replace(subjects.measured(cost), bytes_out=cost.answer["bytes"])


def _project(folder: Path, tag: str, there: Server, table: str) -> Project:
    source = f'{{kind: postgres, url: "{there.url}", table: {table}}}'
    project = Project(directory=folder, tag=tag, source=source, fields=FIELDS, schema=TABLE_SCHEMA)
    project.write(None)
    return project


def _sqlite(bench: Bench) -> Bench:
    return replace(bench, sink="sqlite", broker=None)


def _subjects(bench: Bench, there: Server, rows: int) -> dict[str, Subject]:
    made: dict[str, Subject] = {
        "copy": lambda: copy(there),
        "read": lambda: read(bench, there),
        KAFKA: lambda: hub(bench, there),
        WARM: lambda: warm(bench, there),
        SQLITE: lambda: hub(_sqlite(bench), there),
        "start-up": lambda: hub(bench, there, ONE),
    }
    if PEER in bench.jvm:
        made[PEER] = lambda: jvm.debezium(bench, rows, there.env, TABLE)
    return made


def _report(options: Options, content: dict[str, Any], outcome: Outcome, there: Server) -> dict[str, Any]:
    start_up = outcome.runs.pop("start-up")
    us, rows = outcome.us, options.rows
    limit, to_kafka = us("copy"), us(KAFKA)
    running = None if to_kafka is None else to_kafka - spread([m.wall_s for m in start_up])["median"] / rows * 1e6
    made = {
        "read_vs_copy": quotient(limit, us("read")),
        "to_kafka_vs_copy": quotient(limit, to_kafka),
        "to_kafka_vs_copy_running": quotient(limit, running),
        "to_sqlite_vs_copy": quotient(limit, us(SQLITE)),
        "cpu_vs_warm_debezium": quotient(us(KAFKA, "cpu_s"), us(f"{PEER}, warm", "cpu_s")),
        "warm_cpu_vs_warm_debezium": quotient(us(WARM, "cpu_s"), us(f"{PEER}, warm", "cpu_s")),
    }
    return {
        "benchmark": "postgres",
        "rows": rows,
        "rounds": options.rounds,
        **machine.describe({"postgresql": there.version, **pipeline.versions(outcome, options.bootstrap)}),
        "content": content,
        "us_per_record": us(KAFKA),
        "rss_mb": outcome.rss(KAFKA),
        **ratios(made, MISSING),
        "start_up_s": spread([m.wall_s for m in start_up]),
        "subjects": outcome.subjects(ABOUT),
        "failures": outcome.failures,
    }

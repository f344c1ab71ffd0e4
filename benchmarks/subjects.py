"""The subjects of the pipeline benchmark: how each is started, and what is read from its answer."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.broker import Broker
from benchmarks.measure import Cost, SubjectFailed, module, run
from benchmarks.peers import Peer
from benchmarks.project import Project
from benchmarks.rounds import Measured

SLOW_ROWS = 500_000  # the row-by-row way costs the same per row from a few thousand on
PEER_ROWS = 200_000
FAST_ROWS = 1_000_000  # references that hold all records in memory


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all runs share. `extracts` gives a file of so many rows; `broker` is there when the sink is kafka."""

    sink: str
    work: Path
    extracts: Callable[[int], Path]
    broker: Broker | None = None
    peers: Mapping[str, Path]  # name → Python
    jvm: Mapping[str, Path] = field(default_factory=dict)  # name → folder of jars
    numbers: Iterator[int]

    @classmethod
    def of(cls, sink: str, work: Path, extracts: Callable[[int], Path], **more: object) -> Bench:
        """A new one, counting its runs from 1."""
        return cls(sink=sink, work=work, extracts=extracts, numbers=itertools.count(1), **more)  # type: ignore[arg-type]

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A fresh folder and a fresh name, both gone afterwards."""
        number = next(self.numbers)
        place = Place(
            folder=self.work / f"run{number}", tag=f"r{self.work.name[-6:].lower()}n{number}".replace("_", "-")
        )
        place.folder.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place.folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run leaves its files, and the name of its topic."""

    folder: Path
    tag: str


def measured(cost: Cost, **changes: object) -> Measured:
    """The cost and counts of a subject that says what it did."""
    answer = cost.answer
    made = Measured(
        rows=answer["read"],
        wall_s=answer.get("wall_s", cost.wall_s),
        cpu_s=answer.get("cpu_s", cost.cpu_s),
        rss_mb=answer.get("rss_mb", cost.rss_mb),
        accepted=answer["accepted"],
        rejected=answer["rejected"],
        hash=answer.get("hash"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def hub(bench: Bench, rows: int, *, cores: int = 1, tally: bool = False) -> Measured:
    """`datong run` of an ordinary project. With `tally`, its log is read back and hashed."""
    with bench.place() as place:
        project = Project(directory=place.folder, tag=place.tag)
        project.write(bench.extracts(rows))
        made = run_of(bench, project, cores=cores, tally=tally)
        if bench.broker:
            bench.broker.forget(project.topic)
    return made


def run_of(
    bench: Bench, project: Project, *, cores: int = 1, tally: bool = False, env: Mapping[str, str] | None = None
) -> Measured:
    """`datong run` of a project that is written."""
    arguments = ["run", project.connector, "--json", "--project", str(project.directory)]
    url = f"kafka://{bench.broker.bootstrap}" if bench.broker else ""
    if bench.sink == "null":
        command = module("benchmarks.dropped", *(["--tally"] if tally else []), "--", *arguments)
    else:
        command = module("hub.cli.main", *arguments)
    made = of_run(run(command, cores=cores, env={"DATONG_LOG__URL": url, **(env or {})}))
    log = project.directory / "var/log.db"
    if bench.sink == "sqlite":
        made = replace(made, bytes_out=disk(log))
    if bench.broker:
        made = replace(made, bytes_out=bench.broker.size(project.topic))
    if tally and bench.sink != "null":
        made = replace(made, hash=hash_of(bench, "sqlite", log, project.topic, project.content))
    return made


def of_run(cost: Cost) -> Measured:
    """From the hub's own JSON of a run; its tally, if any, was the last line. Raises SubjectFailed when it ended badly."""
    run_of = cost.answer.get("runs", [{}])[0]
    if run_of.get("state") != "completed":
        raise SubjectFailed(f"the hub's run ended as {run_of.get('state')}: {run_of.get('error')}")
    totals = run_of["totals"]
    counts = {"accepted": totals["published"] + totals["unchanged"], "rejected": totals["quarantined"]}
    answer = {"read": totals["read"], **counts, "hash": cost.answer.get("hash")}
    return measured(replace(cost, answer=answer), published=totals["published"])


def disk(log: Path) -> int:
    """Bytes of a SQLite file and what stands beside it."""
    return sum(file.stat().st_size for file in log.parent.glob(f"{log.name}*"))


def hash_of(bench: Bench, kind: str, log: Path, topic: str, schema: str = "extract") -> str:
    """Of all that stands in a log: see `benchmarks.content`."""
    where = ["kafka", bench.broker.bootstrap, topic] if bench.broker else [kind, log, topic]
    return str(run(module("benchmarks.content", schema, *where)).answer["hash"])


def rows_tuned(bench: Bench, rows: int, *, tally: bool = False) -> Measured:
    """csv.reader → a straight Python function → fastavro → the sink, record by record."""
    with bench.place() as place:
        log = place.folder / "rows.db"
        arguments: list[object] = ["rows", bench.extracts(rows), "--sink", bench.sink, "--out", log]
        with topic_of(bench, place) as topic:
            if bench.broker:
                arguments += ["--bootstrap", bench.broker.bootstrap, "--topic", topic]
            if tally and bench.sink == "null":
                arguments.append("--tally")
            made = measured(run(module("benchmarks.references", *arguments)))
            if bench.sink == "sqlite":
                made = replace(made, bytes_out=disk(log))
            if bench.broker:
                made = replace(made, bytes_out=bench.broker.size(topic))
            if tally and bench.sink != "null":
                made = replace(made, hash=hash_of(bench, "rows", log, topic))
    return made


def parse(bench: Bench, rows: int) -> Measured:
    """The extract's text columns by pyarrow.csv, and nothing else."""
    return measured(run(module("benchmarks.references", "parse", bench.extracts(rows))))


def ready(bench: Bench, rows: int) -> Path:
    """Records as bytes in a file, made once."""
    made = bench.work / f"ready{rows}.bin"
    if not made.exists():
        run(module("benchmarks.references", "ready", bench.extracts(rows), "--out", made))
    return made


def produce(bench: Bench, rows: int, *, tally: bool = False) -> Measured:
    """confluent-kafka's `produce()` of ready bytes."""
    return _of_ready(bench, ["benchmarks.references", "produce"], rows, tally)


def raw(bench: Bench, rows: int, *, tally: bool = False) -> Measured:
    """Ready record batches over a plain socket."""
    return _of_ready(bench, ["benchmarks.raw"], rows, tally)


def _of_ready(bench: Bench, words: list[str], rows: int, tally: bool) -> Measured:
    assert bench.broker is not None
    file = ready(bench, rows)
    with bench.place() as place, topic_of(bench, place) as topic:
        made = measured(run(module(*words, file, "--bootstrap", bench.broker.bootstrap, "--topic", topic)))
        return _arrived(bench, made, topic, tally)


def peer(bench: Bench, chosen: Peer, rows: int, *, tally: bool = False) -> Measured:
    """One framework's job, in its own environment."""
    assert bench.broker is not None
    with bench.place() as place, topic_of(bench, place) as topic:
        command = [str(bench.peers[chosen.name]), "-P", "-m", f"benchmarks.peers.{chosen.job}"]
        made = measured(run([*command, bench.broker.bootstrap, topic, str(bench.extracts(rows)), str(rows)]))
        return _arrived(bench, made, topic, tally)


def _arrived(bench: Bench, made: Measured, topic: str, tally: bool) -> Measured:
    """With the topic's bytes and, when asked, its content."""
    assert bench.broker is not None
    if tally:
        made = replace(made, hash=hash_of(bench, "kafka", bench.work, topic))
    return replace(made, bytes_out=bench.broker.size(topic))


@contextmanager
def topic_of(bench: Bench, place: Place, suffix: str = "") -> Iterator[str]:
    """A topic of its own for a run, gone afterwards; only its name where there is no broker."""
    name = f"bench.social.benefit.{place.tag}{suffix}"
    if bench.broker is None:
        yield name
        return
    bench.broker.create(name)
    yield name
    bench.broker.drop(name)

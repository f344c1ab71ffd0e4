"""The subjects of the pipeline benchmark: how each is started, and what is read from its answer."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.broker import Broker
from benchmarks.measure import Cost, SubjectFailed, module, run
from benchmarks.peers import PEERS, Peer
from benchmarks.project import Project

SLOW_ROWS = 500_000  # the row-by-row way costs the same per row from a few thousand on
PEER_ROWS = 200_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one subject. Times are of the whole process unless its answer gives its own."""

    rows: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    accepted: int
    rejected: int
    bytes_out: int | None = None
    hash: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all runs share. `extracts` gives a file of so many rows; `broker` is there when the sink is kafka."""

    sink: str
    work: Path
    extracts: Callable[[int], Path]
    broker: Broker | None = None
    peers: Mapping[str, Path]  # name → Python
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
        arguments = ["run", project.connector, "--json", "--project", str(place.folder)]
        env = {"DATONG_LOG__URL": f"kafka://{bench.broker.bootstrap}"} if bench.broker else {"DATONG_LOG__URL": ""}
        if bench.sink == "null":
            command = module("benchmarks.dropped", *(["--tally"] if tally else []), "--", *arguments)
        else:
            command = module("hub.cli.main", *arguments)
        cost = run(command, cores=cores, env=env)
        made = _of_run(cost)
        log = place.folder / "var/log.db"
        if bench.sink == "sqlite":
            made = replace(made, bytes_out=_disk(log))
        if bench.broker:
            made = replace(made, bytes_out=bench.broker.size(project.topic))
        if tally and bench.sink != "null":
            made = replace(made, hash=_hash(bench, "sqlite", log, project.topic))
        if bench.broker:
            bench.broker.drop(project.topic)
    return made


def _of_run(cost: Cost) -> Measured:
    """From the hub's own JSON; its tally, if any, was the last line."""
    run_of = cost.answer.get("runs", [{}])[0]
    if run_of.get("state") != "completed":
        raise SubjectFailed(f"the hub's run ended as {run_of.get('state')}: {run_of.get('error')}")
    totals = run_of["totals"]
    counts = {"accepted": totals["published"], "rejected": totals["quarantined"]}
    return measured(replace(cost, answer={"read": totals["read"], **counts, "hash": cost.answer.get("hash")}))


def _disk(log: Path) -> int:
    return sum(file.stat().st_size for file in log.parent.glob(f"{log.name}*"))


def _hash(bench: Bench, kind: str, log: Path, topic: str) -> str:
    where = ["kafka", bench.broker.bootstrap, topic] if bench.broker else [kind, log, topic]
    return str(run(module("benchmarks.content", *where)).answer["hash"])


def rows_tuned(bench: Bench, rows: int, *, tally: bool = False) -> Measured:
    """csv.reader → a straight Python function → fastavro → the sink, record by record."""
    with bench.place() as place:
        log = place.folder / "rows.db"
        arguments: list[object] = ["rows", bench.extracts(rows), "--sink", bench.sink, "--out", log]
        with _topic(bench, place) as topic:
            if bench.broker:
                arguments += ["--bootstrap", bench.broker.bootstrap, "--topic", topic]
            if tally and bench.sink == "null":
                arguments.append("--tally")
            made = measured(run(module("benchmarks.references", *arguments)))
            if bench.sink == "sqlite":
                made = replace(made, bytes_out=_disk(log))
            if bench.broker:
                made = replace(made, bytes_out=bench.broker.size(topic))
            if tally and bench.sink != "null":
                made = replace(made, hash=_hash(bench, "rows", log, topic))
    return made


def parse(bench: Bench, rows: int) -> Measured:
    """The extract's text columns by pyarrow.csv, and nothing else."""
    return measured(run(module("benchmarks.references", "parse", bench.extracts(rows))))


def produce(bench: Bench, rows: int) -> Measured:
    """confluent-kafka's `produce()` of ready bytes."""
    assert bench.broker is not None
    ready = bench.work / f"ready{rows}.bin"
    if not ready.exists():
        run(module("benchmarks.references", "ready", bench.extracts(rows), "--out", ready))
    with bench.place() as place, _topic(bench, place) as topic:
        arguments = ["produce", ready, "--bootstrap", bench.broker.bootstrap, "--topic", topic]
        made = measured(run(module("benchmarks.references", *arguments)))
        return replace(made, bytes_out=bench.broker.size(topic))


def peer(bench: Bench, chosen: Peer, rows: int) -> Measured:
    """One framework's job, in its own environment."""
    assert bench.broker is not None
    with bench.place() as place, _topic(bench, place) as topic:
        command = [str(bench.peers[chosen.name]), "-P", "-m", f"benchmarks.peers.{chosen.job}"]
        made = measured(run([*command, bench.broker.bootstrap, topic, str(bench.extracts(rows)), str(rows)]))
        return replace(made, bytes_out=bench.broker.size(topic))


@contextmanager
def _topic(bench: Bench, place: Place) -> Iterator[str]:
    name = f"bench.social.benefit.{place.tag}"
    if bench.broker is None:
        yield name
        return
    bench.broker.create(name)
    yield name
    bench.broker.drop(name)


def all_of(bench: Bench, rows: int) -> Mapping[str, Callable[[], Measured]]:
    """By name, in the order of a round."""
    made: dict[str, Callable[[], Measured]] = {
        "parse": lambda: parse(bench, rows),
        "rows-tuned": lambda: rows_tuned(bench, min(rows, SLOW_ROWS)),
        "hub": lambda: hub(bench, rows),
    }
    if bench.broker:
        made["confluent-produce"] = lambda: produce(bench, min(rows, 2 * SLOW_ROWS))
        for name in bench.peers:
            made[name] = lambda chosen=PEERS[name]: peer(bench, chosen, min(rows, PEER_ROWS))  # type: ignore[misc]
    return made

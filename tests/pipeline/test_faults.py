"""kill -9 at every failpoint, full disks, broken disks, flipped bytes: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hub.errors import CorruptBlock, StorageFull
from hub.failpoints import NAMES
from hub.log.sqlite import SqliteLog
from hub.model import RunTotals
from tests.support.projects import TOPIC, Bench, make_plan
from tests.support.reading import records_of
from tests.support.requirements import require

ROOT = Path(__file__).resolve().parents[2]
ROWS = 3_000
Done = subprocess.CompletedProcess[str]
SCRIPT = """
import sys
from pathlib import Path
from tests.support.projects import Bench, make_plan
mode = sys.argv[2]
bench = Bench(Path(sys.argv[1]))
bench.epoch = int(sys.argv[3])
source = bench.source(mode, snapshot_of="union")
result = bench.run(make_plan(mode), source)
print(result.state, flush=True)
"""


def child(directory: Path, mode: str, epoch: int, *, prefix: tuple[str, ...] = (), **env: str) -> Done:
    command = [*prefix, sys.executable, "-c", SCRIPT, str(directory), mode, str(epoch)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def fill(directory: Path) -> None:
    (directory / "data").mkdir()
    for part in range(3):
        lines = "".join(f"b{part}-{i},{'NS'[i % 2]},{'bad' if i == 7 else i + 1}\n" for i in range(ROWS // 3))
        (directory / "data" / f"{part}.csv").write_text("ID,REGION,SEATS\n" + lines)


@pytest.mark.parametrize("failpoint", NAMES)
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_F1_kill_at_every_step_loses_and_doubles_nothing(tmp_path: Path, mode: str, failpoint: str) -> None:
    fill(tmp_path)
    for attempt, nth in enumerate((1, 2), start=1):
        done = child(tmp_path, mode, attempt, TEST_FAILPOINT=f"{failpoint}:kill@{nth}")
        assert done.returncode == -signal.SIGKILL, done.stderr
    done = child(tmp_path, mode, 3)
    assert done.stdout.strip() == "completed", done.stderr
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    stored = records_of(log, TOPIC)
    assert len(stored) == ROWS - 3
    bodies = Counter(value for _key, value in stored)
    assert max(bodies.values()) == 1
    log.close()
    assert len(Bench(tmp_path).open_entries()) == 3


@pytest.mark.parametrize("failpoint", ["begin", "appended", "committed"])
def test_F1_kill_at_the_end_of_a_snapshot_deletes_once(tmp_path: Path, failpoint: str) -> None:
    """Three batches and then the deletions: the fourth append."""
    fill(tmp_path)
    assert child(tmp_path, "snapshot", 1).stdout.strip() == "completed"
    path = tmp_path / "data/1.csv"
    gone = 30
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-gone]))
    done = child(tmp_path, "snapshot", 2, TEST_FAILPOINT=f"{failpoint}:kill@4")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert child(tmp_path, "snapshot", 3).stdout.strip() == "completed"
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    stored = records_of(log, TOPIC)
    log.close()
    deleted = Counter(key for key, value in stored if value is None)
    assert (len(deleted), max(deleted.values())) == (gone, 1)
    assert len([value for _key, value in stored if value is not None]) == ROWS - 3


def test_F15_a_full_log_writes_nothing_and_goes_on_after(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill_one(bench, 20_000)
    limit_pages(bench, 20)
    with pytest.raises(StorageFull):
        bench.run(make_plan("append"))
    assert records_of(bench.log, TOPIC) == []
    limit_pages(bench, 1_000_000)
    assert bench.run(make_plan("append")).totals == RunTotals(read=20_000, published=20_000)


def fill_one(bench: Bench, rows: int) -> None:
    lines = "".join(f"b{i}-{'x' * 40},{i},{i + 1}\n" for i in range(rows))
    bench.write("ID,REGION,SEATS\n" + lines)


def limit_pages(bench: Bench, pages: int) -> None:
    bench.log._writer.execute(f"PRAGMA max_page_count = {pages}")


def test_F15_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    fill(tmp_path)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "append", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit
    )
    assert done.returncode != 0
    assert "ulimit -f" in done.stderr
    assert child(tmp_path, "append", 2).stdout.strip() == "completed"
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    assert len(records_of(log, TOPIC)) == ROWS - 3
    log.close()


@pytest.mark.parametrize("nth", [1, 3, 6, 9, 12])
@pytest.mark.parametrize("action", ["error=EIO", "signal=KILL"])
def test_F16_a_failing_sync_never_counts_as_clean(tmp_path: Path, nth: int, action: str) -> None:
    require("strace")
    fill(tmp_path)
    trace = ("strace", "-f", "-q", "-o", os.devnull, "-e", "trace=fdatasync,fsync")
    done = child(tmp_path, "append", 1, prefix=(*trace, "-e", f"inject=fdatasync,fsync:{action}:when={nth}"))
    again = child(tmp_path, "append", 2)
    assert again.stdout.strip() == "completed", (done.stderr, again.stderr)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    bodies = Counter(value for _key, value in records_of(log, TOPIC))
    assert len(bodies) == ROWS - 3
    assert max(bodies.values()) == 1
    assert log.verify() == []
    log.close()


def test_F17_a_flipped_byte_is_refused_with_its_offset_and_neighbours_are_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill_one(bench, 3_000)
    plan = make_plan("append")
    from dataclasses import replace

    from hub.model import Topic

    bench.run(replace(plan, topic=Topic(name=TOPIC)))
    bench.log.close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        row = connection.execute(
            "SELECT id, data FROM block WHERE topic = ? AND base_offset = 1000", (TOPIC,)
        ).fetchone()
        damaged = bytearray(row[1])
        damaged[len(damaged) // 2] ^= 0x10
        connection.execute("UPDATE block SET data = ? WHERE id = ?", (bytes(damaged), row[0]))
    connection.close()
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    assert log.read(TOPIC, 0, 0, 10_000_000).next_offset == 1000
    with pytest.raises(CorruptBlock) as refused:
        log.read(TOPIC, 0, 1000, 1)
    assert refused.value.offset == 1000
    assert log.read(TOPIC, 0, 2000, 1).blocks[0].base_offset == 2000
    assert [c.offset for c in log.verify()] == [1000]
    log.close()


def test_R34_a_failpoint_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    fill(tmp_path)
    done = child(tmp_path, "append", 1, TEST_FAILPOINT="appended:raise@1")
    assert re.search("LogUnavailable", done.stderr)
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: 0)
    assert records_of(log, TOPIC) == []
    log.close()


def test_manifests_alone_rebuild_the_history(tmp_path: Path) -> None:
    from hub.pipeline.followers import RunHistory

    bench = Bench(tmp_path)
    bench.write("ID,REGION,SEATS\na,N,1\nb,N,x\n")
    result = bench.run()
    record = RunHistory(bench.log).get(result.run_id)
    assert record is not None
    assert (record.state, record.totals, dict(record.reasons)) == ("completed", result.totals, {"BAD_NUMBER": 1})
    assert json.loads(json.dumps(vars(record.totals)))["read"] == 2

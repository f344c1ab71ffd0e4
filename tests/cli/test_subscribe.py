"""`datong subscribe` at a terminal, into files, and when it is ended (S15, R24, R35)."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests.cli.test_cli import ROOT, datong
from tests.support.ports import free_port

TOPIC = "city-library.culture.branch.v1"
ODD = "\x1b[31MRED\u202eEVIL"  # as the mapping leaves it, in capitals
CSV = "Code,Name,District,Seats,Opened\nB-1,One,North,5,\n\x1b[31mred\u202eevil,Two,North,6,\n"


def started(*arguments: str, cwd: Path, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hub.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_TOKEN": ""}
    return subprocess.Popen(command, cwd=cwd, env=environment, **options)  # type: ignore[call-overload, no-any-return]


def until(there: Path) -> None:
    deadline = time.monotonic() + 120
    while not there.exists() or not there.stat().st_size:
        assert time.monotonic() < deadline, f"{there} did not appear"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A served hub with two records for the planners, and their token."""
    base = tmp_path_factory.mktemp("subscribe")
    assert datong("init", "p", cwd=base).returncode == 0
    made = base / "p"
    (made / "data/branches.csv").write_text(CSV, encoding="utf-8")
    (made / "datong.yaml").write_text(f"http: {{port: {free_port()}}}\n")
    assert datong("run", cwd=made).returncode == 0
    server = started("serve", cwd=made)
    until(made / "var/hub.json")
    (made / "planning.token").write_text(datong("token", "issue", "city-planning", cwd=made).stdout)
    yield made
    server.terminate()
    assert server.wait(120) == 0


def on_terminal(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit code, and all that a terminal was told."""
    ours, theirs = pty.openpty()
    process = started(*arguments, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        told += part
    os.close(ours)
    return process.wait(120), told.decode("utf-8", "replace")


@pytest.mark.parametrize("form", ["arrow", "avro", "framed"])
def test_R35_binary_forms_are_refused_on_a_terminal(form: str, tmp_path: Path) -> None:
    code, told = on_terminal("subscribe", TOPIC, "--format", form, cwd=tmp_path)
    assert code == 2
    assert "is not for a terminal" in told
    assert "--output" in told


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    kept = tmp_path / "day.csv"
    kept.write_text("yesterday")
    done = datong("subscribe", TOPIC, "--format", "csv", "--output", "day.csv", cwd=tmp_path)
    assert (done.returncode, "day.csv exists" in done.stderr) == (1, True)
    assert kept.read_text() == "yesterday"


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_S15_no_control_character_of_the_data_reaches_a_terminal(project: Path, form: str) -> None:
    options = ["--token-file", "planning.token", "--group", f"terminal-{form}"]
    code, told = on_terminal("subscribe", TOPIC, "--format", form, *options, cwd=project)
    assert code == 0
    assert "RED" in told
    assert "B-1" in told
    assert "\x1b[31M" not in told
    assert "\u202e" not in told


def test_a_pipe_gets_the_bytes_as_they_are(project: Path) -> None:
    options = ["--token-file", "planning.token", "--group", "pipe", "--limit", "2"]
    done = datong("subscribe", TOPIC, "--format", "csv", *options, cwd=project)
    assert ODD in done.stdout
    assert "2 records; 0 more offsets" in done.stderr
    assert datong("subscribe", TOPIC, *options, cwd=project).stdout == ""  # committed


def test_a_refused_subscriber_leaves_no_file(project: Path) -> None:
    (project / "wrong.token").write_text("dtg.0000.nope")
    done = datong(
        "subscribe", TOPIC, "--token-file", "wrong.token", "-o", "none.arrow", "--format", "arrow", cwd=project
    )
    assert done.returncode == 4
    assert not (project / "none.arrow").exists()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("form", "name"), [("json", "all.json"), ("arrow", "all.arrow")])
def test_R24_an_ended_follower_leaves_a_whole_file_and_its_commits(
    project: Path, sent: signal.Signals, form: str, name: str
) -> None:
    group = f"{form}-{sent.name}"
    file = f"{sent.name}-{name}"
    options = ["--token-file", "planning.token", "--group", group]
    process = started("subscribe", TOPIC, "--follow", "--format", form, "-o", file, *options, cwd=project)
    until(project / file)
    deadline = time.monotonic() + 120
    while committed(project, group) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sent)
    assert process.wait(120) == 130
    body = (project / file).read_bytes()
    rows = json.loads(body) if form == "json" else pa.ipc.open_stream(body).read_all().to_pylist()
    assert [row["branch_id"] for row in rows] == ["B-1", ODD]
    assert datong("subscribe", TOPIC, *options, cwd=project).stdout == ""  # at once: the lease was given back


def committed(project: Path, group: str) -> int:
    """Offsets that the group has committed, by the hub's own store."""
    import sqlite3

    with sqlite3.connect(f"file:{project / 'var/store.db'}?mode=ro", uri=True) as connection:
        query = "SELECT coalesce(sum(committed), 0) FROM group_offsets WHERE group_name = ?"
        found = int(connection.execute(query, (group,)).fetchone()[0])
    connection.close()
    return found

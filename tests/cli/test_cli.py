"""The command line as people and scripts meet it: exit codes, JSON, errors that say what to do (R35)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


def datong(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-m", "hub.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert datong("init", "p", cwd=tmp_path).returncode == 0
    return tmp_path / "p"


def test_every_command_has_help_with_an_example() -> None:
    import typer

    from hub.cli.main import build

    def walk(path: str, command: object) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            assert "Example: datong" in (getattr(command, "help", "") or ""), path
            return
        for name, child in inner.items():
            walk(f"{path} {name}", child)

    walk("datong", typer.main.get_command(build()))


def test_a_command_costs_the_same_however_many_were_run_in_this_process_before() -> None:
    import typer

    from hub.cli.main import build

    def registered(app: typer.Typer) -> int:
        inner = sum(registered(group.typer_instance) for group in app.registered_groups if group.typer_instance)
        return len(app.registered_commands) + inner

    assert registered(build()) == registered(build()) > 40


PG, KAFKA = {"DATONG_STORE__URL": "postgresql://u:canary@127.0.0.1:1/x"}, {"DATONG_LOG__URL": "kafka://127.0.0.1:1"}


@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize(("env", "where"), [({}, "store.url, log.url"), (PG, "log.url"), (KAFKA, "store.url")])
def test_R35_a_role_that_shares_needs_postgresql_and_kafka(
    project: Path, role: str, env: dict[str, str], where: str
) -> None:
    done = datong("serve", "--role", role, cwd=project, **env)
    assert done.returncode == 3
    told = " ".join(done.stderr.split())
    assert f"{where}: `--role {role}` shares its work" in told
    assert "needs PostgreSQL as its store and Kafka as its log" in told
    assert "canary" not in told
    assert not (project / "var").exists()


def test_G18_a_worker_waits_for_a_store_that_is_away_and_says_so(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **PG, **KAFKA}
    command = [sys.executable, "-m", "hub.cli.main", "serve", "--role", "worker"]
    with subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        told = waiting.stderr.readline()
        waiting.terminate()
    assert told.startswith("waiting: store.url: nothing listens at that address")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["nonsense"], 2),
        (["run", "--nonsense"], 2),
        (["run", "nope"], 1),
        (["connector", "spec", "nope"], 1),
        (["subscribe", "a.b.v1"], 4),
    ],
)
def test_exit_codes(project: Path, arguments: list[str], code: int) -> None:
    done = datong(*arguments, cwd=project, DATONG_TOKEN="")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_exit_code_3_with_a_suggestion(project: Path) -> None:
    done = datong("topics", cwd=project, DATONG_HTTP__PROT="1")
    assert (done.returncode, "did you mean `http.port`" in done.stderr) == (3, True)
    done = datong("topics", "--json", cwd=project, DATONG_HTTP__PROT="1")
    assert json.loads(done.stderr)["error"] == "ConfigurationInvalid"


def test_validate_names_every_mistake_and_a_broken_file_stops_nobody_else(project: Path) -> None:
    (project / "connectors.d/broken.yaml").write_text("connector: broken\nagency: nobody\nsorce: {}\n")
    done = datong("validate", cwd=project)
    assert done.returncode == 3
    assert "connectors.d/broken.yaml:3" in done.stdout
    assert "source" in done.stdout
    assert datong("run", "city-library-branches", cwd=project).returncode == 0


def test_an_unreachable_source_is_exit_code_5(project: Path) -> None:
    (project / "data/branches.csv").unlink()
    done = datong("run", "--json", cwd=project)
    assert done.returncode == 5
    assert "no file matches" in json.loads(done.stdout)["runs"][0]["error"]


def test_an_incompatible_schema_is_exit_code_3_and_says_why(project: Path) -> None:
    assert datong("run", cwd=project).returncode == 0
    schema = project / "schemas/culture/branch.avsc"
    schema.write_text(
        schema.read_text().replace('"name": "seats", "type": "int"', '"name": "seats", "type": "boolean"')
    )
    connector = project / "connectors.d/city-library-branches.yaml"
    text = connector.read_text().replace("to_int(Seats)", "Seats = '65'").replace("    some_seats: seats > 0\n", "")
    connector.write_text(text.replace("  checks:\n", ""))
    done = datong("run", "--json", cwd=project)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "SchemaIncompatible" in done.stdout


def test_a_paused_connector_says_how_to_go_on(project: Path) -> None:
    assert datong("connector", "pause", "city-library-branches", cwd=project).returncode == 0
    done = datong("run", cwd=project)
    assert done.returncode == 1
    assert "datong connector resume" in done.stdout
    assert datong("connector", "resume", "city-library-branches", cwd=project).returncode == 0
    assert datong("run", cwd=project).returncode == 0


def test_commands_use_the_running_hub_and_a_second_serve_refuses(project: Path) -> None:
    port = str(free_port())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATONG_HTTP__PORT": port}
    server = subprocess.Popen([sys.executable, "-m", "hub.cli.main", "serve"], cwd=project, env=environment)
    try:
        assert eventually((project / "var/hub.json").exists)
        second = datong("serve", cwd=project, DATONG_HTTP__PORT=str(free_port()))
        assert second.returncode == 1
        assert "in use by the hub at" in second.stderr
        assert "next:" in second.stderr
        assert datong("run", "--json", cwd=project, DATONG_HTTP__PORT=port).returncode in (0, 1)
        listed = json.loads(datong("connector", "list", "--json", cwd=project, DATONG_HTTP__PORT=port).stdout)
        assert listed["connectors"][0]["state"] == "RUNNING"
        assert datong("doctor", cwd=project, DATONG_HTTP__PORT=port).returncode == 0
        (project / "grants.d/more.yaml").write_text("grant: more\n")
        done = datong("reload", cwd=project, DATONG_HTTP__PORT=port)
        assert (done.returncode, "left out: grants.d/more.yaml:1" in done.stdout) == (3, True)
    finally:
        server.send_signal(signal.SIGTERM)
    assert server.wait(120) == 0
    assert not (project / "var/hub.json").exists()


def test_SIGTERM_ends_a_run_in_order_and_the_next_goes_on_at_once(project: Path) -> None:
    rows = [f"b-{i},{'x' * 60},North,{i + 1},1999-03-01\n" for i in range(120_000)]  # several batches
    (project / "data/branches.csv").write_text("Code,Name,District,Seats,Opened\n" + "".join(rows))
    stopped = datong("run", cwd=project, TEST_FAILPOINT="acknowledged:term@1")
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (130, False)
    assert "interrupted" in stopped.stderr
    runs = json.loads(datong("connector", "show", "city-library-branches", "--json", cwd=project).stdout)["runs"]
    assert [r["state"] for r in runs] == ["stopped"]
    assert 0 < runs[0]["totals"]["published"] < len(rows)
    done = datong("run", "--json", cwd=project)
    (run,) = json.loads(done.stdout)["runs"]
    assert (done.returncode, run["state"], run["totals"]["read"]) == (0, "completed", len(rows))
    assert run["totals"]["published"] + run["totals"]["unchanged"] == len(rows)


def test_quarantine_show_masks_and_replay_mends(project: Path) -> None:
    datong("run", cwd=project)
    (case,) = json.loads(datong("quarantine", "list", "--json", cwd=project).stdout)["cases"]
    shown = datong("quarantine", "show", case["case"], cwd=project).stdout
    assert "Station" not in shown
    assert "Xxxxxxx" in shown or "xxxxxxx" in shown
    connector = project / "connectors.d/city-library-branches.yaml"
    connector.write_text(connector.read_text().replace("to_int(Seats)", "coalesce(try(to_int(Seats)), 1)"))
    replayed = json.loads(datong("quarantine", "replay", case["case"], "--json", cwd=project).stdout)
    assert replayed["runs"][0]["totals"]["published"] == 1
    assert json.loads(datong("quarantine", "list", "--json", cwd=project).stdout)["cases"] == []


def test_S15_control_characters_of_data_do_not_reach_the_terminal(project: Path) -> None:
    (project / "data/branches.csv").write_text(
        "Code,Name,District,Seats,Opened\nb,\x1b[31mred\x1b[0m\u202eevil,North,5,\n"
    )
    out = datong("preview", "city-library-branches", cwd=project).stdout
    assert "\x1b[31m" not in out
    assert "\u202e" not in out


def test_F17_fsck_names_what_is_damaged(project: Path) -> None:
    import sqlite3

    datong("run", cwd=project)
    assert datong("fsck", cwd=project).returncode == 0
    with sqlite3.connect(project / "var/log.db") as connection:
        connection.execute("UPDATE block SET crc = crc + 1 WHERE topic LIKE 'city%'")
    connection.close()
    done = datong("fsck", "--json", cwd=project)
    assert done.returncode == 1
    assert json.loads(done.stdout)["corrupt"] == [
        {"topic": "city-library.culture.branch.v1", "partition": 0, "offset": 0}
    ]

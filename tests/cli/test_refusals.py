"""What a command says when it cannot do what was asked: what, where, why and what to do next (R35), never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.errors import NotFound
from tests.cli.conftest import Datong

CONNECTOR = "connectors.d/city-library-branches.yaml"


@pytest.mark.parametrize("arguments", [["run"], ["topics"], ["validate"], ["preview", "x"], ["config"], ["fsck"]])
def test_R35_no_project_is_said_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datong: Datong, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = datong(*arguments)
    assert (done.code, done.out) == (3, "")
    assert "there is no project here or above" in done.err
    assert "datong init" in done.err
    assert list(tmp_path.iterdir()) == []
    assert datong(*arguments, "--project", "nope").err.startswith("error: there is no project in nope")


def test_R35_doctor_names_what_is_wrong_with_sources_and_settings(here: Path, datong: Datong) -> None:
    done = datong("doctor")
    assert done.code == 0
    assert "ok    source of city-library-branches  data/branches.csv: 5 columns" in done.out
    (here / "data/branches.csv").unlink()
    done = datong("doctor", "--json")
    wrong = [f for f in json.loads(done.out)["findings"] if not f["ok"]]
    assert (done.code, [f["name"] for f in wrong]) == (1, ["source of city-library-branches"])
    (here / "datong.yaml").write_text("http: {prot: 1}\n")
    assert "`http.port`" in datong("doctor").out


@pytest.mark.parametrize("name", ["missing.token", "data"])
def test_R35_a_token_file_that_cannot_be_read_is_named(here: Path, datong: Datong, name: str) -> None:
    done = datong("subscribe", "a.b.c.v1", "--hub", "http://127.0.0.1:1", "--token-file", name)
    assert done.code == 1
    assert done.err.startswith(f"error: {name}: ")


@pytest.mark.parametrize("content", [b"two words", b"caf\xc3\xa9", b"\x00\xff", b"two\nlines"])
def test_R35_what_is_no_token_is_not_sent(here: Path, datong: Datong, content: bytes) -> None:
    (here / "x.token").write_bytes(content)
    done = datong("subscribe", "a.b.c.v1", "--hub", "http://127.0.0.1:1", "--token-file", "x.token")
    assert done.code == 4
    assert "no token" in done.err


@pytest.mark.parametrize("arguments", [["topics"], ["run"], ["init", "new/project"]])
def test_R35_a_place_where_nothing_can_be_written_is_named(here: Path, datong: Datong, arguments: list[str]) -> None:
    """Files stand where directories are wanted: root, who may write anywhere, cannot write there either."""
    (here / "var").write_text("")
    (here / "new").write_text("")
    done = datong(*arguments)
    assert done.code in (1, 3)
    assert str(here / "var" if arguments[0] != "init" else "new/project") in done.err
    assert "next: " in done.err


def test_errors_as_json_have_every_mistake(here: Path, datong: Datong) -> None:
    (here / "datong.yaml").write_text("http: {prot: 8081, port: many, host: ''}\nlog: {url: 'kafka:/x'}\n")
    found = json.loads(datong("topics", "--json").err)
    assert (found["error"], len(found["mistakes"])) == ("ConfigurationInvalid", 4)
    said = "\n".join(found["mistakes"])
    assert "datong.yaml:1: http.port: must be a whole number" in said
    assert "datong.yaml:2: log.url: is not spelled as it must be (Empty = `log.db` in the data directory" in said


def test_run_names_the_files_that_it_left_out_and_does_not_end_well(here: Path, datong: Datong) -> None:
    broken = here / "connectors.d/broken.yaml"
    broken.write_text("connector: broken\n")
    done = datong("run", "--json")
    assert (done.code, len(json.loads(done.out)["runs"])) == (3, 1)
    assert "left out: connectors.d/broken.yaml:1" in done.err
    assert datong("run", "city-library-branches").code == 0
    broken.rename(here / CONNECTOR)
    done = datong("run")
    assert done.code == 3
    assert "no connector of this project can be used" in done.err
    assert f"{CONNECTOR}:1" in done.err


def test_a_grant_with_a_mistake_fails_no_run(here: Path, datong: Datong) -> None:
    (here / "grants.d/x.yaml").write_text("grant: x\n")
    done = datong("run")
    assert done.code == 0
    assert "left out: grants.d/x.yaml" in done.err


def test_a_file_stands_for_the_connector_it_declares(here: Path, datong: Datong) -> None:
    (here / CONNECTOR).rename(here / "connectors.d/branches.yaml")
    assert datong("preview", "connectors.d/branches.yaml").code == 0
    done = datong("run", "connectors.d/branches.yaml", "--json")
    assert (done.code, json.loads(done.out)["runs"][0]["connector"]) == (0, "city-library-branches")
    assert "nope.yaml" in datong("run", "connectors.d/nope.yaml").err


def test_a_connector_that_is_nearly_there_is_suggested(here: Path, datong: Datong) -> None:
    done = datong("preview", "city-library-branch")
    assert (done.code, "did you mean `city-library-branches`?" in done.err) == (NotFound.exit_code, True)


def test_an_action_that_config_has_not_is_a_usage_error(here: Path, datong: Datong) -> None:
    assert datong("config", "frob").code == 2
    assert datong("config", "schema").code == 0


def test_a_mistake_stays_on_one_line_for_programs(here: Path, datong: Datong) -> None:
    path = here / CONNECTOR
    path.write_text(path.read_text().replace("to_int(Seats)", f"to_int({'Seats' * 40})"))
    lines = datong("validate").out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{CONNECTOR}:16: publish.fields.seats: ")


def test_validate_notes_a_source_that_cannot_be_read_now(here: Path, datong: Datong) -> None:
    (here / "data/branches.csv").rename(here / "data/brunches.csv")
    done = datong("validate")
    assert done.code == 0
    assert (
        "note: the source of city-library-branches cannot be read now: data/branches*.csv: no file matches" in done.out
    )
    assert len(json.loads(datong("validate", "--json").out)["notes"]) == 1

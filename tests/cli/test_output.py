"""What a person sees of a run: a table that fits, and the way of every row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hub.cli.output import counted
from tests.cli.conftest import Datong

CONNECTOR = "connectors.d/city-library-branches.yaml"


def test_totals_that_are_nothing_are_left_out_and_counts_never_fold(
    here: Path, datong: Datong, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datong("run").out.splitlines()
    assert first[0].split() == ["connector", "read", "published", "quarantined"]
    monkeypatch.setattr("hub.cli.output.WIDE", 60)
    second = datong("run").out.splitlines()
    assert second[0].split() == ["connector", "read", "published", "quarantined", "unchanged"]
    assert max(len(line) for line in second if "row" not in line) <= 60


def test_what_is_copied_is_never_folded(here: Path, datong: Datong, monkeypatch: pytest.MonkeyPatch) -> None:
    datong("run")
    (case,) = cases(datong)
    monkeypatch.setattr("hub.cli.output.WIDE", 70)
    assert f"{case['case']}  city-library-branches  " in datong("quarantine", "list").out


def test_preview_shows_the_rejected_alone_and_says_that_there_is_more(here: Path, datong: Datong) -> None:
    done = datong("preview", "city-library-branches", "--rejected")
    assert done.out.startswith("row 4  BAD_NUMBER in seats")
    assert done.out.endswith("4 rows: 3 would be published, 1 not\n")
    done = datong("preview", "city-library-branches", "--limit", "1", "--rejected")
    assert done.out == "1 row: 1 would be published, 0 not; --limit 1000 looks at more\n"


def test_a_connectors_runs_stand_with_their_time(here: Path, datong: Datong) -> None:
    datong("run")
    (here / "data/branches.csv").unlink()
    datong("connector", "run", "city-library-branches")
    shown = datong("connector", "show", "city-library-branches").out
    times = re.findall(r"(?m)^\d{4}-\d{2}-\d{2}T[0-9:]{8}\+00:00  .* (completed|failed) *$", shown)
    assert times == ["failed", "completed"]


def test_resuming_with_deletions_ends_as_its_run_ends(here: Path, datong: Datong) -> None:
    datong("run")
    datong("connector", "pause", "city-library-branches")
    (here / "data/branches.csv").unlink()
    assert datong("connector", "resume", "city-library-branches", "--accept-deletions").code == 5


@pytest.mark.parametrize("verb", ["pause", "stop", "resume"])
def test_steering_answers_in_json(here: Path, datong: Datong, verb: str) -> None:
    states = {"pause": "PAUSED", "stop": "STOPPED", "resume": "RUNNING"}
    assert json.loads(datong("connector", verb, "city-library-branches", "--json").out)["state"] == states[verb]


def test_tokens_and_projects_answer_in_json(here: Path, datong: Datong) -> None:
    made = json.loads(datong("token", "issue", "city-planning", "--json").out)
    assert json.loads(datong("token", "revoke", made["id"], "--json").out) == {"id": made["id"], "revoked": True}
    assert CONNECTOR in json.loads(datong("init", "other", "--json").out)["files"]
    assert json.loads(datong("connector", "spec", "files", "--json").out)["title"] == "FilesSpec"


def test_the_settings_of_a_kind_are_told_in_words(here: Path, datong: Datong) -> None:
    lines = {line.split()[0]: line for line in datong("connector", "spec", "rest").out.splitlines() if line.strip()}
    assert {"url", "items", "paging", "paging.by", "paging.at", "auth.secret"} <= set(lines)
    assert " required " in lines["url"]
    assert " page, offset, cursor, link, next_url " in lines["paging.by"].replace("`", "")


def test_reload_without_a_hub_says_that_there_is_none(here: Path, datong: Datong) -> None:
    done = datong("reload", "--json")
    assert (done.code, json.loads(done.out)) == (0, {"mistakes": [], "served": False})
    assert "no hub serves this project" in done.err


def test_version_and_its_exit_code(datong: Datong) -> None:
    from hub import __version__

    assert (datong("--version").out, datong("--version").code) == (f"datong {__version__}\n", 0)


def test_replay_takes_all_open_rows_and_says_what_it_cannot_map(here: Path, datong: Datong) -> None:
    assert "no row is quarantined" in datong("quarantine", "replay").err
    path = here / "data/branches.csv"
    path.write_text(path.read_text() + "too,short\n")
    datong("run")
    shown = [datong("quarantine", "show", c["case"]).out for c in cases(datong)]
    assert any("9 bytes" in s and "=" not in s.splitlines()[-1] for s in shown)
    connector = here / CONNECTOR
    connector.write_text(connector.read_text().replace("to_int(Seats)", "coalesce(try(to_int(Seats)), 1)"))
    done = datong("quarantine", "replay")
    assert done.code == 0
    assert "1 kept as bytes that were no row: mend them at the source" in done.out
    assert [c["reason"] for c in cases(datong)] == ["COLUMN_COUNT"]


def cases(datong: Datong) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(datong("quarantine", "list", "--json").out)["cases"]
    return found


def test_counted() -> None:
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]

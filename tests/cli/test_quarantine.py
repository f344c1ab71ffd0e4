"""`datong quarantine discard` and `find`: rows that nobody can mend (R22, R35)."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Datong
from tests.cli.test_output import cases


def test_R22_a_case_is_set_aside_with_a_reason_and_listed_with_it(here: Path, datong: Datong) -> None:
    datong("run")
    (case,) = cases(datong)
    assert datong("quarantine", "discard", case["case"]).code == 3
    assert datong("quarantine", "discard", "--reason", "why").code == 3
    done = datong("quarantine", "discard", case["case"], "--reason", "a test entry")
    assert (done.code, done.out) == (0, "city-library-branches: 1 row set aside\n")
    listed = datong("quarantine", "list").out
    assert "a test entry" in listed
    assert "datong quarantine replay" not in listed
    assert "a test entry" in datong("quarantine", "show", case["case"]).out
    assert "no open rows match" in datong("quarantine", "discard", case["case"], "--reason", "again").err
    again = datong("run").out.splitlines()
    assert again[0].split() == ["connector", "read", "published", "quarantined", "unchanged", "discarded"]
    assert again[1].split()[1:] == ["4", "0", "0", "3", "1"]
    history = datong("connector", "show", "city-library-branches").out
    assert "rows were set aside, nothing was read" in history


def test_a_row_is_set_aside_by_its_id(here: Path, datong: Datong) -> None:
    path = here / "data/branches.csv"
    path.write_text(path.read_text() + "b-009,Ninth,North,few,01/02/2003\n")
    datong("run")
    (case,) = cases(datong)
    first, second = json.loads(datong("quarantine", "show", case["case"], "--json").out)["rows"]
    done = datong("quarantine", "discard", "--row", str(second["id"]), "--reason", "closed", "--json")
    assert json.loads(done.out)["runs"][0]["totals"]["discarded"] == 1
    (left,) = json.loads(datong("quarantine", "show", case["case"], "--json").out)["rows"]
    assert left == first


def test_a_row_is_found_by_its_key_and_what_is_odd_in_it_is_said(
    here: Path, datong: Datong, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here / "data/branches.csv"
    path.write_text(path.read_text() + "b-009,Ninth,North,12\u00a0,01/02/2003\n")
    datong("run")
    (row,) = json.loads(datong("quarantine", "find", "city-library-branches", "b-009", "--json").out)["rows"]
    shown = datong("quarantine", "show", row["case"], "--row", str(row["id"]), "--limit", "1").out
    assert "row 5, Seats: character 3 is U+00A0 NO-BREAK SPACE" in shown
    monkeypatch.setattr("sys.stdin", io.StringIO("b-009\n"))
    asked = datong("quarantine", "find", "city-library-branches", "--column", "Code")
    assert (asked.code, asked.out.splitlines()[1].split()[:2]) == (0, [str(row["id"]), row["case"]])
    none = datong("quarantine", "find", "city-library-branches", "b-999")
    assert (none.code, none.out) == (1, "none of 2 open rows has this value\n")


def test_R20_R22_a_connector_that_is_gone_is_named_and_replaying_all_goes_on_with_the_others(
    here: Path, datong: Datong
) -> None:
    other = (here / "connectors.d/city-library-branches.yaml").read_text(encoding="utf-8")
    other = other.replace("connector: city-library-branches", "connector: other").replace("branches*.csv", "other.csv")
    (here / "connectors.d/other.yaml").write_text(other, encoding="utf-8")
    (here / "data/other.csv").write_text("Code,Name,District,Seats,Opened\nb-009,Ninth,North,few,\n", encoding="utf-8")
    datong("run")
    assert "(any more)" not in datong("quarantine", "list").out
    (here / "connectors.d/city-library-branches.yaml").unlink()
    told = "there is no connector city-library-branches (any more): its rows can be set aside"
    assert told in datong("quarantine", "list").out
    (gone,) = (case["case"] for case in cases(datong) if case["connector"] != "other")
    assert told in datong("quarantine", "show", gone).out
    one = datong("quarantine", "replay", gone)
    assert (one.code, "set aside with `datong quarantine discard`" in one.err) == (1, True)
    every = datong("quarantine", "replay", "--json")
    ended = {run["connector"]: run for run in json.loads(every.out)["runs"]}
    assert every.code == 1
    assert (ended["other"]["state"], ended["other"]["totals"]["read"]) == ("completed", 1)
    assert ended["city-library-branches"]["error"].startswith("NotFound: there is no connector")
    done = datong("quarantine", "discard", gone, "--reason", "closed")
    assert (done.code, done.out) == (0, "city-library-branches: 1 row set aside\n")
    assert told not in datong("quarantine", "list").out

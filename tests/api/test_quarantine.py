"""Quarantine over the API: set aside with a reason (R22), by an operator alone, once per key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import outcome
from tests.api.test_api import CANARY

NAME = "city-library-branches"
WHY = {"reason": "a test entry of the branch"}


def ran(api: httpx.Client) -> dict[str, Any]:
    run = api.post(f"connectors/{NAME}/runs", json={}).json()["run"]
    return outcome(api, run)


def spoiled(api: httpx.Client, place: Any, *lines: str) -> list[dict[str, Any]]:
    """The cases after a run over these rows besides."""
    with (place / "data/branches.csv").open("a", encoding="utf-8") as data:
        data.writelines(f"{line}\n" for line in lines)
    ran(api)
    found: list[dict[str, Any]] = api.get("quarantine").json()["cases"]
    return found


@pytest.fixture
def case(api: httpx.Client, place: Any) -> str:
    """Of three rows with a number that is none, the first of the file's own."""
    (found,) = spoiled(api, place, f"b-008,{CANARY},North,many,01/02/2003", "b-009,B,North,few,01/02/2003")
    assert found["count"] == 3
    return str(found["case"])


def ended(api: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    (started,) = answer.json()["runs"]
    found = outcome(api, started["run"])
    assert found["state"] == "completed"
    return found


def test_R22_rows_and_then_the_case_are_set_aside_and_the_next_run_leaves_them_so(api: httpx.Client, case: str) -> None:
    rows = api.get(f"quarantine/{case}").json()["rows"]
    some = {"rows": [rows[0]["id"], rows[2]["id"]], **WHY}
    assert ended(api, api.post("quarantine/discard", json=some))["totals"]["discarded"] == 2
    left = api.get(f"quarantine/{case}").json()
    assert [r["id"] for r in left["rows"]] == [rows[1]["id"]]
    assert [(a["by"], a["why"], a["count"]) for a in left["set_aside"]] == [("operator", WHY["reason"], 2)]
    ended(api, api.post("quarantine/discard", json={"case": case, "reason": "the office is closed"}))
    listed = api.get("quarantine").json()
    assert (listed["cases"], [a["count"] for a in listed["set_aside"]]) == ([], [1, 2])
    closed = api.get(f"quarantine/{case}").json()
    assert (closed["count"], closed["rows"], len(closed["set_aside"])) == (0, [], 2)
    again = ran(api)
    assert (again["totals"]["quarantined"], again["totals"]["discarded"], again["reasons"]) == (0, 3, {})
    runs = api.get(f"connectors/{NAME}/runs").json()["runs"]
    assert [(r["replay"], r["discard"]) for r in runs] == [(False, False), (True, True), (True, True), (False, False)]
    metrics = api.get("http://localhost/metrics").text
    assert f'datong_records_discarded_total{{connector="{NAME}",topic="city-library.culture.branch.v1"}} 3.0' in metrics


def test_an_idempotency_key_does_it_once_and_without_one_nothing_is_left_to_do(api: httpx.Client, case: str) -> None:
    asked, key = {"case": case, **WHY}, {"Idempotency-Key": "k1"}
    first, second = (api.post("quarantine/discard", json=asked, headers=key) for _ in range(2))
    ended(api, first)
    assert (second.status_code, second.json()) == (202, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert len(api.get("quarantine").json()["set_aside"]) == 1
    assert api.post("quarantine/discard", json=asked).status_code == 404


def test_S8_an_agency_sets_nothing_aside(api: httpx.Client, case: str) -> None:
    token = api.post("tokens", json={"agency": "city-planning"}).json()["token"]
    mine = {"Authorization": f"Bearer {token}"}
    assert api.post("quarantine/discard", json={"case": case, **WHY}, headers=mine).status_code == 403
    assert api.get(f"quarantine/{case}").json()["count"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"case": "CASE"},
        {"case": "CASE", "reason": ""},
        {"case": "CASE", "reason": "  "},
        {"case": "CASE", "reason": "x" * 501},
        {"case": "CASE", "reason": "a\u0007b"},
        {"case": "CASE", "reason": "r", "rows": [-1]},
        {"case": "CASE", "reason": "r", "rows": list(range(1_001))},
        {"case": "CASE", "reason": "r", "by": "somebody"},
    ],
)
def test_R35_what_is_no_reason_or_no_row_is_refused(api: httpx.Client, case: str, body: dict[str, Any]) -> None:
    refused = api.post("quarantine/discard", json={**body, "case": case})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert api.get(f"quarantine/{case}").json()["count"] == 3


def test_G13_what_is_set_aside_and_its_list_show_no_data(api: httpx.Client, case: str) -> None:
    ended(api, api.post("quarantine/discard", json={"case": case, **WHY}))
    for path in ("quarantine", f"quarantine/{case}", f"connectors/{NAME}/runs"):
        assert CANARY not in api.get(path).text


def test_a_row_is_found_by_its_key_and_nothing_of_it_is_shown(api: httpx.Client, case: str) -> None:
    found = api.post("quarantine/find", json={"connector": NAME, "value": " b-009 "}).json()
    (row,) = found.pop("rows")
    assert found == {"connector": NAME, "open": 3, "complete": True}
    assert (row["case"], row["row"], row["reason"], row["path"]) == (case, 6, "BAD_NUMBER", "seats")
    rows = api.get(f"quarantine/{case}").json()["rows"]
    assert row["id"] == rows[2]["id"]
    first = api.get(f"quarantine/{case}", params={"row": row["id"], "limit": 2}).json()["rows"]
    assert [r["id"] for r in first] == [rows[2]["id"], rows[0]["id"]]
    answer = api.post("quarantine/find", json={"connector": NAME, "value": CANARY})
    assert len(answer.json()["rows"]) == 1
    assert CANARY not in answer.text
    in_column = {"connector": NAME, "value": "North", "column": "District"}
    assert len(api.post("quarantine/find", json=in_column).json()["rows"]) >= 2
    assert api.post("quarantine/find", json={**in_column, "column": "Name"}).json()["rows"] == []
    assert api.post("quarantine/find", json={**in_column, "column": "Nothing"}).json()["rows"] == []
    assert api.post("quarantine/find", json={"connector": NAME, "value": "b-00"}).json()["rows"] == []


def test_S8_S16_a_search_is_an_operators_and_its_value_is_in_no_log(
    api: httpx.Client, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    token = api.post("tokens", json={"agency": "city-planning"}).json()["token"]
    asked = {"connector": NAME, "value": CANARY, "column": f"{CANARY}-column"}
    refused = api.post("quarantine/find", json=asked, headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403
    assert api.post("quarantine/find", json=asked).status_code == 200
    unknown = api.post("quarantine/find", json={**asked, "connector": "nothing"})
    assert (unknown.status_code, CANARY in unknown.text) == (404, False)
    for value in ("", "  ", CANARY * 200):
        refused = api.post("quarantine/find", json={**asked, "value": value})
        assert (refused.status_code, CANARY in refused.text) == (422, False)
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err
    assert "searched" in printed.err


def test_a_search_says_when_it_did_not_look_at_all(
    api: httpx.Client, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"connector": NAME, "value": "01/02/2003"}
    monkeypatch.setattr("hub.pipeline.cases.MOST_COMPARED", 2)
    found = api.post("quarantine/find", json=asked).json()
    assert (len(found["rows"]), found["open"], found["complete"]) == (2, 3, False), "the newest"
    monkeypatch.undo()
    monkeypatch.setattr("hub.pipeline.cases.MOST_FOUND", 1)
    found = api.post("quarantine/find", json=asked).json()
    assert (len(found["rows"]), found["complete"]) == (1, False)


def test_G13_a_case_says_what_one_cannot_see_in_the_cells_to_blame_alone(api: httpx.Client, place: Any) -> None:
    (case,) = spoiled(api, place, "b-008,A\u00a0B,North,12\u00a0,01/02/2003")
    rows = api.get(f"quarantine/{case['case']}").json()["rows"]
    note = {"kind": "character", "code": "U+00A0", "name": "NO-BREAK SPACE", "at": 3}
    assert [r["unusual"] for r in rows] == [{}, {"Seats": [note]}]


def test_R20_R22_rows_of_a_connector_that_is_gone_are_not_replayed_and_can_be_set_aside(
    api: httpx.Client, place: Any, case: str
) -> None:
    assert [c["orphaned"] for c in api.get("quarantine").json()["cases"]] == [False]
    (place / f"connectors.d/{NAME}.yaml").unlink()
    api.post("reload")
    (listed,) = api.get("quarantine").json()["cases"]
    assert (listed["case"], listed["orphaned"], list(listed)[-1]) == (case, True, "orphaned")
    assert len(api.get(f"quarantine/{case}").json()["rows"]) == 3
    for body in ({"case": case}, {"connector": NAME}):
        refused = api.post("quarantine/replay", json=body)
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
        assert "datong quarantine discard" in refused.text
    assert ended(api, api.post("quarantine/discard", json={"case": case, **WHY}))["totals"]["discarded"] == 3
    assert api.get("quarantine").json()["cases"] == []
    assert api.get(f"connectors/{NAME}").status_code == 404
    metrics = api.get("http://localhost/metrics").text
    assert f'datong_records_discarded_total{{connector="{NAME}",topic="city-library.culture.branch.v1"}} 3.0' in metrics
    assert "datong_quarantine_open_rows{" not in metrics, "of a connector that is not there nothing is left to tell"

"""Tokens of people: what is done by the API, Kafka Connect's and commands has the name of who did it (S7, S13, S27)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from hub.cli.session import PERSON_TOKEN
from tests.support.console import PASSWORD, Console, serving
from tests.support.projects import make_project

ROOT = Path(__file__).resolve().parents[2]
NAME = "city-library-branches"
PEOPLE = ("vera", "olaf", "anna")  # viewer, operator, administrator


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p")) as made:
        made.hub.announce(made.url)
        yield made


def issue(own: Console, name: str) -> dict[str, str]:
    """The header of a new token."""
    made = httpx.post(f"{own.url}/api/v1/people/{name}/tokens", json={"days": 1}, headers=own.key, timeout=60)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['token']}"}


def changed_by(own: Console) -> str:
    return next(s.changed_by for s in own.hub.store.states.all().values() if s.connector == NAME)


def test_what_a_person_does_is_recorded_under_their_name_through_every_door(own: Console) -> None:
    olaf = issue(own, "olaf")
    api = f"{own.url}/api/v1/connectors/{NAME}"
    assert httpx.put(f"{api}/pause", headers=own.key, timeout=60).status_code == 202
    assert changed_by(own) == "operator"
    assert httpx.put(f"{api}/resume", headers=olaf, timeout=60).status_code == 202
    assert changed_by(own) == "olaf"
    anna = {"auth": ("anybody", issue(own, "anna")["Authorization"].removeprefix("Bearer "))}
    assert httpx.put(f"{own.url}/connect/connectors/{NAME}/pause", **anna, timeout=60).status_code == 202
    assert changed_by(own) == "anna"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), PERSON_TOKEN: olaf["Authorization"].removeprefix("Bearer ")}
    command = [sys.executable, "-m", "hub.cli.main", "connector", "resume", NAME, "--project", str(own.project)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert changed_by(own) == "olaf"
    reset = {"reason": "from the start", "accept_duplicates": True}
    httpx.put(f"{api}/stop", headers=own.key, timeout=60)
    assert httpx.post(f"{api}/reset", json=reset, headers=olaf, timeout=60).status_code == 200
    assert changed_by(own) == "olaf"
    shown = httpx.get(f"{own.url}/console/health.json", headers=olaf, timeout=60)
    assert shown.status_code == 200


def test_who_writes_and_deletes_a_connectors_file_is_in_the_log(own: Console) -> None:
    olaf, api = issue(own, "olaf"), f"{own.url}/api/v1/connectors/{NAME}"
    connect = f"{own.url}/connect/connectors/{NAME}"
    config = {**httpx.get(f"{connect}/config", headers=olaf, timeout=60).json(), "schedule": "every 2h"}
    text = own.hub.editing.text(NAME).text + b"# again\n"
    with capture_logs() as told:
        assert (
            httpx.put(f"{api}/config", content=text, headers={**olaf, "If-Match": "*"}, timeout=60).status_code == 200
        )
        assert httpx.put(f"{connect}/config", json=config, headers=olaf, timeout=60).status_code == 200
        assert httpx.put(f"{api}/stop", headers=olaf, timeout=60).status_code == 202
        assert httpx.delete(f"{api}/config", headers=olaf, timeout=60).status_code == 204
    written, deleted = "connector_written", "connector_deleted"
    said = [(one["event"], one["by"]) for one in told if one["event"] in (written, deleted)]
    assert said == [(written, "olaf"), (written, "olaf"), (deleted, "olaf")]


def test_S16_who_changed_people_and_tokens_is_in_the_log_and_no_secret_is(own: Console) -> None:
    anna, people = issue(own, "anna"), f"{own.url}/api/v1/people"
    new = {"name": "wang.fang", "role": "viewer", "password": PASSWORD}
    with capture_logs() as told, httpx.Client(headers=anna, timeout=60, trust_env=False) as api:
        assert api.post(people, json=new).status_code == 201
        assert api.patch(f"{people}/wang.fang", json={"password": "another " + PASSWORD}).status_code == 200
        mine = api.post(f"{people}/wang.fang/tokens", json={}).json()
        agencys = api.post(f"{own.url}/api/v1/tokens", json={"agency": "city-planning"}).json()
        assert api.delete(f"{own.url}/api/v1/tokens/{agencys['id']}").status_code == 204
        assert api.delete(f"{people}/wang.fang").status_code == 204
    said = [one["event"] for one in told if one.get("by") == "anna"]
    assert said == ["person_added", "person_changed", "token_made", "token_made", "token_ended", "person_removed"]
    for secret in (PASSWORD, mine["token"], agencys["token"]):
        assert secret not in str(told)


def test_rows_set_aside_and_a_rewound_group_have_the_persons_name(own: Console) -> None:
    olaf = issue(own, "olaf")
    own.hub.supervisor.run_now(NAME)
    own.hub.supervisor.wait(NAME, 30)
    case = httpx.get(f"{own.url}/api/v1/quarantine", headers=olaf, timeout=60).json()["cases"][0]["case"]
    asked = {"case": case, "reason": "a test entry"}
    assert httpx.post(f"{own.url}/api/v1/quarantine/discard", json=asked, headers=olaf, timeout=60).status_code == 202
    own.hub.supervisor.wait(NAME, 30)
    aside = httpx.get(f"{own.url}/api/v1/quarantine/{case}", headers=own.key, timeout=60).json()["set_aside"]
    assert [one["by"] for one in aside] == ["olaf"]


def test_S7_a_token_may_what_its_person_may_at_that_moment(own: Console) -> None:
    tokens = {name: issue(own, name) for name in PEOPLE}

    def answers(method: str, path: str, **more: object) -> list[int]:
        return [
            httpx.request(method, f"{own.url}{path}", headers=tokens[name], **more, timeout=60).status_code  # type: ignore[arg-type]
            for name in PEOPLE
        ]

    assert answers("GET", "/api/v1/connectors") == [403, 200, 200]
    assert answers("GET", "/console/connectors.json") == [200, 200, 200]
    assert answers("GET", "/console/people.json") == [403, 403, 200]
    assert answers("GET", "/api/v1/people") == [403, 403, 200]
    assert answers("GET", "/api/v1/tokens") == [403, 403, 200], "who makes a token of an agency reads what it may"
    assert answers("POST", "/api/v1/tokens", json={"agency": "city-planning"}) == [403, 403, 201]
    escalation = {"role": "administrator"}
    assert answers("PATCH", "/api/v1/people/vera", json=escalation) == [403, 403, 200]
    own.hub.people.change("vera", role="viewer")
    assert answers("POST", "/api/v1/people/anna/tokens", json={})[:2] == [403, 403], "nor by another's token"
    assert (
        answers("POST", "/api/v1/people", json={"name": "x", "role": "administrator", "password": PASSWORD})[:2]
        == [403] * 2
    )
    assert answers("GET", "/api/v1/topics/city-library.culture.branch.v1/consumers/g/records") == [403, 403, 403]
    assert answers("GET", "/registry/subjects") == [403, 200, 200]
    own.hub.people.change("olaf", role="viewer")
    assert httpx.get(f"{own.url}/api/v1/connectors", headers=tokens["olaf"], timeout=60).status_code == 403
    own.hub.people.change("olaf", role="administrator")
    assert httpx.get(f"{own.url}/api/v1/people", headers=tokens["olaf"], timeout=60).status_code == 200


def test_S7_S27_a_token_ends_with_the_password_with_the_person_and_by_being_revoked(own: Console) -> None:
    first, second, third = (issue(own, name) for name in ("olaf", "anna", "vera"))
    people = f"{own.url}/api/v1/people"
    listed = httpx.get(f"{own.url}/api/v1/tokens", headers=own.key, timeout=60).json()["tokens"]
    assert [(t["agency"], t["person"]) for t in listed] == [("", "olaf"), ("", "anna"), ("", "vera")]
    httpx.patch(f"{people}/olaf", json={"password": "another " + PASSWORD}, headers=own.key, timeout=60)
    httpx.delete(f"{own.url}/api/v1/tokens/{listed[1]['id']}", headers=own.key, timeout=60)
    httpx.delete(f"{people}/vera", headers=own.key, timeout=60)
    for header in (first, second, third):
        assert httpx.get(f"{own.url}/api/v1/connectors", headers=header, timeout=60).status_code == 401
    httpx.post(people, json={"name": "vera", "role": "operator", "password": PASSWORD}, headers=own.key, timeout=60)
    assert httpx.get(f"{own.url}/api/v1/connectors", headers=third, timeout=60).status_code == 401, (
        "another of the same name"
    )


@pytest.mark.parametrize("name", ["operator", "supervisor"])
def test_nobody_is_called_as_the_hub_calls_itself(own: Console, name: str) -> None:
    made = httpx.post(
        f"{own.url}/api/v1/people", headers=own.key, timeout=60,
        json={"name": name, "role": "viewer", "password": PASSWORD},
    )  # fmt: skip
    assert (made.status_code, "in its records" in made.text) == (422, True)


@pytest.mark.parametrize("name", ["nobody", "city-library"])
def test_R35_nobody_gets_a_token_who_is_not_there(own: Console, name: str) -> None:
    made = httpx.post(f"{own.url}/api/v1/people/{name}/tokens", json={}, headers=own.key, timeout=60)
    assert (made.status_code, "datong people list" in made.text) == (404, True)

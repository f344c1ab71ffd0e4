"""A POST that is sent again under its key is done once, by whichever node it reaches (conventions: Idempotency-Key)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.api.idempotency import _digest
from hub.store import Store
from hub.store.answers import KEPT_MS, WORKING_MS, Answer
from tests.support.console import Console, serving
from tests.support.projects import make_project
from tests.support.waiting import eventually

RUN = "/api/v1/connectors/city-library-branches/runs"
PERSON = {"name": "li.na", "role": "viewer", "password": "a long enough one"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p")) as made:
        yield made


def post(served: Console, path: str, body: object, key: str, **headers: str) -> httpx.Response:
    sent = {**served.key, "Idempotency-Key": key, **headers}
    return httpx.post(f"{served.url}{path}", json=body, headers=sent, timeout=60, trust_env=False)


def people(served: Console) -> int:
    return len(served.api("/people").json()["people"])


def test_the_same_request_is_done_once_and_answered_twice(served: Console) -> None:
    before = people(served)
    first, second = (post(served, "/api/v1/people", PERSON, "k1") for _ in range(2))
    assert (first.status_code, first.headers.get("idempotent-replayed")) == (201, None)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (201, "true")
    assert second.json() == first.json()
    assert people(served) == before + 1
    runs = [post(served, RUN, {}, "k2") for _ in range(3)]
    assert len({answer.json()["run"] for answer in runs}) == 1
    assert len({answer.headers["location"] for answer in runs}) == 1
    path = RUN.removeprefix("/api/v1")
    one = f"{path}/{runs[0].json()['run']}"
    assert eventually(lambda: served.api(one).json()["state"] != "running")  # then it is listed
    assert len(served.api(path).json()["runs"]) == 1


def test_a_key_is_one_request_of_one_caller(served: Console) -> None:
    assert post(served, "/api/v1/people", PERSON, "k").status_code == 201
    other = post(served, "/api/v1/people", {**PERSON, "name": "wu.ming"}, "k")
    assert (other.status_code, other.json()["code"]) == (422, "IdempotencyKeyInUse")
    assert post(served, RUN, {}, "k").status_code == 422
    token = httpx.post(
        f"{served.url}/api/v1/tokens", json={"agency": "city-planning"}, headers=served.key, timeout=60
    ).json()
    agency = {"Authorization": f"Bearer {token['token']}"}
    assert post(served, RUN, {}, "k", **agency).status_code == 403, "what another caller was answered is not theirs"
    httpx.delete(f"{served.url}/api/v1/tokens/{token['id']}", headers=served.key, timeout=60)
    assert post(served, RUN, {}, "k", **agency).status_code == 401


def test_a_refusal_may_be_tried_again(served: Console) -> None:
    wrong = post(served, "/api/v1/people", {**PERSON, "password": "short"}, "k")
    assert wrong.status_code == 422
    assert post(served, "/api/v1/people", PERSON, "k").status_code == 201


def test_many_at_the_same_time_are_one(served: Console) -> None:
    before, answers = people(served), []

    def ask() -> None:
        answers.append(post(served, "/api/v1/people", PERSON, "k").status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert people(served) == before + 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(served: Console, key: str) -> None:
    assert post(served, RUN, {}, key).status_code == 400


def test_S13_a_token_is_never_kept_to_be_answered_again(served: Console) -> None:
    for path, body in (("tokens", {"agency": "city-planning"}), ("people/anna/tokens", {})):
        refused = post(served, f"/api/v1/{path}", body, "k")
        assert (refused.status_code, "secret" in refused.json()["detail"]) == (422, True)
    assert served.api("/tokens").json()["tokens"] == []
    without = httpx.post(f"{served.url}/api/v1/people", json=PERSON, headers={"Idempotency-Key": "k"}, timeout=60)
    assert without.status_code == 401


def test_answers_are_kept_for_a_day_and_work_that_died_is_taken_up(store: Store, now: list[int]) -> None:
    answers, key, asked = store.answers, _digest("me", "k"), _digest("POST")
    assert answers.begin(key, asked) == "new"
    assert answers.begin(key, asked) == "working"
    now[0] += WORKING_MS + 1
    assert answers.begin(key, asked) == "new"
    made = Answer(status=201, headers={"location": "/x"}, body=b"{}")
    answers.keep(key, made)
    now[0] += KEPT_MS - 1
    assert answers.begin(key, asked) == made
    assert answers.begin(key, _digest("PUT")) == "other"
    now[0] += 2
    assert answers.begin(key, asked) == "new"
    answers.forget(key)
    assert answers.begin(key, asked) == "new"

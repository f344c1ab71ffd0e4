"""Subscriptions that are pushed to a web address, on a real hub and real servers: tries, dead letters, stops (F13, G17)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hub.pipeline.jobs import task_of
from hub.subscribers import Rewind
from tests.push.conftest import Open, Project, publish, push, until
from tests.support.fault_server import FaultServer, Request, answer

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


class Receiver:
    """Takes what its `refuses` lets through, and remembers it."""

    def __init__(self) -> None:
        self.refuses: Callable[[dict[str, Any], Request], bytes | None] = lambda _data, _request: None
        self.taken: list[dict[str, Any]] = []
        self.server = FaultServer(self._answer)

    def _answer(self, request: Request) -> bytes:
        data = json.loads(request.body)["data"]
        refusal = self.refuses(data, request)
        if refusal is None:
            self.taken.append(data)
        return refusal or answer({})

    @property
    def codes(self) -> list[str]:
        """Of all records, as they came."""
        return [record["branch_id"] for data in self.taken for record in data["records"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.close()


@pytest.fixture
def hooked(project: Project, receiver: Receiver) -> Callable[..., None]:
    """Declares the subscription `s`."""

    def declare(**more: Any) -> None:
        project.settings(outbound={"allow": [receiver.server.address]})
        project.write("secrets.d/HOOK", SECRET)
        (project.root / "secrets.d/HOOK").chmod(0o600)
        sink = {"kind": "webhook", "url": f"{receiver.server.url}/in", "secret": "${secret:HOOK}", "wait_most_s": 0.1}
        project.subscribe("s", {**sink, **more})

    return declare


ALL = [f"B-{n}" for n in range(1, 8)]


def has(data: dict[str, Any], code: str) -> bool:
    return any(record["branch_id"] == code for record in data["records"])


def test_R27_batches_arrive_in_order_with_where_they_stand(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    hooked()
    made = hub()
    publish(made)
    assert push(made).totals.published == 7
    assert receiver.codes == ALL
    assert [data["positions"]["0"] for data in receiver.taken] == [2, 4, 6, 7]
    assert {(data["grant"], data["topic"], data["reset"]) for data in receiver.taken} == {
        ("planning-branches", "city-library.culture.branch.v1", False)
    }
    assert receiver.taken[0]["records"][0] == {
        "_offset": 0, "_partition": 0, "_op": "upsert", "branch_id": "B-1", "district": "North", "seats": 1,
    }  # fmt: skip
    project.branches({"B-1": 1})
    publish(made)
    assert push(made).totals.deleted == 6
    assert [record["_op"] for data in receiver.taken[4:] for record in data["records"]] == ["delete"] * 6


def test_R24_a_paused_push_goes_on_where_it_was_rewound_to(
    hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    hooked()
    made = hub()
    publish(made)
    assert push(made).totals.published == 7
    made.subscriptions.steer("s", "pause")
    topic = "city-library.culture.branch.v1"
    done = made.subscribers.rewind("s", topic, Rewind(to={0: 4}, reason="a batch was lost", by="test"))
    assert (done["before"], done["after"], done["again"]) == ({"0": 7}, {"0": 4}, 3)
    made.subscriptions.steer("s", "resume")
    push(made)
    assert receiver.codes == [*ALL, "B-5", "B-6", "B-7"]


@pytest.mark.parametrize("status", [500, 429])
def test_F13_a_receiver_that_fails_for_a_while_gets_every_batch_once(
    hub: Open, hooked: Callable[..., None], receiver: Receiver, status: int
) -> None:
    receiver.refuses = lambda _data, request: answer({}, status, Retry_After="3600") if request.number % 3 else None
    hooked()
    made = hub()
    publish(made)
    assert push(made).error is None
    assert receiver.codes == ALL
    assert made.subscriptions.letters("s") == []
    ids = [request.headers["webhook-id"] for request in receiver.server.requests]
    assert len(set(ids)) == 4
    assert len(ids) == 12


@pytest.mark.parametrize(("status", "tries"), [(422, 1), (500, 2)])
def test_F13_a_batch_that_is_refused_is_set_aside_and_the_next_ones_go_on(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver, status: int, tries: int
) -> None:
    receiver.refuses = lambda data, _request: answer({}, status) if has(data, "B-3") else None
    hooked(tries=2)
    made = hub()
    publish(made)
    result = push(made)
    assert (result.state, result.totals.published) == ("completed", 5)
    assert receiver.codes == ["B-1", "B-2", "B-5", "B-6", "B-7"]
    assert len(receiver.server.requests) == 3 + tries
    (letter,) = made.subscriptions.letters("s")
    assert (letter["partition"], letter["from"], letter["to"], letter["status"]) == (0, 2, 3, "open")
    assert str(status) in letter["reason"]
    assert (made.subscriptions.one("s")["dead_letters"], made.subscriptions.one("s")["lag"]) == (1, 0)
    assert b"B-3" not in (project.root / "var/store.db").read_bytes()  # where it stands, never what it holds

    assert made.subscriptions.retry("s", letter["id"]) == 1
    push(made)  # refused once more
    assert made.subscriptions.letters("s")[0]["status"] == "open"
    receiver.refuses = lambda _data, _request: None
    assert made.subscriptions.retry("s", None) == 1
    push(made)
    assert receiver.codes[5:] == ["B-3", "B-4"]
    assert made.subscriptions.letters("s")[0]["status"] == "delivered"
    assert made.subscriptions.one("s")["dead_letters"] == 0


def test_a_dead_letter_is_sent_again_by_the_run_that_is_under_way(
    hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    receiver.refuses = lambda data, _request: answer({}, 400) if has(data, "B-7") else None
    hooked()
    made = hub()
    publish(made)
    made.supervisor.start()
    until(lambda: made.subscriptions.one("s")["dead_letters"] == 1)
    receiver.refuses = lambda _data, _request: None
    made.subscriptions.retry("s", None)
    until(lambda: "B-7" in receiver.codes)
    until(lambda: made.subscriptions.one("s")["dead_letters"] == 0)


def test_G11_a_dead_letter_is_read_again_under_the_grant_as_it_is_then(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    receiver.refuses = lambda data, _request: answer({}, 400) if has(data, "B-3") else None
    hooked()
    made = hub()
    publish(made)
    push(made)
    made.subscriptions.retry("s", None)
    (project.root / "grants.d/planning.yaml").unlink()
    made.reload()
    receiver.refuses = lambda _data, _request: None
    result = push(made)
    assert result.error is not None
    assert result.error.code == "NotGranted"
    assert "B-3" not in receiver.codes
    assert made.subscriptions.letters("s")[0]["status"] == "waiting"


@pytest.mark.parametrize(("status", "more", "state"), [(422, {"on_failure": "stop"}, "PAUSED"), (410, {}, "PAUSED")])
def test_a_stop_leaves_nothing_out(
    hub: Open, hooked: Callable[..., None], receiver: Receiver, status: int, more: dict[str, str], state: str
) -> None:
    receiver.refuses = lambda data, _request: answer({}, status) if has(data, "B-3") else None
    hooked(**more)
    made = hub()
    publish(made)
    result = push(made)
    assert result.error is not None
    until(lambda: not made.subscriptions.one("s")["running"])
    assert (made.subscriptions.one("s")["state"], made.subscriptions.letters("s")) == (state, [])
    receiver.refuses = lambda _data, _request: None
    made.subscriptions.steer("s", "resume")
    push(made)
    assert receiver.codes == ALL


def test_G18_with_stop_a_receiver_that_is_away_is_tried_again_by_later_runs(
    hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    hooked(on_failure="stop", tries=2)
    receiver.refuses = lambda _data, _request: answer({}, 503)
    made = hub()
    publish(made)
    result = push(made)
    assert result.error is not None
    assert result.error.code == "SinkUnavailable"
    until(lambda: made.store.leases.get(task_of("s")).failures == 1)
    assert made.subscriptions.one("s")["state"] == "RUNNING"


def test_R24_other_fields_are_told_to_the_receiver_and_void_old_letters(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    receiver.refuses = lambda data, _request: answer({}, 400) if has(data, "B-3") else None
    hooked()
    made = hub()
    publish(made)
    push(made)
    receiver.refuses, receiver.taken = (lambda _data, _request: None), []
    project.grant(fields=["branch_id"])
    made.reload()
    push(made)
    assert receiver.codes == ALL
    assert [data["reset"] for data in receiver.taken] == [True, False, False, False]
    assert made.subscriptions.letters("s")[0]["status"] == "void"


def test_a_stop_while_a_batch_is_tried_again_takes_no_longer_than_the_answer(
    hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    hooked(wait_most_s=3600, tries=100)
    receiver.refuses = lambda _data, _request: answer({}, 429, Retry_After="3600")
    made = hub()
    publish(made)
    made.subscriptions.run("s", once=False)
    until(lambda: len(receiver.server.requests) == 1)
    made.subscriptions.steer("s", "pause")
    result = made.supervisor.wait(task_of("s"), 60)
    assert result is not None
    assert (result.state, made.subscriptions.letters("s")) == ("stopped", [])
    receiver.refuses = lambda _data, _request: None
    made.subscriptions.steer("s", "resume")
    push(made)
    assert receiver.codes == ALL


@pytest.mark.parametrize("change", ["withdrawn", "narrowed"])
def test_G12_a_batch_that_waits_to_be_sent_again_leaves_only_as_the_grant_is_then(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver, change: str
) -> None:
    hooked(wait_most_s=3600, tries=100)
    receiver.refuses = lambda _data, _request: answer({}, 429, Retry_After="3600")
    made = hub()
    publish(made)
    made.subscriptions.run("s", once=False)
    until(lambda: len(receiver.server.requests) == 1)
    if change == "withdrawn":
        (project.root / "grants.d/planning.yaml").unlink()
    else:
        project.grant(fields=["branch_id"])
    receiver.refuses = lambda _data, _request: None
    made.reload()
    result = made.supervisor.wait(task_of("s"), 60)
    assert result is not None
    assert receiver.taken == []
    if change == "withdrawn":
        assert (made.subscriptions.one("s")["state"], result.state) == ("PAUSED", "paused")
    else:
        push(made)
        assert receiver.codes == ALL
        assert not any("seats" in record for data in receiver.taken for record in data["records"])


def test_R24_a_reset_that_is_refused_is_told_with_the_next_batch_and_its_records_stay_asked_for(
    project: Project, hub: Open, hooked: Callable[..., None], receiver: Receiver
) -> None:
    hooked()
    made = hub()
    publish(made)
    push(made)
    receiver.taken = []
    receiver.refuses = lambda data, _request: answer({}, 400) if has(data, "B-1") else None
    project.grant(fields=["branch_id"])
    made.reload()
    push(made)
    assert [data["reset"] for data in receiver.taken] == [True, False, False]
    assert [(letter["from"], letter["status"]) for letter in made.subscriptions.letters("s")] == [(0, "open")]
    receiver.refuses = lambda _data, _request: None
    made.subscriptions.retry("s", None)
    push(made)
    assert sorted(receiver.codes) == ALL
    assert not receiver.taken[-1]["reset"]

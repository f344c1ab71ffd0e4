"""Samples of a real hub: what they count, what they share, and who is woken by them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hub.access.decide import Request
from hub.app import Hub, now_ms
from hub.catalogue.load import Catalogue
from hub.delivery.groups import Member
from hub.errors import LogUnavailable
from hub.settings import load_settings
from hub.watch import Sampler, Watch
from hub.watch import watch as watching
from tests.support.waiting import eventually

NAME, TOPIC, AGENCY, GRANT = (
    "city-library-branches",
    "city-library.culture.branch.v1",
    "city-planning",
    "planning-branches",
)
SUBSCRIPTION = """\
subscription: nightly
grant: planning-branches
sink: {kind: file, directory: out, format: ndjson}
"""


def sampler(hub: Hub, **changes: Any) -> Sampler:
    parts: dict[str, Any] = {
        "history": hub.history,
        "supervisor": hub.supervisor,
        "deliveries": hub.deliveries,
        "letters": hub.store.letters,
        "catalogue": lambda: hub.catalogue,
    }
    return Sampler(**{**parts, **changes})


def run(hub: Hub) -> None:
    hub.supervisor.run_now(NAME)
    assert eventually(lambda: not hub.supervisor.status(NAME).unfinished)


class Seconds:
    """A clock that moves when told."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_sample_counts_what_was_published(hub: Hub) -> None:
    clock = Seconds()
    looking = sampler(hub, clock_s=clock)
    empty = looking.look(1, now_ms())
    assert list(empty.topics) == [TOPIC]
    first = empty.topics[TOPIC]
    assert (first.records, first.newest_ms, first.lag, first.rate, empty.rate) == (0, None, None, 0.0, 0.0)
    assert (first.fresh.since_ms, first.fresh.target_s) == (None, 26 * 3600)
    run(hub)
    clock.at += 2
    sample = looking.look(2, now_ms())
    topic, connector = sample.topics[TOPIC], sample.connectors[NAME]
    assert (topic.records, topic.rate, sample.rate, sample.records_today) == (3, 1.5, 1.5, 3)
    assert (connector.state, connector.running, connector.rows, connector.error) == ("RUNNING", False, 4, "")
    assert topic.fresh.by == "pass"
    assert not topic.fresh.late(sample.at_ms)
    assert topic.fresh.late(sample.at_ms + 27 * 3_600_000)
    json = sample.to_json()
    assert json["topics"][TOPIC] | {"freshness_s": 0, "newest_ms": 0} == {
        "rate": 1.5,
        "records": 3,
        "newest_ms": 0,
        "freshness_s": 0,
        "by": "pass",
        "target_s": 26 * 3600,
        "late": False,
        "lag": None,
    }
    assert json["connectors"][NAME]["rows"] == 4


def test_a_rate_is_of_the_last_seconds_and_ends(hub: Hub) -> None:
    clock = Seconds()
    looking = sampler(hub, clock_s=clock)
    looking.look(1, now_ms())
    run(hub)
    rates = []
    for number in range(8):
        clock.at += 1
        rates.append(looking.look(number, now_ms()).rate)
    assert rates == [3.0, 1.5, 1.0, 0.8, 0.6, 0.0, 0.0, 0.0]


def test_topics_that_stay_the_same_are_one_object(hub: Hub) -> None:
    looking = sampler(hub)
    before = looking.look(1, now_ms())
    after = looking.look(2, now_ms())
    assert after.topics[TOPIC] is before.topics[TOPIC]


def test_lags_of_groups_and_of_what_is_pushed(project: Path) -> None:
    (project / "subscriptions.d").mkdir()
    (project / "subscriptions.d/nightly.yaml").write_text(SUBSCRIPTION)
    with Hub.open(load_settings(project, env={})) as hub:
        assert not hub.catalogue.mistakes
        run(hub)
        looking = sampler(hub)
        assert looking.look(1, now_ms()).subscriptions["nightly"].lag is None
        request = Request(agency=AGENCY, topic=TOPIC, grant=GRANT)
        for group, commits in (("nightly", True), ("slow", False)):
            member = Member(group=group, reader="r")
            pulled = hub.deliveries.pull(request, member)
            if commits:
                hub.deliveries.commit(request, member, pulled.delivery.positions)
        sample = looking.look(2, now_ms())
        name = f"{AGENCY}.{GRANT}"
        assert sample.groups == {(f"{name}.nightly", TOPIC): 0, (f"{name}.slow", TOPIC): 3}
        assert sample.topics[TOPIC].lag == 3
        one = sample.subscriptions["nightly"]
        assert (one.topic, one.state, one.lag, one.dead_letters) == (TOPIC, "RUNNING", 0, 0)
        hub.store.letters.of("nightly").put(TOPIC, [(0, 0, 2)], "refused")
        hub.subscriptions.steer("nightly", "pause")
        one = looking.look(3, now_ms()).subscriptions["nightly"]
        assert (one.state, one.reason, one.dead_letters) == ("PAUSED", "pause by an operator", 1)
        assert looking.look(4, now_ms()).to_json()["subscriptions"]["nightly"]["dead_letters"] == 1


def test_a_connector_that_is_paused_or_unreachable_says_why(hub: Hub) -> None:
    hub.steer(NAME, "pause")
    one = hub.watch.look().connectors[NAME]
    assert (one.state, one.reason) == ("PAUSED", "pause by an operator")


def test_without_its_thread_each_question_is_a_look(hub: Hub) -> None:
    first, second = hub.watch.latest(), hub.watch.latest()
    assert second.number == first.number + 1
    assert [s.number for s in hub.watch.after(first.number)] == [second.number]
    assert hub.watch.after(second.number) == []


def test_the_thread_samples_wakes_and_ends(hub: Hub) -> None:
    watch = Watch(sampler(hub), now_ms, every_s=0.01)
    woken = threading.Semaphore(0)
    end = watch.listen(woken.release)
    watch.start()
    watch.start()
    assert all(woken.acquire(timeout=30) for _ in range(3))
    end()
    end()
    taken = watch.after(0)
    assert [s.number for s in taken] == list(range(taken[0].number, taken[0].number + len(taken)))
    assert watch.latest().number >= taken[-1].number
    watch.stop()
    watch.stop()
    last = watch.after(0)[-1].number
    assert not [t for t in threading.enumerate() if t.name == "sampler"]
    assert watch.latest().number == last + 1


def test_numbers_go_on_growing_over_restarts(hub: Hub) -> None:
    times = iter([5_000, 5_000, 8_000, 8_000])
    before = Watch(sampler(hub), lambda: next(times)).look()
    after = Watch(sampler(hub), lambda: next(times)).look()
    assert before.number < after.number


def test_only_the_last_minutes_are_kept(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KEPT", 3)
    watch = Watch(sampler(hub), now_ms)
    numbers = [watch.look().number for _ in range(5)]
    assert [s.number for s in watch.after(0)] == numbers[2:]


def test_trouble_is_told_once_and_looking_goes_on(hub: Hub) -> None:
    away = threading.Event()

    def catalogue() -> Catalogue:
        if away.is_set():
            raise LogUnavailable("the broker is away")
        return hub.catalogue

    watch = Watch(sampler(hub, catalogue=catalogue), now_ms, every_s=0.005)
    number: Callable[[], int] = lambda: watch.after(0)[-1].number if watch.after(0) else 0  # noqa: E731
    with capture_logs() as told:
        watch.start()
        assert eventually(lambda: number() > 0)
        away.set()
        assert eventually(lambda: bool(told))
        stopped_at = number()
        away.clear()
        assert eventually(lambda: number() > stopped_at)
        watch.stop()
    assert [line["event"] for line in told] == ["no samples for now"]


def test_a_hub_that_serves_watches_and_a_command_does_not(project: Path) -> None:
    def watches() -> bool:
        return any(thread.name == "sampler" for thread in threading.enumerate())

    with Hub.open(load_settings(project, env={})):
        assert not watches()
    with Hub.open(load_settings(project, env={}), scheduled=True) as hub:
        assert watches()
        assert eventually(lambda: bool(hub.watch.after(0)))
    assert not watches()

"""People and sessions on both databases: how long they last, and how long a guesser waits (S27)."""

from __future__ import annotations

import pytest

from hub.errors import Conflict, NotFound
from hub.store import Store
from hub.store.people import Account

LOCK = {"lock_after": 3, "first_lock_ms": 1_000, "longest_lock_ms": 3_000}
LASTS: dict[str, int | None] = {"idle_ms": 1_000, "longest_ms": 5_000, "fresh_ms": 100}


def begin(store: Store, session: str) -> None:
    assert store.people.begin("olaf", session, password=olaf(store).password, ended_before_ms=5_000)


def whose(store: Store, session: str) -> Account | None:
    return store.people.whose(session, **LASTS)


def olaf(store: Store) -> Account:
    found = store.people.get("olaf")
    assert found is not None
    return found


@pytest.fixture
def peopled(store: Store) -> Store:
    store.people.add("olaf", "operator", "hash")
    return store


def test_S27_a_session_ends_when_it_was_idle_or_is_old(peopled: Store, now: list[int]) -> None:
    begin(peopled, "s")
    for moment in (900, 1_800, 2_700, 3_600, 4_500):
        now[0] = moment
        assert whose(peopled, "s") == olaf(peopled)
    now[0] = 5_001
    assert whose(peopled, "s") is None, "used all the time, and old"
    begin(peopled, "t")
    now[0] += 600
    assert peopled.people.whose("t", **{**LASTS, "fresh_ms": None}) is not None, "somebody looks on"
    now[0] += 401
    assert whose(peopled, "t") is None, "idle, and looking on did not help"
    assert whose(peopled, "unknown") is None


def test_S27_each_wrong_password_after_the_third_locks_for_twice_as_long(peopled: Store, now: list[int]) -> None:
    waits = []
    for _ in range(6):
        peopled.people.failed("olaf", **LOCK)
        waits.append(olaf(peopled).locked_ms)
        now[0] += waits[-1]
    assert waits == [0, 0, 1_000, 2_000, 3_000, 3_000]
    assert (olaf(peopled).locked_ms, olaf(peopled).failures) == (0, 6)
    begin(peopled, "s")
    assert olaf(peopled).failures == 0
    peopled.people.failed("nobody", **LOCK)


def test_S27_a_burst_of_guesses_is_no_more_than_its_first_ones(peopled: Store, now: list[int]) -> None:
    for _ in range(10):
        peopled.people.failed("olaf", **LOCK)
    assert (olaf(peopled).failures, olaf(peopled).locked_ms) == (3, 1_000)
    assert not peopled.people.begin("olaf", "s", password="hash", ended_before_ms=5_000), "right, and too late"
    now[0] += 1_000
    begin(peopled, "s")


def test_S27_a_new_role_or_password_ends_all_sessions(peopled: Store) -> None:
    for change in ({"role": "viewer"}, {"password": "other"}, {}):
        begin(peopled, "s")
        peopled.people.change("olaf", **change)  # type: ignore[arg-type]
        assert whose(peopled, "s") is None
    begin(peopled, "s")
    begin(peopled, "t")
    peopled.people.end("s")
    assert (whose(peopled, "s"), whose(peopled, "t") is None) == (None, False)
    peopled.people.remove("olaf")
    assert whose(peopled, "t") is None


def test_S27_a_password_that_is_changed_while_it_is_checked_lets_nobody_in(peopled: Store) -> None:
    peopled.people.change("olaf", password="other")
    assert not peopled.people.begin("olaf", "s", password="hash", ended_before_ms=5_000)
    assert whose(peopled, "s") is None
    peopled.people.remove("olaf")
    assert not peopled.people.begin("olaf", "s", password="other", ended_before_ms=5_000)


def test_a_name_is_one_person(peopled: Store) -> None:
    with pytest.raises(Conflict):
        peopled.people.add("olaf", "viewer", "x")
    peopled.people.add("demo", "operator", "x", demo=True)
    assert [(p.name, p.role, p.demo) for p in peopled.people.listed()] == [
        ("demo", "operator", True), ("olaf", "operator", False)
    ]  # fmt: skip
    peopled.people.change("demo", password="other")
    assert not any(person.demo for person in peopled.people.listed())
    for act in (peopled.people.remove, peopled.people.change):
        with pytest.raises(NotFound):
            act("nobody")

"""People and sessions on both databases: how long they last, and how long a guesser waits (S27)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.errors import Conflict, NotFound
from hub.people import ANYWHERE
from hub.store import Store
from hub.store import guesses as kept
from hub.store.engine import writing
from hub.store.guesses import FORGOTTEN_MS, Lock
from hub.store.people import Account, Waits
from hub.store.tables import guesses, people

HOME = "10.1.2.0/24"
NOBODY = Waits(networks=0, networks_ms=0, elsewhere_ms=0)
LASTS: dict[str, int | None] = {"idle_ms": 1_000, "longest_ms": 5_000, "fresh_ms": 100}


def begin(store: Store, session: str) -> None:
    assert store.people.begin("olaf", session, HOME, password=olaf(store).password, ended_before_ms=5_000)


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


def failed(store: Store, network: str = HOME, name: str = "olaf") -> int:
    """One more wrong password, and how long one waits there then."""
    store.people.failed(name, network, here=Lock(after=3, first_ms=1_000, longest_ms=3_000), anywhere=ANYWHERE)
    return store.people.wait_ms(name, network)


@pytest.mark.parametrize("name", ["olaf", "nobody"])
def test_S27_each_wrong_password_after_the_third_makes_wait_for_twice_as_long(
    peopled: Store, now: list[int], name: str
) -> None:
    """A name that nobody has waits in the same way: waiting tells nothing."""
    waits = []
    for _ in range(6):
        waits.append(failed(peopled, name=name))
        now[0] += waits[-1]
    assert waits == [0, 0, 1_000, 2_000, 3_000, 3_000]
    assert olaf(peopled).waits == NOBODY
    assert failed(peopled, name=name) == 3_000
    assert olaf(peopled).waits == (Waits(networks=1, networks_ms=3_000, elsewhere_ms=0) if name == "olaf" else NOBODY)
    now[0] += FORGOTTEN_MS + 1
    assert failed(peopled, name=name) == 0, "a day later it begins anew"


def test_S27_who_guesses_from_one_network_locks_nobody_out_of_another(peopled: Store, now: list[int]) -> None:
    for _ in range(10):
        failed(peopled, "203.0.113.0/24")
    assert peopled.people.wait_ms("olaf", "203.0.113.0/24") == 1_000, "a burst is no more than its first ones"
    for _ in range(4):
        failed(peopled, "203.0.114.0/24")
    assert olaf(peopled).waits == Waits(networks=2, networks_ms=1_000, elsewhere_ms=0), "that is all that is told of it"
    assert not peopled.people.begin("olaf", "s", "203.0.113.0/24", password="hash", ended_before_ms=5_000), "too late"
    assert peopled.people.wait_ms("olaf", HOME) == 0
    begin(peopled, "s")
    now[0] += 1_000
    assert peopled.people.begin("olaf", "t", "203.0.113.0/24", password="hash", ended_before_ms=5_000)
    assert failed(peopled, "203.0.113.0/24") == 0, "the right password forgave the wrong ones"


def test_S27_many_networks_slow_those_alone_that_a_person_does_not_log_in_from(peopled: Store, now: list[int]) -> None:
    now[0] = 1
    begin(peopled, "s")
    for number in range(ANYWHERE.after):
        failed(peopled, f"198.51.{number}.0/24")
    assert peopled.people.wait_ms("olaf", "192.0.2.0/24") == ANYWHERE.first_ms
    assert peopled.people.wait_ms("olaf", HOME) == 0, "where they logged in before"
    begin(peopled, "t")
    waits = []
    for number in range(8):
        now[0] += peopled.people.wait_ms("olaf", "192.0.2.0/24")
        waits.append(failed(peopled, f"10.0.{number}.0/24"))
    assert waits == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000], "it slows, and never for long"
    assert olaf(peopled).waits == Waits(networks=0, networks_ms=0, elsewhere_ms=60_000)
    assert peopled.people.wait_ms("olaf", HOME) == 0
    peopled.people.change("olaf")
    assert peopled.people.wait_ms("olaf", "192.0.2.0/24") == 0, "an administrator ended it"


def test_S27_guesses_take_so_many_rows_and_the_count_of_a_person_survives_a_flood(
    peopled: Store, monkeypatch: pytest.MonkeyPatch, now: list[int]
) -> None:
    monkeypatch.setattr(kept, "MOST_UNKNOWN", 5)
    monkeypatch.setattr(kept, "MOST", 20)
    monkeypatch.setattr(kept, "MOST_KNOWN", 3)
    for number in range(ANYWHERE.after - 1):
        now[0] += 1
        failed(peopled, f"198.51.{number}.0/24")
    assert rows(peopled) == 6, "five networks, and all together"
    for number in range(30):
        now[0] += 1
        failed(peopled, "203.0.113.0/24", f"name{number}")
    assert rows(peopled) == 21
    assert failed(peopled, "192.0.2.0/24") == ANYWHERE.first_ms, "a flood of names did not wipe it out"
    now[0] += FORGOTTEN_MS + 1
    for number in range(6):
        now[0] += 1
        assert peopled.people.begin("olaf", f"s{number}", f"10.0.{number}.0/24", password="hash", ended_before_ms=5_000)
    failed(peopled, "192.0.2.0/24")
    assert rows(peopled) == 3 + 2
    peopled.people.remove("olaf")
    assert rows(peopled) == 0


def rows(store: Store) -> int:
    with store.engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(guesses)) or 0)


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
    assert not peopled.people.begin("olaf", "s", HOME, password="hash", ended_before_ms=5_000)
    assert whose(peopled, "s") is None
    peopled.people.remove("olaf")
    assert not peopled.people.begin("olaf", "s", HOME, password="other", ended_before_ms=5_000)


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


def test_S7_a_token_that_was_left_behind_is_not_the_next_persons_of_that_name(peopled: Store) -> None:
    """As a node of the version before leaves one, which removes people without their tokens."""
    made = peopled.tokens.issue("", role="person", lifetime_ms=None, person="olaf")
    with writing(peopled.engine) as connection:
        connection.execute(sa.delete(people).where(people.c.name == "olaf"))
    peopled.people.add("olaf", "administrator", "hash")
    assert peopled.tokens.verify(made.secret) is None

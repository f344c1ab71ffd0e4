"""Leases: one holder, growing epochs, in threads and in processes; what waits for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.store import Store
from hub.store.engine import writing
from hub.store.leases import Ending, Lease, TaskRow
from hub.store.states import StateChange
from hub.store.tables import tasks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def at(now: list[int]) -> Callable[[int], None]:
    """Sets the store's clock."""

    def put(ms: int) -> None:
        now[0] = ms

    return put


Clock = Callable[[int], None]


def taken(store: Store, holder: str = "a", ttl_ms: int = 100, **more: object) -> Lease:
    lease = store.leases.acquire("t", holder, ttl_ms, **more)  # type: ignore[arg-type] # as given
    assert lease is not None
    return lease


def test_R4_epoch_grows_with_each_new_holder(store: Store, at: Clock) -> None:
    first = taken(store)
    assert first == Lease(task="t", epoch=1, holder="a", expires_ms=100)
    assert store.leases.release(first)
    at(1)
    assert taken(store).epoch == 2


def test_G7_nobody_takes_a_held_task_before_it_runs_out(store: Store, at: Clock) -> None:
    taken(store)
    at(99)
    assert store.leases.acquire("t", "b", 100) is None
    assert store.leases.acquire("t", "a", 100) is None  # the same process twice is two workers
    assert store.leases.acquire("other", "b", 100)
    at(100)
    assert taken(store, "b").epoch == 2


def test_G7_a_zombie_neither_renews_nor_releases_nor_changes_the_state(store: Store, at: Clock) -> None:
    old = taken(store)
    at(100)
    new = taken(store, "b")
    at(101)
    assert store.leases.renew(old, 100) is None
    assert not store.leases.release(old)
    change = StateChange(connector="t", state="FAILED", reason="fenced", by="zombie", now_ms=0)
    assert not store.settle(old, Ending(), change)
    assert store.states.get("t").state == "RUNNING"
    assert (store.leases.get("t").holder, store.leases.get("t").expires_ms) == ("b", new.expires_ms)
    assert store.settle(new, Ending(outcome="ended"), change)
    assert store.states.get("t").state == "FAILED"
    assert (store.leases.get("t").held, store.leases.get("t").outcome) == (False, "ended")


def test_G19_an_expired_lease_that_nobody_took_is_renewed(store: Store, at: Clock) -> None:
    lease = taken(store)
    at(500)
    assert store.leases.renew(lease, 100) == replace(lease, expires_ms=600)
    at(599)
    assert store.leases.acquire("t", "b", 100) is None


def test_why_a_source_does_not_answer_is_on_record_while_the_task_is_held(store: Store) -> None:
    lease = taken(store)
    assert store.leases.renew(lease, 100, away="SourceUnavailable: no")
    assert store.leases.get("t").away == "SourceUnavailable: no"
    assert store.leases.renew(lease, 100)
    assert store.leases.get("t").away == ""
    assert store.leases.renew(lease, 100, away="SourceUnavailable: no")
    assert store.leases.release(lease)
    assert store.leases.get("t").away == ""


def test_G19_a_clock_that_jumps_back_frees_nothing_but_a_holder_that_stays_silent(store: Store, at: Clock) -> None:
    at(1_000_000)
    lease = taken(store)
    at(0)
    assert store.leases.acquire("t", "b", 100) is None
    seen = store.leases.get("t")
    assert store.leases.renew(lease, 100)  # it lives: what was seen is not true any more
    assert store.leases.acquire("t", "b", 100, seen=seen, stale=True) is None
    silent = store.leases.get("t")
    assert store.leases.acquire("t", "b", 100, seen=silent, stale=True)


def test_release_may_be_repeated(store: Store) -> None:
    lease = taken(store)
    assert store.leases.release(lease)
    assert not store.leases.release(lease)
    assert store.leases.get("t").holder == ""
    assert store.leases.get("never") == TaskRow(task="never")


def test_a_task_that_changed_since_it_was_seen_is_not_taken(store: Store, at: Clock) -> None:
    never = store.leases.get("t")
    first = taken(store, seen=never)
    store.leases.release(first)
    assert store.leases.acquire("t", "b", 100, seen=never) is None  # it ran meanwhile: not due again
    free = store.leases.get("t")
    assert store.leases.request("t", "asked")
    assert store.leases.acquire("t", "b", 100, seen=free) is None  # the request would be lost
    asked = store.leases.get("t")
    at(7)
    lease = taken(store, "b", seen=asked, job=asked.job)
    row = store.leases.get("t")
    assert (row.job, row.due_ms, row.started_ms, row.epoch) == ("asked", None, 7, lease.epoch)


def test_requests_wait_one_at_a_time(store: Store, at: Clock) -> None:
    at(5)
    assert store.leases.request("t", "one")
    assert not store.leases.request("t", "two")
    assert (store.leases.get("t").job, store.leases.get("t").due_ms) == ("one", 5)
    lease = taken(store, job="one")
    assert not store.leases.request("t", "two")
    store.leases.release(lease, Ending(due_in_ms=1000, failures=3))
    assert store.leases.get("t").due_ms == 1005
    assert store.leases.request("t", "two")  # before the retry
    store.leases.forget("t", job=False)
    assert store.leases.get("t").job == "two"
    store.leases.forget("t", job=True)
    assert (store.leases.get("t").job, store.leases.get("t").due_ms, store.leases.get("t").failures) == ("", None, 0)


def test_what_a_dead_holder_did_stays_to_be_gone_on_with(store: Store, at: Clock) -> None:
    taken(store, job="half done", scheduled=False)
    at(100)
    row = store.leases.get("t")
    assert (row.held, row.job, row.started_ms) == (True, "half done", None)
    store.leases.forget("t", job=True)
    assert store.leases.get("t").job == ""
    lease = taken(store, job="again")
    store.leases.release(lease, Ending(job="again", due_in_ms=0))
    handed = store.leases.get("t")
    assert (handed.held, handed.job, handed.due_ms, handed.last_holder) == (False, "again", 100, "")


def test_a_holder_that_was_asked_for_another_run_is_due_at_once(store: Store, at: Clock) -> None:
    lease = taken(store, job="one")
    assert not store.leases.ask_again("t", "another")
    at(5)
    assert store.leases.ask_again("t", "one")
    assert (store.leases.get("t").held, store.leases.get("t").due_ms) == (True, 5)
    at(50)
    assert store.leases.renew(lease, 100)
    store.leases.release(lease, Ending(outcome="ended"))
    assert (store.leases.get("t").due_ms, store.leases.get("t").job) == (5, "")
    assert not store.leases.ask_again("t", ""), "nobody has it"
    lease = taken(store, job="two")
    assert store.leases.get("t").due_ms is None
    store.leases.release(lease)
    assert store.leases.get("t").due_ms is None, "by its schedule"


def test_the_only_process_of_a_store_frees_what_dead_ones_held(store: Store, at: Clock) -> None:
    taken(store, job="half done")
    free = store.leases.acquire("free", "a", 100)
    assert free is not None
    store.leases.release(free)
    at(9)
    store.leases.abandon()
    row = store.leases.get("t")
    assert (row.held, row.job, row.due_ms, row.epoch) == (False, "half done", 9, 1)
    assert store.leases.get("free").due_ms is None


def test_F5_threads_that_start_together_have_one_winner(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = [lease for lease in pool.map(lambda n: store.leases.acquire("t", f"h{n}", 100), range(32)) if lease]
    assert len(won) == 1


PROCESS = """
import sys
from hub.store import Store
now = [0]
store = Store.open(sys.argv[1], clock=lambda: now[0])
for now[0] in range(0, 400, 2):
    lease = store.leases.acquire("t", sys.argv[2], 1)
    if lease: print(lease.epoch)
"""


def test_F5_no_epoch_is_given_to_two_processes(store: Store, url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, url, name], stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    epochs = [int(line) for process in started for line in process.communicate()[0].split()]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(epochs) == list(range(1, len(epochs) + 1))
    assert len(epochs) >= 200


SKEWED = """
import sys, time
skew = float(sys.argv[2])
real = time.time
time.time = lambda: real() + skew
from hub.store import Store
store = Store.open(sys.argv[1])
for line in sys.stdin:
    lease = store.leases.acquire("t", sys.argv[2], 3_600_000)
    print("none" if lease is None else lease.epoch, flush=True)
"""


class Asked:
    """A worker whose clock is so many seconds off."""

    def __init__(self, url: str, skew_s: int) -> None:
        command = [sys.executable, "-c", SKEWED, url, str(skew_s)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def take(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("take\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def test_G19_workers_whose_clocks_differ_agree_on_who_has_a_task(url: str) -> None:
    """What a process takes for the time changes nothing: a lease of an hour, and clocks two hours off."""
    ahead, behind = Asked(url, 7200), Asked(url, -7200)
    with Store.open(url) as store:
        try:
            assert behind.take() == "1"
            assert ahead.take() == "none"  # by its own clock the lease ran out hours ago
            an_hour_passes(store)
            assert ahead.take() == "2"
            assert behind.take() == "none"
            an_hour_passes(store)
            assert behind.take() == "3"  # by its own clock the lease lasts for hours
        finally:
            for worker in (ahead, behind):
                worker.process.communicate()


def an_hour_passes(store: Store) -> None:
    with writing(store.engine) as connection:
        connection.execute(sa.update(tasks).values(expires_at=tasks.c.expires_at - 3_600_000))


STEPS = st.lists(
    st.tuples(st.sampled_from(["acquire", "renew", "release"]), st.integers(0, 2), st.integers(0, 30)), max_size=25
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, start=st.integers(0, 10**9), name=st.uuids())
def test_G7_any_history_has_one_valid_holder_and_growing_epochs(
    steps: list[tuple[str, int, int]], start: int, name: object, store: Store, now: list[int]
) -> None:
    task, now[0], last = str(name), start, 0
    held: dict[int, Lease] = {}
    for what, worker, wait in steps:
        now[0] += wait
        if what == "acquire":
            lease = store.leases.acquire(task, f"w{worker}", 20)
            if lease:
                assert lease.epoch > last
                assert not [other for other in held.values() if other.expires_ms > now[0]]
                last, held[worker] = lease.epoch, lease
        elif what == "renew" and worker in held:
            renewed = store.leases.renew(held[worker], 20)
            assert (renewed is not None) == (held[worker].epoch == last)
            if renewed:
                held[worker] = renewed
        elif what == "release" and worker in held:
            gone = held.pop(worker)
            assert store.leases.release(gone) == (gone.epoch == last)

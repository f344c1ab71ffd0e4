"""Leases: one holder, growing epochs, in threads and in processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.store import Store
from hub.store.leases import Lease


def test_R4_epoch_grows_with_each_new_holder(store: Store) -> None:
    first = store.leases.acquire("t", "a", 0, 100)
    assert first == Lease(task="t", epoch=1, holder="a", expires_ms=100)
    assert store.leases.release(first)
    second = store.leases.acquire("t", "a", 1, 100)
    assert second is not None
    assert second.epoch == 2


def test_G7_nobody_takes_a_held_task_before_it_runs_out(store: Store) -> None:
    assert store.leases.acquire("t", "a", 0, 100)
    assert store.leases.acquire("t", "b", 99, 100) is None
    assert store.leases.acquire("t", "a", 99, 100) is None  # the same process twice is two workers
    assert store.leases.acquire("other", "b", 0, 100)
    taken = store.leases.acquire("t", "b", 100, 100)
    assert taken is not None
    assert taken.epoch == 2


def test_G7_a_zombie_neither_renews_nor_releases(store: Store) -> None:
    old = store.leases.acquire("t", "a", 0, 100)
    assert old is not None
    new = store.leases.acquire("t", "b", 100, 100)
    assert store.leases.renew(old, 101, 100) is None
    assert not store.leases.release(old)
    assert store.leases.get("t") == new


def test_G19_an_expired_lease_that_nobody_took_is_renewed(store: Store) -> None:
    lease = store.leases.acquire("t", "a", 0, 100)
    assert lease is not None
    renewed = store.leases.renew(lease, 500, 100)
    assert renewed == Lease(task="t", epoch=1, holder="a", expires_ms=600)
    assert store.leases.acquire("t", "b", 599, 100) is None


def test_G19_a_clock_that_jumps_back_frees_nothing(store: Store) -> None:
    assert store.leases.acquire("t", "a", 1_000_000, 100)
    assert store.leases.acquire("t", "b", 0, 100) is None


def test_release_may_be_repeated(store: Store) -> None:
    lease = store.leases.acquire("t", "a", 0, 100)
    assert lease is not None
    assert store.leases.release(lease)
    assert not store.leases.release(lease)
    assert store.leases.get("t") is None
    assert store.leases.get("never") is None


def test_F5_threads_that_start_together_have_one_winner(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = [lease for lease in pool.map(lambda n: store.leases.acquire("t", f"h{n}", 0, 100), range(32)) if lease]
    assert len(won) == 1


PROCESS = """
import sys
from hub.store import Store
store = Store.open(sys.argv[1])
for now in range(0, 400, 2):
    lease = store.leases.acquire("t", sys.argv[2], now, 1)
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


STEPS = st.lists(
    st.tuples(st.sampled_from(["acquire", "renew", "release"]), st.integers(0, 2), st.integers(0, 30)), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, start=st.integers(0, 10**9))
def test_G7_any_history_has_one_valid_holder_and_growing_epochs(steps: list[tuple[str, int, int]], start: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/store.db") as store:
        now, last = start, 0
        held: dict[int, Lease] = {}
        for what, worker, wait in steps:
            now += wait
            if what == "acquire":
                lease = store.leases.acquire("t", f"w{worker}", now, 20)
                if lease:
                    assert lease.epoch > last
                    assert not [other for other in held.values() if other.expires_ms > now]
                    last, held[worker] = lease.epoch, lease
            elif what == "renew" and worker in held:
                renewed = store.leases.renew(held[worker], now, 20)
                assert (renewed is not None) == (held[worker].epoch == last)
                if renewed:
                    held[worker] = renewed
            elif what == "release" and worker in held:
                gone = held.pop(worker)
                assert store.leases.release(gone) == (gone.epoch == last)

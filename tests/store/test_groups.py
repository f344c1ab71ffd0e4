"""Cursors of consumer groups: one reader, commits within what was delivered (R24)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hub.errors import Conflict, GroupBusy
from hub.store import Store
from hub.store.groups import GroupKey

KEY = GroupKey(agency="a", grant="g", topic="x.y.v1", group="default")
OTHER = GroupKey(agency="a", grant="g", topic="x.y.v1", group="other")
S1, S2 = "selection-1", "selection-2"

Take = Callable[[GroupKey, str, int], bool]


@pytest.fixture
def take(store: Store, now: list[int]) -> Take:
    """A reader takes a group for 100 ms at a time of the store's clock."""

    def at(key: GroupKey, reader: str, ms: int) -> bool:
        now[0] = ms
        return store.groups.take(key, reader, 100)

    return at


def committed(store: Store, key: GroupKey = KEY) -> dict[int, int | None]:
    return {partition: cursor.committed for partition, cursor in store.groups.cursors(key).items()}


def test_R24_one_reader_at_a_time(store: Store, take: Take) -> None:
    assert take(KEY, "r1", 0)
    assert take(KEY, "r1", 50)  # stays, and longer
    assert not take(KEY, "r2", 149)
    assert take(OTHER, "r2", 0)
    assert take(KEY, "r2", 150)
    assert not take(KEY, "r1", 151)


def test_R24_leaving_lets_the_next_one_in(store: Store, take: Take) -> None:
    assert take(KEY, "r1", 0)
    assert not store.groups.leave(KEY, "r2")
    assert store.groups.leave(KEY, "r1")
    assert not store.groups.leave(KEY, "r1")
    assert take(KEY, "r2", 1)


def test_R24_many_readers_one_winner(store: Store, take: Take) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda n: take(KEY, f"r{n}", 0), range(24))) == 1


def test_R24_commits_go_up_to_what_was_delivered(store: Store, take: Take) -> None:
    take(KEY, "r", 0)
    store.groups.deliver(KEY, {0: 10, 1: 5}, S1)
    assert committed(store) == {0: None, 1: None}
    store.groups.commit(KEY, "r", {0: 7, 1: 5}, S1, 3)
    store.groups.commit(KEY, "r", {0: 7}, S1, 4)
    store.groups.commit(KEY, "r", {0: 10}, S1, 5)
    assert committed(store) == {0: 10, 1: 5}
    assert store.groups.cursors(KEY)[0].committed_ms == 5


@pytest.mark.parametrize("positions", [{0: 11}, {0: 3}, {1: 0}, {0: 9, 1: 1}])
def test_R24_a_wrong_commit_changes_nothing(store: Store, take: Take, positions: dict[int, int]) -> None:
    take(KEY, "r", 0)
    store.groups.deliver(KEY, {0: 10}, S1)
    store.groups.commit(KEY, "r", {0: 4}, S1, 3)
    with pytest.raises(Conflict, match="cannot be committed"):
        store.groups.commit(KEY, "r", positions, S1, 4)
    assert committed(store) == {0: 4}


def test_R24_a_commit_under_an_old_selection_is_refused(store: Store, take: Take) -> None:
    take(KEY, "r", 0)
    store.groups.deliver(KEY, {0: 10}, S1)
    store.groups.commit(KEY, "r", {0: 10}, S1, 1)
    store.groups.deliver(KEY, {0: 4}, S2)
    with pytest.raises(Conflict):
        store.groups.commit(KEY, "r", {0: 10}, S1, 2)
    with pytest.raises(Conflict):
        store.groups.commit(KEY, "r", {0: 10}, S2, 2)
    store.groups.commit(KEY, "r", {0: 4}, S2, 2)  # behind the old cursor: read again from the start
    assert committed(store) == {0: 4}
    with pytest.raises(Conflict):
        store.groups.commit(KEY, "r", {0: 3}, S2, 2)


def test_what_was_delivered_does_not_shrink_under_one_selection(store: Store, take: Take) -> None:
    take(KEY, "r", 0)
    store.groups.deliver(KEY, {0: 10}, S1)
    store.groups.deliver(KEY, {0: 6}, S1)
    store.groups.commit(KEY, "r", {0: 10}, S1, 1)
    assert committed(store) == {0: 10}


def test_R24_a_reader_that_lost_the_group_cannot_commit_or_seek(store: Store, take: Take) -> None:
    with pytest.raises(GroupBusy):
        store.groups.commit(KEY, "nobody", {0: 0}, S1, 1)
    take(KEY, "old", 0)
    store.groups.deliver(KEY, {0: 10}, S1)
    take(KEY, "new", 100)
    with pytest.raises(GroupBusy):
        store.groups.commit(KEY, "old", {0: 10}, S1, 101)
    with pytest.raises(GroupBusy):
        store.groups.seek(KEY, "old", {0: 0}, S1, 101)
    assert committed(store) == {0: None}


def test_seek_goes_both_ways_and_sets_what_may_be_committed(store: Store, take: Take) -> None:
    take(KEY, "r", 0)
    store.groups.seek(KEY, "r", {0: 8}, S1, 1)
    store.groups.seek(KEY, "r", {0: 2}, S1, 2)
    assert committed(store) == {0: 2}
    with pytest.raises(Conflict):
        store.groups.commit(KEY, "r", {0: 8}, S1, 3)


def test_S8_cursors_of_other_agencies_are_other_cursors(store: Store, take: Take) -> None:
    foreign = GroupKey(agency="b", grant="g", topic="x.y.v1", group="default")
    for key in (KEY, foreign):
        take(key, "r", 0)
    store.groups.deliver(KEY, {0: 10}, S1)
    store.groups.commit(KEY, "r", {0: 10}, S1, 1)
    assert committed(store, foreign) == {}
    assert [(key, partition) for key, partition, _ in store.groups.all()] == [(KEY, 0)]


def test_where_every_group_stands_at_once(store: Store, take: Take) -> None:
    foreign = GroupKey(agency="b", grant="g", topic="x.y.v1", group="default")
    assert store.groups.committed() == {}
    for key, end in ((foreign, 7), (KEY, 10)):
        take(key, "r", 0)
        store.groups.deliver(key, {0: end, 1: end}, S1)
    store.groups.commit(KEY, "r", {1: 10}, S1, 1)
    found = store.groups.committed()
    assert found == {KEY: {0: None, 1: 10}, foreign: {0: None, 1: None}}
    assert list(found) == sorted(found, key=lambda key: (key.agency, key.grant, key.topic, key.group))

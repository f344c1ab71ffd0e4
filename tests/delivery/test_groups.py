"""Subscriptions: one reader, commits, resets, seeks, lag (R24)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from hub.access.plan import Plan
from hub.delivery.groups import Member, Pulled, Subscriptions
from hub.delivery.read import Gap, ReadLimits
from hub.errors import Conflict, GroupBusy, NotFound, OffsetOutOfRange
from tests.delivery.world import SCHOOL, TOPIC, Hub, school

ME = Member(group="default", reader="me")
OTHER = Member(group="default", reader="other")
ANY = ReadLimits()


def pull(hub: Hub, plan: Plan, member: Member = ME, most: int = 1_000) -> Pulled:
    return hub.subscriptions.pull(plan, member, ReadLimits(max_records=most))


def offsets(pulled: Pulled) -> list[int]:
    found: list[int] = pulled.delivery.offsets.tolist()
    return found


@pytest.fixture
def store_url(url: str) -> str:
    """All of this on SQLite and on PostgreSQL."""
    return url


@pytest.fixture
def plan(hub: Hub) -> Plan:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(10)], block=4)
    return hub.plan(schema, "school_id")


def test_R24_a_group_starts_at_the_earliest_record_and_goes_on_behind_its_commit(hub: Hub, plan: Plan) -> None:
    first = pull(hub, plan, most=6)
    assert (offsets(first), first.reset, first.delivery.lag) == ([0, 1, 2, 3, 4, 5], False, 4)
    state = hub.subscriptions.commit(plan, ME, first.delivery.positions)
    assert (state.positions, state.lag) == ({0: 6}, 4)
    assert offsets(pull(hub, plan)) == [6, 7, 8, 9]


def test_R24_what_was_not_committed_comes_again(hub: Hub, plan: Plan) -> None:
    assert offsets(pull(hub, plan, most=6)) == offsets(pull(hub, plan, most=6))
    hub.subscriptions.commit(plan, ME, {0: 3})
    assert offsets(pull(hub, plan, most=2)) == [3, 4]


def test_R24_a_second_reader_is_refused_until_the_first_leaves_or_falls_silent(hub: Hub, plan: Plan) -> None:
    pull(hub, plan)
    with pytest.raises(GroupBusy, match="another reader"):
        pull(hub, plan, OTHER)
    with pytest.raises(GroupBusy):
        hub.subscriptions.seek(plan, OTHER, "latest")
    assert offsets(pull(hub, plan, replace(OTHER, group="second"))) == list(range(10))
    hub.subscriptions.leave(plan, ME)
    pull(hub, plan, OTHER)
    hub.now[0] += 60_000
    pull(hub, plan, ME)
    with pytest.raises(GroupBusy):
        hub.subscriptions.commit(plan, OTHER, {0: 1})


def test_R24_only_delivered_positions_are_committed(hub: Hub, plan: Plan) -> None:
    pulled = pull(hub, plan, most=6)
    for wrong in ({0: 7}, {1: 0}, {0: 6, 1: 0}):
        with pytest.raises(Conflict):
            hub.subscriptions.commit(plan, ME, wrong)
    hub.subscriptions.commit(plan, ME, pulled.delivery.positions)
    hub.subscriptions.commit(plan, ME, pulled.delivery.positions)  # again is fine
    with pytest.raises(Conflict):
        hub.subscriptions.commit(plan, ME, {0: 5})


def test_R24_a_changed_selection_reads_again_and_says_so_until_committed(hub: Hub, plan: Plan) -> None:
    hub.subscriptions.commit(plan, ME, pull(hub, plan).delivery.positions)
    wider = hub.plan(1, "school_id", "region")
    for _ in range(2):  # also when the first answer is lost
        again = pull(hub, wider, most=4)
        assert (again.reset, offsets(again)) == (True, [0, 1, 2, 3])
    assert hub.subscriptions.state(wider, "default").lag == 10
    with pytest.raises(Conflict):  # a commit of what was read under the old grant
        hub.subscriptions.commit(plan, ME, {0: 10})
    hub.subscriptions.commit(wider, ME, again.delivery.positions)
    after = pull(hub, wider, most=4)
    assert (after.reset, offsets(after)) == (False, [4, 5, 6, 7])
    filtered = hub.plan(1, "school_id", "region", where="region = '03'", by=("region",))
    assert pull(hub, filtered).reset


def test_R24_R23_a_new_schema_version_is_no_reset_but_a_new_output_schema(hub: Hub, plan: Plan) -> None:
    before = pull(hub, plan)
    hub.subscriptions.commit(plan, ME, before.delivery.positions)
    fields = [{**SCHOOL["fields"][0], "doc": "The ministry's code"}, *SCHOOL["fields"][1:]]
    newer = hub.plan(hub.schema({**SCHOOL, "fields": fields}), "school_id")
    after = pull(hub, newer)
    assert (after.reset, offsets(after)) == (False, [])
    assert after.schema_id != before.schema_id
    assert hub.registry.versions("grant.g-value") == [1, 2]
    assert hub.registry.level("grant.g-value") == "NONE"
    shown = json.loads(hub.registry.by_id(after.schema_id))
    assert [f["name"] for f in shown["fields"]] == ["school_id"]


def test_seek_moves_both_ways_within_the_topic(hub: Hub, plan: Plan) -> None:
    assert hub.subscriptions.seek(plan, ME, "latest").lag == 0
    assert offsets(pull(hub, plan)) == []
    assert hub.subscriptions.seek(plan, ME, {0: 8}).lag == 2
    assert offsets(pull(hub, plan)) == [8, 9]
    hub.subscriptions.commit(plan, ME, {0: 10})
    assert hub.subscriptions.seek(plan, ME, "earliest").positions == {0: 0}
    assert len(offsets(pull(hub, plan))) == 10
    for wrong in ({0: 11}, {0: -1}):
        with pytest.raises(OffsetOutOfRange):
            hub.subscriptions.seek(plan, ME, wrong)
    with pytest.raises(NotFound):
        hub.subscriptions.seek(plan, ME, {3: 0})


def test_R3_F27_a_gap_is_told_until_it_is_committed(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(retention_ms=1_000)
    schema = hub.schema()
    plan = hub.plan(schema, "school_id")
    hub.publish(schema, [school(n) for n in range(10)], block=5)
    pull(hub, plan)
    hub.subscriptions.commit(plan, ME, {0: 2})
    hub.now[0] += 50_000
    hub.publish(schema, [school(99)])
    hub.log.maintain()
    assert hub.subscriptions.state(plan, "default").lag == 1
    for _ in range(2):
        pulled = pull(hub, plan)
        assert pulled.delivery.gaps == (Gap(partition=0, position=2, earliest=10),)
        assert offsets(pulled) == [10]
    hub.subscriptions.commit(plan, ME, pulled.delivery.positions)
    assert pull(hub, plan).delivery.gaps == ()


def test_lags_for_metrics_name_agency_grant_and_group(hub: Hub, plan: Plan) -> None:
    pull(hub, plan, most=6)
    hub.subscriptions.commit(plan, ME, {0: 6})
    pull(hub, plan, replace(ME, group="new"))
    assert hub.subscriptions.lags() == [
        ("it-lom.g.default", TOPIC, 0, 4),
        ("it-lom.g.new", TOPIC, 0, 10),
    ]


def test_lags_leave_out_topics_that_are_gone(hub: Hub, plan: Plan) -> None:
    from hub.store.groups import GroupKey

    hub.store.groups.deliver(GroupKey(agency="a", grant="g", topic="gone.topic.v1", group="x"), {0: 1}, "s")
    assert hub.subscriptions.lags() == []


def test_positions_survive_a_restart(hub: Hub, plan: Plan) -> None:
    pulled = pull(hub, plan, most=6)
    fresh = Subscriptions(hub.log, hub.registry, hub.store.groups, hub.reader, lambda: 2_000)
    fresh.commit(plan, ME, pulled.delivery.positions)  # delivered by one process, committed through another
    assert offsets(fresh.pull(plan, ME, ANY)) == [6, 7, 8, 9]

"""What a subscribing agency sees: records at least once, gaps and resets never silent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice

import httpx
import pyarrow as pa
import pytest
from fastapi.responses import JSONResponse, Response

from hub.client import Gap, Reset, Subscription, subscribe
from hub.client.http import Retrying
from hub.errors import (
    Conflict,
    DatongError,
    GroupBusy,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    OffsetOutOfRange,
    SourceUnavailable,
)
from tests.client.world import Server
from tests.delivery.world import TOPIC, school

Open = Callable[..., Subscription]


def ids(items: Iterator[object]) -> list[str]:
    return [item["school_id"] for item in items if isinstance(item, dict)]


def committed(server: Server, group: str = "default") -> dict[int, int]:
    return dict(server.hub.subscriptions.state(server.plan(), group).positions)


def test_reads_to_the_end_commits_and_leaves(server: Server, open_subscription: Open) -> None:
    with open_subscription(max_records=4) as schools:
        rows = list(schools)
    assert rows[0] == {"_offset": 0, "_partition": 0, "_op": "upsert", "school_id": "S0"}
    assert [row["_offset"] for row in rows] == list(range(10))
    assert committed(server) == {0: 10}
    assert schools.lag == 0
    assert server.calls[-1] == "DELETE lease"
    with open_subscription() as again:
        assert list(again) == []


def test_a_limit_reads_no_more_and_commits_what_was_handed_out(server: Server, open_subscription: Open) -> None:
    with open_subscription() as schools:
        assert ids(schools.items(limit=3)) == ["S0", "S1", "S2"]
        schools.commit()
        assert (committed(server), schools.lag) == ({0: 3}, 7)
    with open_subscription() as schools:
        assert ids(schools.items(limit=0)) == []
        assert ids(schools.items(limit=100)) == [f"S{n}" for n in range(3, 10)]


def test_breaking_off_commits_what_was_seen_and_an_error_does_not(server: Server, open_subscription: Open) -> None:
    with open_subscription() as schools:
        for row in schools:
            if row["school_id"] == "S4":
                break
    assert committed(server) == {0: 5}

    def fail_on_the_way() -> None:
        with open_subscription() as schools:
            for _row in schools:
                raise KeyError

    with pytest.raises(KeyError):
        fail_on_the_way()
    assert committed(server) == {0: 5}


def test_without_auto_commit_nothing_is_committed_by_itself(server: Server, open_subscription: Open) -> None:
    with open_subscription(auto_commit=False, max_records=4) as schools:
        batches = schools.batches()
        assert len(next(batches).records) == 4
        with pytest.raises(Conflict, match="not committed"):
            next(batches)
    assert committed(server) == {}
    with open_subscription(auto_commit=False, max_records=4) as schools:
        seen = []
        for batch in schools.batches():
            seen += [row["_offset"] for row in batch.records]
            schools.commit()
        assert seen == list(range(10))
    assert committed(server) == {0: 10}


def test_without_auto_commit_items_are_committed_by_hand(server: Server, open_subscription: Open) -> None:
    with open_subscription(auto_commit=False, max_records=4) as schools:
        seen = []
        for row in schools.items():
            assert isinstance(row, dict)
            seen.append(row["_offset"])
            schools.commit()
        assert seen == list(range(10))
    with open_subscription(auto_commit=False, group="b", max_records=4) as schools, pytest.raises(Conflict):
        list(schools.items())


def test_from_beginning_reads_again(open_subscription: Open) -> None:
    for _ in range(2):
        with open_subscription(from_beginning=True) as schools:
            assert len(list(schools)) == 10


def test_seek_to_positions(open_subscription: Open) -> None:
    with open_subscription() as schools:
        schools.seek({0: 8})
        assert ids(iter(schools)) == ["S8", "S9"]
        with pytest.raises(OffsetOutOfRange):
            schools.seek({0: 99})


def test_R24_a_second_reader_is_refused(open_subscription: Open) -> None:
    with open_subscription() as first:
        next(iter(first))
        with pytest.raises(GroupBusy), open_subscription() as second:
            next(iter(second))
        with open_subscription(group="second") as other:
            assert len(list(other)) == 10


def test_R24_a_reader_that_failed_lets_the_next_one_in(server: Server, open_subscription: Open) -> None:
    def fail() -> None:
        with open_subscription() as first:
            next(iter(first))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with open_subscription() as second:
        assert len(list(second)) == 10
    assert committed(server) == {0: 10}


def test_R23_arrow_tables_as_they_travel(server: Server, open_subscription: Open) -> None:
    with open_subscription(max_records=4) as schools:
        batches = list(schools.arrow())
    assert [batch.records.num_rows for batch in batches] == [batch.count for batch in batches] == [4, 4, 2]
    table = pa.concat_tables([batch.records for batch in batches])
    assert table.to_pylist()[9] == {"_offset": 9, "_partition": 0, "_op": "upsert", "school_id": "S9"}
    assert committed(server) == {0: 10}
    assert {batch.grant for batch in batches} == {"g"}


def test_arrow_with_a_limit_and_commits_by_hand(server: Server, open_subscription: Open) -> None:
    with open_subscription(max_records=4, auto_commit=False) as schools:
        sizes = []
        for batch in schools.arrow(limit=6):
            sizes.append(batch.count)
            schools.commit()
    assert (sizes, committed(server)) == ([4, 2], {0: 6})


def test_answers_come_as_they_are_the_first_one_even_if_empty(server: Server, open_subscription: Open) -> None:
    with open_subscription(max_records=6) as schools:
        answers = list(schools.answers("text/csv"))
    assert [answer.count for answer in answers] == [6, 4]
    assert answers[1].content.startswith(b"_offset,_partition,_op,school_id\r\n6,0,upsert,S6\r\n")
    with open_subscription() as schools:
        assert [answer.count for answer in schools.answers("text/csv")] == [0]
    with pytest.raises(NotAcceptable), open_subscription() as schools:
        next(schools.answers("image/png"))


def test_an_answer_in_another_form_is_not_taken_for_the_hub_s(server: Server, open_subscription: Open) -> None:
    server.failures = [Response(status_code=200, content=b"<html>", media_type="text/html")]
    with pytest.raises(SourceUnavailable, match="did not answer with application/json"), open_subscription() as schools:
        next(iter(schools))


def test_follow_waits_for_what_comes(server: Server, open_subscription: Open) -> None:
    with open_subscription(follow=True) as schools:
        rows = iter(schools)
        assert len(list(islice(rows, 10))) == 10
        threading.Timer(0.05, lambda: server.hub.publish(1, [school(99)])).start()
        assert next(rows)["school_id"] == "S99"


def test_R24_a_reset_is_a_value_or_an_exception(server: Server, open_subscription: Open) -> None:
    with open_subscription() as schools:
        list(schools)
    wider = server.hub.plan(1, "school_id", "region", key=("school_id",))
    server.plan = lambda: wider
    with open_subscription(auto_commit=False) as schools:
        first, second = islice(schools.items(), 2)
        assert first == Reset()
        assert isinstance(second, dict)
        assert second["region"] == "03"
    with open_subscription() as schools:
        with pytest.raises(Conflict, match="grant changed"):
            next(iter(schools))
        assert len(list(schools)) == 10
    with open_subscription() as schools:
        assert list(schools) == []


def test_R3_F27_a_gap_is_a_value_or_an_exception(server: Server, open_subscription: Open) -> None:
    from hub.model import Topic

    with open_subscription() as schools:
        list(schools.items(limit=2))
    server.hub.log.ensure(Topic(name=TOPIC, retention_ms=1_000))
    server.hub.now[0] += 50_000
    server.hub.publish(1, [school(99)])
    server.hub.log.maintain()
    gap = Gap(partition=0, from_offset=2, earliest=10)
    with open_subscription(auto_commit=False) as schools:
        assert next(schools.items()) == gap
    with open_subscription() as schools:
        with pytest.raises(OffsetOutOfRange, match="offsets 2 to 9 of partition 0") as caught:
            next(iter(schools))
        assert caught.value.earliest == 10
        assert ids(iter(schools)) == ["S99"]


def test_empty_batches_are_passed_over(server: Server, open_subscription: Open) -> None:
    nothing = server.hub.plan(1, "school_id", where="region = '99'", by=("region",))
    server.plan = lambda: nothing
    with open_subscription() as schools:
        assert list(schools) == []
    assert committed(server) == {0: 10}


def test_answers_that_are_errors_are_our_errors(open_subscription: Open) -> None:
    with pytest.raises(NotAuthenticated, match="who are you") as caught, open_subscription(token="wrong") as schools:
        next(iter(schools))
    assert caught.value.remedy == "bring a token"
    with pytest.raises(NotFound), open_subscription(topic="no.such/topic?.v1") as schools:
        next(iter(schools))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_faults_are_tried_again(server: Server, open_subscription: Open, status: int) -> None:
    server.failures = [Response(status_code=status, content=b"<html>"), JSONResponse({}, status_code=status)]
    with open_subscription() as schools:
        assert len(list(schools)) == 10
    server.failures = [Response(status_code=status)] * 5
    with pytest.raises(SourceUnavailable), open_subscription() as schools:
        next(iter(schools))


def test_retry_after_is_obeyed(server: Server, open_subscription: Open) -> None:
    server.failures = [Response(status_code=503, headers={"retry-after": "0"})]
    with open_subscription() as schools:
        assert len(list(schools)) == 10


@pytest.mark.parametrize("status", [400, 403, 413, 500])
def test_other_faults_are_told(server: Server, open_subscription: Open, status: int) -> None:
    server.failures = [Response(status_code=status, content=b"[1]")]
    with pytest.raises(DatongError, match=str(status)), open_subscription() as schools:
        next(iter(schools))


def test_a_hub_that_is_not_there_is_source_unavailable() -> None:
    retrying = Retrying(tries=2, first_wait_s=0.0)
    with (
        pytest.raises(SourceUnavailable, match="ConnectError"),
        subscribe("http://127.0.0.1:9", TOPIC, "t", retrying=retrying) as schools,
    ):
        next(iter(schools))


@pytest.mark.parametrize("token", ["", " ", "dtg.a.b\n", "dtg.a b", "dtg.ä.b", "Bearer dtg.a.b"])
def test_R35_what_cannot_be_a_token_is_told_before_anything_is_sent(token: str) -> None:
    with pytest.raises(NotAuthenticated, match=r"the token (is empty|has blanks)") as refused:
        subscribe("http://127.0.0.1:9", TOPIC, token)
    assert "datong token issue" in refused.value.remedy
    assert "dtg" not in str(refused.value)


def test_a_client_of_ones_own_stays_open(open_subscription: Open) -> None:
    client = httpx.Client(base_url="http://127.0.0.1:9", timeout=60)
    subscription = subscribe("http://ignored", TOPIC, "t", client=client, auto_commit=False, retrying=Retrying(tries=1))
    with pytest.raises(SourceUnavailable), subscription:
        next(iter(subscription))
    assert not client.is_closed
    client.close()


def test_the_client_does_not_load_the_hub() -> None:
    import subprocess
    import sys

    heavy = ("pyarrow", "numpy", "sqlalchemy", "sqlglot", "fastapi")
    code = f"import sys, hub.client; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""When somebody is told: news gathered, storms held together, what lasts repeated, what is over resolved."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hub.watch.alerts import Alert
from hub.watch.rounds import RETRY_MOST_MS, Notice, Pace, Rounds

COLLECT, REPEAT = 15_000, 3_600_000
PACE = Pace(collect_ms=COLLECT, repeat_ms=REPEAT)


def alert(name: str) -> Alert:
    return Alert(
        id=name, kind="disk_low", severity="critical", about="hub", subject=name, since_ms=0, values={"free": 0.1}
    )


def names(notice: Notice | None) -> tuple[str, str, str] | None:
    if notice is None:
        return None
    return tuple("".join(a.id for a in part) for part in (notice.new, notice.lasting, notice.resolved))  # type: ignore[return-value]


def told(rounds: Rounds, here: str, at_ms: int, *, arrives: bool = True) -> tuple[str, str, str] | None:
    notice = rounds.due([alert(name) for name in here], at_ms)
    if notice is not None:
        rounds.sent(notice, at_ms) if arrives else rounds.failed(at_ms)
    return names(notice)


def test_news_is_gathered_and_told_once() -> None:
    rounds = Rounds(PACE)
    assert told(rounds, "", 0) is None
    assert told(rounds, "a", 1_000) is None
    assert told(rounds, "ab", 10_000) is None
    assert told(rounds, "ab", 16_000) == ("ab", "", "")
    assert told(rounds, "ab", 17_000) is None
    assert told(rounds, "ab", 16_000 + COLLECT) is None


def test_what_comes_and_goes_while_news_is_gathered_is_not_told() -> None:
    rounds = Rounds(PACE)
    told(rounds, "a", 0)
    assert told(rounds, "", 5_000) is None
    assert told(rounds, "a", 15_000) is None
    assert told(rounds, "a", 30_000) == ("a", "", "")


def test_what_is_over_is_resolved_and_what_lasts_is_repeated() -> None:
    rounds = Rounds(PACE)
    told(rounds, "ab", 0)
    told(rounds, "ab", COLLECT)
    told(rounds, "b", 100_000)
    assert told(rounds, "b", 100_000 + COLLECT) == ("", "b", "a")
    assert told(rounds, "b", 100_000 + COLLECT + REPEAT - 1) is None
    assert told(rounds, "b", 100_000 + COLLECT + REPEAT) == ("", "b", "")
    told(rounds, "", 10_000_000)
    assert told(rounds, "", 10_000_000 + COLLECT) == ("", "", "b")
    assert told(rounds, "", 10_000_000 + 10 * REPEAT) is None


def test_a_notice_that_did_not_arrive_is_made_anew_after_waits_that_double() -> None:
    rounds, at_ms, tries = Rounds(PACE), 0, []
    while at_ms < 3_600_000:
        if told(rounds, "a" if at_ms < 60_000 else "ab", at_ms, arrives=False):
            tries.append(at_ms)
        at_ms += 1_000
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[:4] == [10_000, 20_000, 40_000, 80_000]
    assert max(waits) == RETRY_MOST_MS
    assert told(rounds, "b", at_ms + RETRY_MOST_MS) == ("b", "", "")  # what is over by now was never told


@given(st.lists(st.tuples(st.integers(1, 40_000), st.sets(st.sampled_from("abcd")), st.booleans()), max_size=80))
def test_no_storm_and_nothing_that_lasts_is_kept_back(steps: list[tuple[int, set[str], bool]]) -> None:
    rounds, now = Rounds(PACE), 0
    known: set[str] = set()  # as whoever is told knows it
    sent: list[int] = []
    here: set[str] = set()
    for wait_ms, here, arrives in steps:
        now += wait_ms
        notice = rounds.due([alert(name) for name in sorted(here)], now)
        if notice is None:
            continue
        new, lasting, resolved = ({a.id for a in part} for part in (notice.new, notice.lasting, notice.resolved))
        assert new | lasting == here
        assert (lasting, resolved) == (known & here, known - here)
        if arrives:
            rounds.sent(notice, now)
            known = here
            sent.append(now)
        else:
            rounds.failed(now)
    assert all(after - before >= COLLECT for before, after in pairwise(sent))
    for wait_ms in (COLLECT, RETRY_MOST_MS + COLLECT):  # now nothing changes, and all arrives
        now += wait_ms
        notice = rounds.due([alert(name) for name in sorted(here)], now)
        if notice is not None:
            rounds.sent(notice, now)
            known = here
    assert known == here

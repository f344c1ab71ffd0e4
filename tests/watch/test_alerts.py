"""What is told, from when on and until when; in both languages, each with a next step that there is."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model import Finding, RunTotals
from hub.pipeline.followers import Published
from hub.pipeline.freshness import freshness
from hub.pipeline.manifest import RunRecord
from hub.watch.alerts import BLIP_MS, GROWING_MS, KINDS, LINGER_MS, Alert, Alerts, Cause, Facts, Thresholds, causes
from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample, TopicSample
from hub.watch.texts import LANGUAGES, said, texts, to_json

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000_000
WELL = ConnectorSample(
    topic="t", state="RUNNING", reason="", by_itself=False, running=False, rows=0, failures=0, error="", away=""
)
PUSHED = SubscriptionSample(
    topic="t", state="RUNNING", reason="", by_itself=False, running=True, lag=0, dead_letters=0, failures=0, error=""
)


def sample(at_ms: int = NOW, **parts: Any) -> Sample:
    empty: dict[str, Any] = {"topics": {}, "connectors": {}, "subscriptions": {}, "groups": {}}
    return Sample(**{"number": at_ms // 1000, "at_ms": at_ms, "rate": 0.0, "records_today": 0, **empty, **parts})


def run(name: str = "c", started: int = 1, **totals: int) -> RunRecord:
    return RunRecord(
        run="r",
        task=name,
        topic="t",
        started=started,
        finished=started,
        state="completed",
        totals=RunTotals(**totals),
        reasons={},
        warnings={},
        error="",
        replay=False,
    )


def found(facts: Facts, thresholds: Thresholds | None = None) -> dict[str, str]:
    return {cause.subject: cause.kind for cause in causes(facts, thresholds or Thresholds())}


def test_a_hub_that_is_well_says_nothing() -> None:
    well = Facts(
        samples=[sample(connectors={"c": WELL}, subscriptions={"s": PUSHED})],
        last={"c": run(read=5, published=5)},
        disk_free=0.5,
        healthy={"log": True, "store": True},
    )
    assert causes(well, Thresholds()) == []
    assert causes(Facts(samples=[]), Thresholds()) == []


def test_a_late_topic_is_told_and_one_in_time_is_not() -> None:
    fresh = freshness(
        Published(records=1, newest_ms=NOW - 61_000), event_time=False, target=timedelta(minutes=1), completed_ms=None
    )
    late = TopicSample(rate=0.0, records=1, newest_ms=NOW - 61_000, fresh=fresh, lag=None)
    assert found(Facts(samples=[sample(topics={"t": late})])) == {"t": "topic_late"}
    assert found(Facts(samples=[sample(NOW - 2_000, topics={"t": late})])) == {}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"state": "FAILED", "reason": "no", "error": "SourceUnavailable: no"}, "connector_failed"),
        ({"state": "FAILED", "error": "ReconciliationFailed: +1 of 3"}, "reconciliation_difference"),
        ({"state": "PAUSED", "by_itself": True, "reason": "100 in a row", "error": "BreakerTripped: 100 in a row"},
         "breaker_tripped"),
        ({"state": "PAUSED", "by_itself": True, "reason": "a column is gone", "error": "ColumnsChanged: a column is gone"},
         "connector_paused"),
        ({"state": "PAUSED", "reason": "pause by an operator", "error": "BreakerTripped: old"}, None),
        ({"state": "STOPPED", "reason": "stop by an operator"}, None),
        ({"failures": 2, "error": "SourceUnavailable: no route"}, "source_unreachable"),
        ({"away": "SourceUnavailable: no route"}, "source_unreachable"),  # within a run that goes on
        ({"error": "SourceUnavailable: no route"}, None),  # of a run before the last
        ({"state": "PAUSED", "reason": "pause by an operator", "away": "SourceUnavailable: no route"}, None),
        ({"state": "PAUSED", "failures": 2, "reason": "pause by an operator"}, None),
    ],
)  # fmt: skip
def test_states_of_connectors(changes: Mapping[str, Any], kind: str | None) -> None:
    facts = Facts(samples=[sample(connectors={"c": replace(WELL, **changes)})])
    assert found(facts) == ({"c": kind} if kind else {})


def test_a_pause_of_the_breaker_is_told_until_a_person_ends_it_whatever_a_replay_did() -> None:
    paused = replace(
        WELL, state="PAUSED", by_itself=True, reason="more than 5%", error=""
    )  # the replay's end had no error
    last = replace(run(read=10, quarantined=5), state="paused", error="BreakerTripped: more than 5%")
    facts = Facts(samples=[sample(connectors={"c": paused})], last={"c": last}, open={"c": 4})
    assert found(facts) == {"c": "breaker_tripped"}
    assert found(replace(facts, samples=[sample(connectors={"c": WELL})], open={})) == {}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"state": "FAILED", "error": "NotFound: gone"}, ["subscription_failed"]),
        ({"state": "PAUSED", "by_itself": True, "reason": "gone", "error": "SinkGone: gone"}, ["subscription_paused"]),
        ({"state": "PAUSED", "reason": "pause by an operator"}, []),
        ({"failures": 1, "error": "SinkUnavailable: 503"}, ["sink_unreachable"]),
        ({"dead_letters": 2, "failures": 1}, ["sink_unreachable", "dead_letters"]),
    ],
)
def test_states_of_subscriptions(changes: Mapping[str, Any], kinds: list[str]) -> None:
    facts = Facts(samples=[sample(subscriptions={"s": replace(PUSHED, **changes)})])
    assert [cause.kind for cause in causes(facts, Thresholds())] == kinds


@pytest.mark.parametrize(
    ("read", "left", "kind"),
    [
        (RunTotals(read=100, published=96, quarantined=4), 4, "quarantine_rows"),
        (RunTotals(read=100, published=94, quarantined=6), 6, "quarantine_share"),
        (RunTotals(read=100, published=94, quarantined=6), 1, "quarantine_share"),  # what was met is as bad as it was
        (RunTotals(read=100, published=94, quarantined=6), 0, None),  # and nobody need do anything
        (RunTotals(read=100, published=100), 3, "quarantine_rows"),  # of an earlier run
        (None, 3, "quarantine_rows"),  # of runs that nobody knows of any more
        (None, 0, None),
    ],
)
def test_G8_rows_are_told_as_long_as_any_is_open_whichever_run_it_is_of(
    read: RunTotals | None, left: int, kind: str | None
) -> None:
    known = {"last_read": {"c": read}} if read else {}
    facts = Facts(samples=[sample(connectors={"c": WELL})], open={"c": left} if left else {}, **known)
    (told,) = causes(facts, Thresholds()) or [None]
    assert (told and told.kind) == kind
    assert told is None or told.values["open"] == left


def test_R22_open_rows_of_a_connector_that_is_not_there_are_told_as_such() -> None:
    facts = Facts(samples=[sample(connectors={"c": WELL})], open={"c": 1, "gone": 2})
    assert found(facts) == {"c": "quarantine_rows", "gone": "quarantine_orphaned"}
    assert found(Facts(samples=[], open={"gone": 2})) == {}, "nobody looked yet at what there is"


def lags(*values: int, every_ms: int = GROWING_MS // 5) -> list[Sample]:
    at = [NOW - every_ms * back for back in range(len(values) - 1, -1, -1)]
    return [sample(when, groups={("g", "t"): lag}) for when, lag in zip(at, values, strict=True)]


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (lags(1, 2, 3, 4, 5, 6), True),
        (lags(1, 2, 3, 4, 5), False),  # not five minutes yet
        (lags(1, 2, 3, 3, 5, 6), False),
        (lags(9, 2, 3, 4, 5, 6, 7), True),
        (lags(1, 2, 3, 4, 5, 0), False),
        (lags(*range(301), every_ms=1_000), True),
        (lags(*range(300), every_ms=1_000), False),
        ([*lags(1, 2, 3, 4, 5, 6)[:-1], sample()], False),  # the group is gone
    ],
)
def test_a_lag_is_told_when_it_grew_for_five_minutes(samples: list[Sample], told: bool) -> None:
    assert found(Facts(samples=samples)) == ({"g/t": "lag_growing"} if told else {})


def test_a_lag_over_its_bound_is_told_at_once_and_once() -> None:
    assert found(Facts(samples=lags(1, 2, 3, 4, 5, 6)), Thresholds(lag=5)) == {"g/t": "lag_high"}
    assert found(Facts(samples=lags(6)), Thresholds(lag=6)) == {}


def test_what_is_wrong_with_the_hub_itself() -> None:
    facts = Facts(
        samples=[],
        disk_free=0.09,
        healthy={"log": True, "store": False},
        notices=[Finding(name="open transaction", ok=False, detail="d", remedy="r")],
        mistakes=[("topics.d/a.yaml:3", "is missing"), ("topics.d/a.yaml:3", "again")],
        silent={"node/1": 60.0},
    )
    assert found(facts) == {
        "node/1": "node_silent",
        "topics.d/a.yaml:3": "configuration_mistake",
        "data directory": "disk_low",
        "open transaction": "log_stuck",
        "store": "part_unhealthy",
    }


def cause(subject: str = "t") -> Cause:
    return Cause(kind="dead_letters", subject=subject, values={"letters": 1})


def test_a_cause_that_holds_is_told_within_five_seconds_and_clears_by_itself() -> None:
    alerts, told = Alerts(), []
    for second in range(60):
        there = [cause()] if 10 <= second < 30 else []
        told.append([alert.since_ms for alert in alerts.look(there, NOW + second * 1000)])
    first = next(i for i, one in enumerate(told) if one)
    last = max(i for i, one in enumerate(told) if one)
    assert 10 <= first <= 15
    assert 30 <= last <= 30 + LINGER_MS / 1000
    assert {since for one in told for since in one} == {NOW + 10_000}


def test_a_blip_is_not_told() -> None:
    alerts = Alerts()
    assert alerts.look([cause()], NOW) == []
    assert alerts.look([], NOW + 500) == []
    assert alerts.look([cause()], NOW + 1_000) == []
    assert [a.since_ms for a in alerts.look([cause()], NOW + 1_000 + BLIP_MS)] == [NOW + 1_000]


def test_a_clock_that_goes_back_clears_and_raises_nothing() -> None:
    alerts = Alerts()
    alerts.look([cause()], NOW)
    assert len(alerts.look([cause()], NOW + BLIP_MS)) == 1
    assert len(alerts.look([], NOW - 3_600_000)) == 1
    assert alerts.look([], NOW + BLIP_MS + LINGER_MS) == []


@given(st.lists(st.tuples(st.integers(0, 5_000), st.sets(st.sampled_from("abc"))), max_size=60))
def test_alerts_do_not_flap_whatever_comes_and_goes(steps: list[tuple[int, set[str]]]) -> None:
    alerts, now = Alerts(), NOW
    seen: dict[str, int] = {}  # since when each is told
    gone: dict[str, int] = {}  # when its cause was last there
    held: dict[str, int] = {}  # since when its cause is there
    for wait_ms, there in steps:
        now += wait_ms
        for name in "abc":
            if name in there:
                held.setdefault(name, now)
                gone[name] = now
            elif name not in seen:
                held.pop(name, None)
        told = {alert.subject for alert in alerts.look([cause(name) for name in there], now)}
        for name in told - seen.keys():
            assert now - held[name] >= BLIP_MS, "told before its cause held"
            seen[name] = now
        for name in seen.keys() - told:
            assert now - gone[name] >= LINGER_MS, "cleared while its cause may come back"
            del seen[name]
            held.pop(name, None)
        for name in there:
            assert (name in told) is (name in seen or now - held[name] >= BLIP_MS)


def fields(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name}


def test_every_kind_has_the_same_texts_in_every_language() -> None:
    english = texts("en")
    assert set(KINDS) == {name for name, value in english.items() if isinstance(value, dict) and "next" in value}
    for language in LANGUAGES:
        words = texts(language)
        assert words.keys() == english.keys()
        for name, value in english.items():
            if not isinstance(value, dict):
                continue
            assert words[name].keys() == value.keys(), (language, name)
            for part, text in value.items():
                assert fields(words[name][part]) == fields(text), (language, name, part)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_that_a_next_step_names_is_one(language: str) -> None:
    known = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    for kind in KINDS:
        step = texts(language)[kind]["next"]
        assert step
        for command in re.findall(r"`(datong [^`]+)`", step):
            verbs = re.match(r"datong(?: [a-z-]+)+", command.split(" --")[0].split(" {")[0].split(" NAME")[0])
            assert verbs, command
            assert f"`{verbs.group()}`" in known, (kind, command)


def told(kind: str, subject: str, **values: Any) -> Alert:
    made = Alerts()
    made.look([Cause(kind=kind, subject=subject, values=values)], NOW)
    return made.look([Cause(kind=kind, subject=subject, values=values)], NOW + BLIP_MS)[0]


def test_texts_show_times_shares_and_numbers_for_people() -> None:
    late = told("topic_late", "a.b.v1", age_s=7_500.0, target_s=5_400.0)
    assert said(late, "message", "en") == "a.b.v1 is 2 h old; its contract allows 90 min."
    assert said(late, "message", "zh") == "a.b.v1 的数据已有 2 小时，约定时效为 90 分钟。"
    rows = told("quarantine_rows", "c", rows=12_345, share=0.0312, open=7, topic="t")
    assert said(rows, "message", "en") == (
        "c has rows in quarantine, 7 open; of what it read last, 12,345 went there (3.1%)."
    )
    braces = told("connector_failed", "c", reason="{0.__class__} {x}", topic="t")
    assert said(braces, "message", "en") == "c failed: {0.__class__} {x}"
    json = to_json(late)
    assert (json["id"], json["severity"], json["about"], json["since_ms"]) == (
        "topic_late:a.b.v1",
        "warning",
        "topic",
        NOW,
    )
    assert set(json["title"]) == set(json["message"]) == set(json["next_step"]) == {"en", "zh"}

"""The decision: deny by default, each refusal names its rule (G11)."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from hub.access import Contract, Grant, Plan, Refusal, Request, decide
from hub.avro import Record, parse, parse_topic_schema
from hub.errors import SchemaInvalid

TOPIC = "it-mim.education.school.v1"
SCHEMA = parse_topic_schema(
    json.dumps(
        {
            "type": "record",
            "name": "School",
            "fields": [
                {"name": "school_id", "type": "string"},
                {"name": "region", "type": "string"},
                {"name": "pupils", "type": "int"},
                {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
                    {"name": "street", "type": "string"}, {"name": "city", "type": "string"}]}},
            ],
        }
    )
)  # fmt: skip
CONTRACT = Contract(topic=TOPIC, schema=SCHEMA, key=("school_id",), scope=("region",))
APPEND = Contract(topic=TOPIC, schema=SCHEMA)
GRANT = Grant(
    name="planning",
    agency="it-lom",
    topic=TOPIC,
    purpose="school building plan",
    fields=("school_id", "address.city"),
    where="region = '03'",
    filter_fields=("region",),
    until=date(2027, 12, 31),
)
NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
ASK = Request(agency="it-lom", topic=TOPIC)


def rule(decision: Plan | Refusal) -> str:
    return decision.rule if isinstance(decision, Refusal) else "plan"


@pytest.mark.parametrize("name", ["_offset", "_partition", "_op"])
def test_R27_a_field_must_not_hide_what_every_record_carries(name: str) -> None:
    """Such a schema is refused where it enters; one that came otherwise is not delivered with that field."""
    fields = [{"name": "school_id", "type": "string"}, {"name": name, "type": "string"}]
    text = json.dumps({"type": "record", "name": "School", "fields": fields})
    with pytest.raises(SchemaInvalid, match="another name"):
        parse_topic_schema(text)
    foreign = parse(text).type
    assert isinstance(foreign, Record)
    contract = replace(APPEND, schema=foreign)
    grant = replace(GRANT, fields=("school_id", name), where=None, filter_fields=())
    assert rule(decide(ASK, [grant], contract, NOW)) == "reserved_field"
    assert rule(decide(ASK, [replace(grant, fields=("school_id",))], contract, NOW)) == "plan"


def test_G11_a_grant_gives_its_fields_and_rows() -> None:
    plan = decide(ASK, [GRANT], CONTRACT, NOW)
    assert isinstance(plan, Plan)
    assert (plan.grant, plan.agency, plan.topic, plan.purpose) == ("planning", "it-lom", TOPIC, GRANT.purpose)
    assert [f.name for f in plan.schema.fields] == ["school_id", "address"]
    assert "street" not in plan.schema_text
    assert plan.filter_schema is not None
    assert [f.name for f in plan.filter_schema.fields] == ["region"]
    assert plan.keyed
    assert plan.key == ("school_id",)
    assert not isinstance(decide(ASK, [GRANT], APPEND, NOW), Refusal)


def test_a_grant_without_row_filter_has_none() -> None:
    plan = decide(ASK, [replace(GRANT, where=None, filter_fields=())], CONTRACT, NOW)
    assert isinstance(plan, Plan)
    assert plan.filter_schema is None


NOTHING = {"grants": [], "contract": CONTRACT, "ask": ASK, "now": NOW}
CASES = {
    "no_grant": {},
    "unknown_topic": {"contract": None, "grants": [GRANT]},
    "unknown_topic (another contract)": {"contract": replace(CONTRACT, topic="a.b.v1"), "grants": [GRANT]},
    "topic_not_shared": {"contract": replace(CONTRACT, sharing="not shared"), "grants": [GRANT]},
    "no_grant (of this agency)": {"grants": [replace(GRANT, agency="it-pie")]},
    "no_grant (of this topic)": {"grants": [replace(GRANT, topic="a.b.v1")]},
    "no_grant (of this name)": {"grants": [GRANT], "ask": replace(ASK, grant="nope")},
    "other_agency": {"grants": [replace(GRANT, agency="it-pie")], "ask": replace(ASK, grant="planning")},
    "other_topic": {"grants": [replace(GRANT, topic="a.b.v1")], "ask": replace(ASK, grant="planning")},
    "other_purpose": {"grants": [GRANT], "ask": replace(ASK, purpose="curiosity")},
    "expired": {"grants": [GRANT], "now": datetime(2028, 1, 1, tzinfo=UTC)},
    "expired (both)": {"grants": [GRANT, replace(GRANT, name="b")], "now": datetime(2028, 1, 1, tzinfo=UTC)},
    "several_grants": {"grants": [GRANT, replace(GRANT, name="b")]},
    "unknown_field": {"grants": [replace(GRANT, fields=("school_id", "secret"))]},
    "unknown_field (nested)": {"grants": [replace(GRANT, fields=("school_id", "address.zip"))]},
    "unknown_field (of the filter)": {"grants": [replace(GRANT, filter_fields=("nope",))], "contract": APPEND},
    "missing_key_fields": {"grants": [replace(GRANT, fields=("region",))]},
    "filter_outside_scope": {"grants": [replace(GRANT, filter_fields=("region", "pupils"))]},
}


@pytest.mark.parametrize("name", CASES)
def test_G11_every_refusal_names_its_rule(name: str) -> None:
    given = {**NOTHING, **CASES[name]}
    decision = decide(given["ask"], given["grants"], given["contract"], given["now"])  # type: ignore[arg-type] # a table
    assert isinstance(decision, Refusal)
    assert decision.rule == name.split(" ")[0]
    error = decision.error()
    assert error.rule == decision.rule
    assert str(error).startswith(decision.message)


def test_grants_are_chosen_by_name_or_purpose() -> None:
    grants = [GRANT, replace(GRANT, name="b", purpose="statistics"), replace(GRANT, name="c", until=date(2026, 1, 1))]
    by_name = decide(replace(ASK, grant="b"), grants, CONTRACT, NOW)
    by_purpose = decide(replace(ASK, purpose="statistics"), grants, CONTRACT, NOW)
    assert by_name == by_purpose
    assert isinstance(by_name, Plan)
    assert by_name.grant == "b"
    assert rule(decide(replace(ASK, grant="c"), grants, CONTRACT, NOW)) == "expired"
    assert rule(decide(ASK, [GRANT, grants[2]], CONTRACT, NOW)) == "plan"


def test_S11_the_last_day_is_a_day_in_UTC() -> None:
    last = datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)
    east = timezone(timedelta(hours=8))
    assert rule(decide(ASK, [GRANT], CONTRACT, last)) == "plan"
    assert rule(decide(ASK, [GRANT], CONTRACT, last + timedelta(seconds=1))) == "expired"
    assert rule(decide(ASK, [GRANT], CONTRACT, last.astimezone(east))) == "plan"
    assert rule(decide(ASK, [replace(GRANT, until=None)], CONTRACT, last + timedelta(days=9999))) == "plan"
    with pytest.raises(ValueError, match="aware"):
        decide(ASK, [GRANT], CONTRACT, datetime(2027, 1, 1))  # noqa: DTZ001 - what is refused


def test_R24_selection_follows_fields_and_filter_only() -> None:
    def plan(grant: Grant, contract: Contract = CONTRACT) -> Plan:
        decision = decide(ASK, [grant], contract, NOW)
        assert isinstance(decision, Plan)
        return decision

    base = plan(GRANT)
    same = plan(replace(GRANT, fields=("address.city", "school_id"), until=None, purpose="p", name="n"))
    assert (same.selection, same.fingerprint) == (base.selection, base.fingerprint)
    fewer = plan(replace(GRANT, fields=("school_id",)))
    other = plan(replace(GRANT, where="region = '04'"))
    documented = replace(SCHEMA, doc="now with a description")
    described = plan(GRANT, replace(CONTRACT, schema=documented))
    assert described.selection == base.selection
    assert len({base.selection, fewer.selection, other.selection}) == 3
    assert len({base.fingerprint, fewer.fingerprint, other.fingerprint, described.fingerprint}) == 4


def test_a_revision_follows_every_term() -> None:
    changed = [
        {"name": "x"}, {"agency": "x"}, {"topic": "x"}, {"purpose": "x"}, {"fields": ("x",)}, {"where": "x"},
        {"until": None}, {"until": date(2000, 1, 1)},
    ]  # fmt: skip
    revisions = {replace(GRANT, **change).revision for change in changed}  # type: ignore[arg-type] # a table
    assert len(revisions | {GRANT.revision}) == len(changed) + 1
    assert replace(GRANT).revision == GRANT.revision


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"agency": ""}, {"topic": ""}, {"purpose": ""}, {"fields": ()}, {"fields": ("a", "a")},
               {"where": None}]
)  # fmt: skip
def test_a_grant_that_makes_no_sense_does_not_exist(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"grant|filter"):
        replace(GRANT, **change)  # type: ignore[arg-type] # a table


AGENCIES = ("it-lom", "it-pie", "it-mim", "")
TOPICS = (TOPIC, "it-mim.education.pupil.v1", "it-int.food.transfer.v1", "no.such.v1")
SHARING = {TOPIC: "conditional", "it-mim.education.pupil.v1": "not shared", "it-int.food.transfer.v1": "unconditional"}
GRANTS = (
    GRANT,
    replace(GRANT, name="pupils", topic="it-mim.education.pupil.v1"),
    replace(GRANT, name="old", agency="it-pie", until=date(2026, 12, 31)),
    replace(GRANT, name="food", agency="it-pie", topic="it-int.food.transfer.v1"),
)
MATRIX = {  # every other pair of agency and topic: refused
    ("it-lom", TOPIC): "plan",
    ("it-pie", "it-int.food.transfer.v1"): "plan",
    ("it-pie", TOPIC): "expired",
}


@pytest.mark.parametrize(("agency", "topic"), list(itertools.product(AGENCIES, TOPICS)))
def test_S8_access_matrix(agency: str, topic: str) -> None:
    contract = replace(CONTRACT, topic=topic, sharing=SHARING[topic]) if topic in SHARING else None
    got = rule(decide(Request(agency=agency, topic=topic), GRANTS, contract, NOW))
    default = {"conditional": "no_grant", "unconditional": "no_grant", "not shared": "topic_not_shared"}
    assert got == MATRIX.get((agency, topic), default.get(SHARING.get(topic, ""), "unknown_topic"))


@pytest.mark.parametrize(("agency", "grant"), list(itertools.product(AGENCIES, [g.name for g in GRANTS])))
def test_S8_naming_a_foreign_grant_gives_nothing(agency: str, grant: str) -> None:
    owner = next(g for g in GRANTS if g.name == grant)
    contract = replace(CONTRACT, topic=owner.topic)
    got = decide(Request(agency=agency, topic=owner.topic, grant=grant), GRANTS, contract, NOW)
    assert isinstance(got, Refusal) or got.agency == agency
    assert (rule(got) == "other_agency") == (agency != owner.agency)

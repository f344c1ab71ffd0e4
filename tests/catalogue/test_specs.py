"""Durations, schedules, nested targets, and the JSON Schemas of the files."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from connectors import KINDS, SINKS, sink_specs, source_specs
from hub.catalogue.notify import EmailChannel, NotifySpec, WebhookChannel
from hub.catalogue.schemas import json_schemas
from hub.catalogue.specs import (
    AgencySpec,
    ConnectorSpec,
    GrantSpec,
    PublishSpec,
    RetentionSpec,
    SubscriptionSpec,
    Text,
    TopicSpec,
    parse_duration,
    parse_timing,
)


@pytest.mark.parametrize(("text", "hours"), [("26h", 26), ("90m", 1.5), ("7d", 168), ("1h30m", 1.5), ("2w", 336)])
def test_durations(text: str, hours: float) -> None:
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "26", "26 h", "h", "-1h", "0s", "1.5h", "1y", "99999999w", 26, None, True])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_schedules() -> None:
    assert parse_timing(None).kind == "manual"
    assert parse_timing("once").kind == "once"
    assert parse_timing("continuous").kind == "continuous"
    assert parse_timing("every 15m").every == timedelta(minutes=15)
    assert parse_timing("0 3 * * *").cron == "0 3 * * *"
    for text in ("daily", "0 3 * *", "61 * * * *", "0 0 30 2 *", "every", "every day", ""):
        with pytest.raises(ValueError, match=r"schedule|duration"):
            parse_timing(text)


def test_nested_targets_and_dotted_ones_are_the_same() -> None:
    common = {"topic": "a.b.v1", "schema": "x.avsc"}
    nested = PublishSpec.model_validate({**common, "fields": {"a": {"b": {"c": "X"}}, "d": "Y"}})
    assert nested.fields == {"a.b.c": "X", "d": "Y"}
    with pytest.raises(ValidationError, match="twice"):
        PublishSpec.model_validate({**common, "fields": {"a": {"b": "X"}, "a.b": "Y"}})


def test_G20_json_schemas_cover_every_file_and_kind() -> None:
    made = json_schemas(source_specs(), sink_specs())
    assert set(made) == {
        "connector",
        "topic",
        "grant",
        "subscription",
        "alerts",
        "agencies",
        "bindings",
        "code_list",
        "map",
    }
    connector = made["connector"]
    assert {"connector", "agency", "source", "publish"} <= set(connector["required"])
    refs = [r["$ref"] for r in connector["properties"]["source"]["oneOf"]]
    assert refs == [f"#/$defs/source.{name}" for name in KINDS]
    for name in KINDS:
        one = connector["$defs"][f"source.{name}"]
        assert one["properties"]["kind"]["const"] == name
        assert "kind" in one["required"]
        assert one["additionalProperties"] is False
    sinks = made["subscription"]["properties"]["sink"]["oneOf"]
    assert [r["$ref"] for r in sinks] == [f"#/$defs/sink.{name}" for name in SINKS]
    for schema in made.values():
        assert set(_refs(schema)) <= {f"#/$defs/{name}" for name in schema.get("$defs", {})}


@pytest.mark.parametrize(
    "model",
    [
        AgencySpec,
        ConnectorSpec,
        EmailChannel,
        GrantSpec,
        NotifySpec,
        PublishSpec,
        RetentionSpec,
        SubscriptionSpec,
        Text,
        TopicSpec,
        WebhookChannel,
    ],
    ids=lambda m: m.__name__,
)
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def _refs(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for v in value.values() for r in _refs(v)]
    return [r for v in value for r in _refs(v)] if isinstance(value, list) else []

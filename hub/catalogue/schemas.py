"""JSON Schemas of the files a project has, for editors and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hub.catalogue.bindings import SecretSpec
from hub.catalogue.codes import CodeListSpec
from hub.catalogue.notify import CHANNELS, NotifySpec
from hub.catalogue.specs import AgencySpec, ConnectorSpec, GrantSpec, MapSpec, SubscriptionSpec, TopicSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas(kinds: Mapping[str, type[BaseModel]], sinks: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """A JSON Schema for each kind of file: connector, topic, grant, subscription, map, alerts, agencies, bindings and
    code_list.

    A connector's `source` is one of the kinds, a subscription's `sink` one of the sinks, the `channel` of alerts
    one of the channels, told apart by `kind`."""
    return {
        "connector": _headed(_with_kinds(ConnectorSpec, "source", kinds)),
        "topic": _headed(TopicSpec.model_json_schema()),
        "grant": _headed(GrantSpec.model_json_schema()),
        "subscription": _headed(_with_kinds(SubscriptionSpec, "sink", sinks)),
        "map": _headed(MapSpec.model_json_schema()),
        "alerts": _headed(_with_kinds(NotifySpec, "channel", CHANNELS)),
        "agencies": _headed(_listed("Agencies", "agencies", AgencySpec)),
        "bindings": _headed(_listed("Bindings", "secrets", SecretSpec)),
        "code_list": _headed(CodeListSpec.model_json_schema()),
    }


def _with_kinds(of: type[BaseModel], part: str, kinds: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    schema = of.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for name, model in kinds.items():
        definitions |= _kind(f"{part}.{name}", name, model)
    schema["properties"][part] = {
        "description": schema["properties"][part]["description"],
        "oneOf": [{"$ref": f"#/$defs/{part}.{name}"} for name in kinds],
    }
    return schema


def _kind(called: str, name: str, model: type[BaseModel]) -> dict[str, Any]:
    """A kind's settings with `kind` fixed and required, and the definitions it uses under names of its own."""
    made = model.model_json_schema(ref_template=f"#/$defs/{called}.{{model}}")
    inner = {f"{called}.{key}": value for key, value in made.pop("$defs", {}).items()}
    properties = made.setdefault("properties", {})
    properties["kind"] = {**properties.get("kind", {}), "const": name}
    made["required"] = sorted({*made.get("required", ()), "kind"})
    return {called: made, **inner}


def _listed(title: str, name: str, of: type[BaseModel]) -> dict[str, Any]:
    one = of.model_json_schema()
    definitions = one.pop("$defs", {})
    return {
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "array", "items": one}},
        "$defs": definitions,
    }


def _headed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, **schema}

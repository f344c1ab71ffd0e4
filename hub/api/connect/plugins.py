"""`/connector-plugins` of Kafka Connect's API: the kinds of source, their settings, and what is wrong with a configuration."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import APIRouter

from hub import __version__
from hub.api.connect.answers import Answer, Refused
from hub.api.connect.deps import Body, texts
from hub.api.deps import HubOf
from hub.app import Hub
from hub.catalogue.described import Setting
from hub.catalogue.flat import CLASS, NAME, TASKS, flat_path, to_document, to_yaml
from hub.errors import ConfigurationInvalid
from hub.sentences import Sentence

TYPES = (("integer", "LONG"), ("number", "DOUBLE"), ("list", "LIST"))
NO_DEFAULT = ""


def router() -> APIRouter:
    """All of them."""
    api = APIRouter(prefix="/connector-plugins")

    @api.get("")
    def plugins(hub: HubOf) -> Answer:
        """The kinds of source."""
        return Answer([{"class": kind, "type": "source", "version": __version__} for kind in hub.editing.kinds])

    @api.get("/{plugin}/config")
    def config(plugin: str, hub: HubOf) -> Answer:
        """The settings of a kind, and of every connector."""
        return Answer(_definitions(hub, plugin))

    @api.put("/{plugin}/config/validate")
    def validate(plugin: str, hub: HubOf, body: Body) -> Answer:
        """What is wrong with each setting."""
        return Answer(_validated(hub, plugin, texts(body, nulls=True)))

    return api


def _definitions(hub: Hub, plugin: str) -> list[dict[str, Any]]:
    if plugin not in hub.editing.kinds:
        raise Refused(404, f"Unknown plugin {plugin}.")
    made = [_definition(one, order) for order, one in enumerate(hub.editing.kinds[plugin], 1)]
    tasks = Setting(
        name=TASKS, takes=Sentence("integer"), required=False, default='"1"', text="A connector runs as one task."
    )
    return [*made, _definition(tasks, len(made) + 1)]


def _definition(one: Setting, order: int) -> dict[str, Any]:
    name = flat_path(one.name)
    kind = next((theirs for ours, theirs in TYPES if one.value.startswith(ours)), "STRING")
    group = (
        "source" if one.name.startswith("source.") else "publish" if one.name.startswith("publish.") else "connector"
    )
    return {
        "name": name,
        "type": kind,
        "required": one.required,
        "default_value": None if one.default == NO_DEFAULT else one.default.strip('"'),
        "importance": "HIGH" if one.required else "MEDIUM",
        "documentation": f"{one.text} ({one.value})",
        "group": group,
        "order_in_group": order,
        "width": "LONG",
        "display_name": name,
        "dependents": [],
    }


def _validated(hub: Hub, plugin: str, given: dict[str, str | None]) -> dict[str, Any]:
    config = {name: text for name, text in given.items() if text is not None}
    if config.setdefault(CLASS, plugin) != plugin:
        raise Refused(400, f"Included connector type {config[CLASS]} does not match request type {plugin}")
    definitions = {one["name"]: one for one in _definitions(hub, plugin)}
    wrong = _wrong(hub, config)
    for name in sorted({*config, *wrong} - set(definitions)):
        unnamed = Setting(name=name, takes=Sentence("text"), required=False, default=NO_DEFAULT, text="")
        definitions[name] = {**_definition(unnamed, len(definitions) + 1), "name": name, "display_name": name}
    return {
        "name": plugin,
        "error_count": sum(map(len, wrong.values())),
        "groups": ["connector", "source", "publish"],
        "configs": [
            {
                "definition": one,
                "value": {
                    "name": name,
                    "value": config.get(name, one["default_value"]),
                    "recommended_values": [],
                    "errors": wrong.get(name, []),
                    "visible": True,
                },
            }
            for name, one in definitions.items()
        ],
    }


def _wrong(hub: Hub, config: dict[str, str]) -> dict[str, list[str]]:
    """Sentences by key. What another file would have to say is told of the name."""
    try:
        text = to_yaml(to_document(config))
    except ConfigurationInvalid as error:
        return {error.where or NAME: [error.message]}
    found: dict[str, list[str]] = defaultdict(list)
    checked = hub.editing.validate(text)
    for one in checked["mistakes"]:
        said = one["message"] + (f" ({one['suggestion']})" if one["suggestion"] else "")
        if one["file"] == checked["file"]:
            found[flat_path(one["path"]) or NAME].append(said)
        else:
            found[NAME].append(f"{one['file']}:{one['line']}: {said}")
    return found

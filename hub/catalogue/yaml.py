"""YAML as data: no aliases, tags, merge keys or duplicate keys, bounded in size and depth, lines remembered (S5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from hub.errors import ConfigurationInvalid

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 50_000
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it was built in


def is_text(name: str) -> bool:
    """Can it be told in an answer? The name of a file that is not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Document:
    """A mapping, and the line of each of its paths (`publish.fields.name`)."""

    data: dict[str, Any]
    lines: Mapping[str, int]

    def line(self, path: str) -> int:
        """1-based line of a path, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, 1)


def load_yaml(raw: bytes, name: str) -> Document:
    """A document that is a mapping. Raises ConfigurationInvalid with the line."""
    if len(raw) > MAX_BYTES:
        raise ConfigurationInvalid(f"is larger than {MAX_BYTES:,} bytes", where=name)
    try:
        text = raw.decode("utf-8-sig")
        _refuse_events(text, name)
        node = yaml.compose(text, Loader=LOADER)
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid("is not UTF-8", where=name) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationInvalid(f"is not YAML: {error.problem or 'syntax'}", where=f"{name}:{line}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationInvalid("is not YAML", where=name) from error
    if node is None:
        return Document({}, {})
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationInvalid("is a mapping of names to values", where=f"{name}:1")
    lines: dict[str, int] = {}
    return Document(_value(node, "", lines, name), lines)


def _refuse_events(text: str, name: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=LOADER)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigurationInvalid("aliases and anchors are not allowed", where=f"{name}:{line}")
        if getattr(event, "tag", None) and not isinstance(event, yaml.DocumentStartEvent):
            raise ConfigurationInvalid("tags are not allowed", where=f"{name}:{line}")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise ConfigurationInvalid("is nested too deep or too long", where=f"{name}:{line}")


def _value(node: yaml.Node, path: str, lines: dict[str, int], name: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{path}.{i}", lines, name) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, name)
    try:
        return SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        where = f"{name}:{node.start_mark.line + 1}"
        raise ConfigurationInvalid("a value cannot be read", where=where, remedy="quote it") from error


def _mapping(node: yaml.MappingNode, path: str, lines: dict[str, int], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        where = f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
            raise ConfigurationInvalid("names are plain text; merge keys are not allowed", where=where)
        if key in found:
            raise ConfigurationInvalid(f"`{key}` stands twice", where=where)
        inner = f"{path}.{key}" if path else key
        lines[inner] = key_node.start_mark.line + 1
        found[key] = _value(value_node, inner, lines, name)
    return found

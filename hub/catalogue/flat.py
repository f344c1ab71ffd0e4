r"""A connector as Kafka Connect writes one: a flat mapping of dotted names to texts, and back, nothing lost. Pure.

- `name` is our `connector`, `connector.class` our `source.kind`; every other key is the path of a setting:
  `source.path`, `publish.topic`. A dot or backslash inside a name is escaped by a backslash, but below `publish.fields`,
  where `address.street` is a path anyway.
- What can only be text (names, schedule, expressions) stands as it is. Elsewhere numbers, `true`, `false`, `null`, lists
  and `{}` are JSON in its compact form, and every other text is itself; a text that would read as one of these is put in
  JSON's quotes: `"5"`. So each value is written in one way, and each way means one value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from hub.errors import ConfigurationInvalid

NAME, CLASS, TASKS = "name", "connector.class", "tasks.max"
RENAMED = {(NAME,): ("connector",), ("connector", "class"): ("source", "kind")}  # theirs → ours
BACK = {ours: theirs for theirs, ours in RENAMED.items()}
FIELDS, CHECKS = ("publish", "fields"), ("publish", "checks")  # below them is text
TEXTS = {  # at and below these paths as well
    ("connector",), ("agency",), ("description",), ("schedule",), ("source", "kind"), ("publish", "topic"),
    ("publish", "schema"), ("publish", "mode"), ("publish", "where"),
}  # fmt: skip
ORDER = ("connector", "agency", "description", "source", "schedule", "publish")
MAX_DEPTH = 18  # of names; YAML takes a little more
MAX_KEYS = 20_000
Path = tuple[str, ...]


class _Plain(yaml.SafeDumper):
    """Without anchors, which our files may not have."""

    def ignore_aliases(self, _data: Any) -> bool:
        """See yaml."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted so that it is read as it was written, whatever ends lines to whom."""
    odd = not text.isprintable() or text != text.strip()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if odd else None)


_Plain.add_representer(str, _text)


def to_flat(document: Mapping[str, Any]) -> dict[str, str]:
    """What a connector's file says, by dotted names."""
    found: dict[str, str] = {}
    for path, value in _leaves(document, ()):
        if value is not None or not _is_text(path):  # None there is as good as nothing
            found[_key(path)] = value if isinstance(value, str) and _is_text(path) else _spelled(value)
    return found


def to_document(flat: Mapping[str, str]) -> dict[str, Any]:
    """What a connector's file would say. Raises ConfigurationInvalid; `where` is the key."""
    if len(flat) > MAX_KEYS:
        raise ConfigurationInvalid(f"has more than {MAX_KEYS:,} keys")
    made: dict[str, Any] = {}
    for key, text in flat.items():
        if key == TASKS:
            _check_tasks(text)
            continue
        path = _path(key)
        _put(made, path, text if _is_text(path) else _value(text), key)
    return {name: made[name] for name in sorted(made, key=_order)}


def to_yaml(document: Mapping[str, Any]) -> bytes:
    """The text of a connector's file. Raises ConfigurationInvalid for what no text can hold."""
    try:
        text: str = yaml.dump(dict(document), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
        return text.encode()
    except (UnicodeEncodeError, RecursionError, yaml.YAMLError):
        raise ConfigurationInvalid("holds what is no text") from None


def flat_path(path: str) -> str:
    """The key of a setting that a mistake names: `publish.key[0]` is told of `publish.key`."""
    bare = re.sub(r"\[\d+\].*", "", path)
    return _key(BACK[tuple(bare.split("."))]) if tuple(bare.split(".")) in BACK else bare


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    else:
        yield path, value


def _is_text(path: Path) -> bool:
    return path[:1] in TEXTS or path[:2] in TEXTS or (path[:2] in (FIELDS, CHECKS) and len(path) > 2)


def _key(path: Path) -> str:
    path = BACK.get(path, path)
    if path[:2] == FIELDS and len(path) > 2:
        return ".".join(path)
    return ".".join(re.sub(r"([\\.])", r"\\\1", name) for name in path)


def _path(key: str) -> Path:
    prefix = ".".join(FIELDS) + "."
    if key.startswith(prefix):
        return (*FIELDS, key.removeprefix(prefix))
    path = tuple(_names(key))
    if len(path) > MAX_DEPTH:
        raise ConfigurationInvalid("is nested too deep", where=key[:200])
    if path in BACK:
        raise ConfigurationInvalid(f"is spelled `{_key(path)}` here", where=key)
    return RENAMED.get(path, path)


def _names(key: str) -> list[str]:
    """Between the dots that no backslash escapes."""
    names, inside = [""], False
    for char in key:
        if inside and char not in "\\.":
            break
        if inside or char not in "\\.":
            names[-1] += char
            inside = False
        elif char == ".":
            names.append("")
        else:
            inside = True
    if inside:
        raise ConfigurationInvalid("has a backslash that escapes neither a dot nor a backslash", where=key[:200])
    return names


def _put(made: dict[str, Any], path: Path, value: Any, key: str) -> None:
    at: Any = made
    for name in path[:-1]:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            break
    if not isinstance(at, dict) or path[-1] in at:
        raise ConfigurationInvalid("another key gives it a value already", where=key)
    at[path[-1]] = value


def _spelled(value: Any) -> str:
    """A value as text: one way for each."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if _reads_as(value) is not None else value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _value(text: str) -> Any:
    """The value that is spelled so."""
    found = _reads_as(text)
    return text if found is None else found[0]


def _reads_as(text: str) -> tuple[Any] | None:
    """What a text is the spelling of, when it is not simply itself."""
    if not text or text[0] not in '-0123456789tfn["{':
        return None
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if isinstance(value, dict) and value:
            return None
        return (value,) if _spelled(value) == text else None
    except (ValueError, RecursionError):
        return None


def _no_constant(_text: str) -> Any:
    raise ValueError("JSON has no such number")


def _check_tasks(text: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise ConfigurationInvalid("must be a whole number; a connector runs as one task", where=TASKS)


def _order(name: str) -> tuple[int, str]:
    return (ORDER.index(name), "") if name in ORDER else (len(ORDER), name)

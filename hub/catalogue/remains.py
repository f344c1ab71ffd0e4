"""What is left of a malformed declaration, so that its other mistakes are found in the same pass. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from hub.catalogue.mistakes import Mistake, dotted
from hub.catalogue.specs import Spec

Of = TypeVar("Of", bound=Spec)
Path = tuple[str, ...]
UNKNOWN = "unknown"


def remains(model: type[Of], data: Mapping[str, Any]) -> tuple[Of, frozenset[str]] | None:
    """The declaration without its malformed parts, stand-ins where one is required, and the paths that were replaced.

    None where nothing can be made of it. Only for checking: what it yields is never served.
    """
    at = copy.deepcopy(dict(data))
    touched: set[Path] = set()
    for _ in range(3):  # taking a part away may leave its parent incomplete
        try:
            return model.model_validate(at), frozenset(dotted(p) for p in touched)
        except ValidationError as error:
            paths = {_of_key(e["loc"]) for e in error.errors(include_url=False, include_input=False)}
        for path in sorted(paths):
            touched.add(path)
            _replace(at, path)
    return None


def besides(mistakes: Iterator[Mistake], touched: frozenset[str]) -> list[Mistake]:
    """The mistakes that are not about a replaced part."""
    return [m for m in mistakes if not any(m.path == t or m.path.startswith((f"{t}.", f"{t}[")) for t in touched)]


def _of_key(loc: tuple[str | int, ...]) -> Path:
    """The path as far as keys go: a list with a bad item is replaced whole."""
    path: list[str] = []
    for part in loc:
        if isinstance(part, int) or part == "[key]":
            break
        path.append(part)
    return tuple(path)


def _replace(data: dict[str, Any], path: Path) -> None:
    stand_in = _stand_ins(data).get(path)
    at: Any = data
    for i, part in enumerate(path):
        if not isinstance(at, dict):
            return
        if i == len(path) - 1:
            at.pop(part, None)
            if stand_in is not None:
                at[part] = stand_in
        elif part in at:
            at = at[part]
        else:  # `address.street` may stand there as `address: {street: …}`
            head, _, tail = part.partition(".")
            if tail:
                _replace(at, (head, tail, *path[i + 1 :]))
            return
    if path and "." in path[-1] and isinstance(at, dict):
        head, _, tail = path[-1].partition(".")
        _replace(at, (head, tail))


def _stand_ins(data: Mapping[str, Any]) -> dict[Path, Any]:
    """Values for required parts, chosen so that they raise no further mistake elsewhere (R9)."""
    publish = data.get("publish")
    topic = publish.get("topic") if isinstance(publish, dict) else data.get("topic")
    agency = data.get("agency")
    first = topic.partition(".")[0] if isinstance(topic, str) else UNKNOWN
    name = f"{agency if isinstance(agency, str) else UNKNOWN}.{UNKNOWN}.v1"
    fields = {UNKNOWN: "NULL"}
    return {
        ("connector",): UNKNOWN,
        ("grant",): UNKNOWN,
        ("subscription",): UNKNOWN,
        ("sink",): {},
        ("agency",): first,
        ("source",): {},
        ("publish",): {"topic": name, "schema": UNKNOWN, "fields": fields},
        ("publish", "topic"): name,
        ("publish", "schema"): UNKNOWN,
        ("publish", "fields"): fields,
        ("topic",): name,
        ("title",): UNKNOWN,
        ("purpose",): UNKNOWN,
        ("fields",): [UNKNOWN],
    }

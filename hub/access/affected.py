"""Which subscriptions a change of a topic's schema touches: those whose grant has the field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.access.grants import Grant


def affected(grants: Iterable[Grant], topic: str, paths: Sequence[str]) -> list[Grant]:
    """Grants on the topic that read one of these field paths, or filter rows by it. A path that is empty, or not a
    field's, is of the schema as a whole: it touches all."""
    changed = [path.replace("[]", "").replace("{}", "") for path in paths]
    return [g for g in grants if g.topic == topic and any(_reads(g, path) for path in changed)]


def _reads(grant: Grant, path: str) -> bool:
    return any(_same(path, field) for field in (*grant.fields, *grant.filter_fields))


def _same(path: str, field: str) -> bool:
    """One is the other, or lies inside it."""
    return not path or path == field or path.startswith(f"{field}.") or field.startswith(f"{path}.")

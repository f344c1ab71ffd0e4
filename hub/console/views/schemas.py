"""Schemas: subjects and versions, what changes between two of them and for whom, and a place to try a new one."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from hub.api.problems import status_of
from hub.console.pages import Action, Asked, Page, Shown, Values, trouble
from hub.console.views.shared import paged
from hub.errors import ConfigurationInvalid, DatongError, SchemaInvalid

A_PAGE = 200  # subjects
MOST_FIELDS = 400  # rows of the table
MOST_SHOWN = 40_000  # characters of a schema; all of it is in the twin
LONGEST = 1024 * 1024  # characters of a schema that is tried


def schemas(asked: Asked) -> Values:
    """Every subject with its newest version and who has to do with it, so many at a time; those whose name has `text`."""
    views, text = asked.hub.views, asked.query.get("text", "")[:200]
    found = [one for one in views.schemas() if text.strip().casefold() in one["subject"].casefold()]
    page = paged(asked, found, A_PAGE)
    topics = _topics(asked)
    return {
        "text": text,
        **page.values,
        "subjects": [{**one, **_uses(asked, one["subject"], topics)} for one in page.rows],
    }


def schema(asked: Asked) -> Values:
    """One subject: its versions, one of them in full, and the difference between two."""
    views, subject = asked.hub.views, asked.path["subject"]
    known = views.schema_versions(subject)
    versions = [one["version"] for one in known["versions"]]  # the newest first
    chosen = _version(asked, "version", versions[0], versions)
    new = _version(asked, "to", versions[0], versions)
    old = _version(asked, "from", next((v for v in versions if v < new), new), versions)
    shown = next(one for one in known["versions"] if one["version"] == chosen)
    text = json.dumps(shown["schema"], indent=2, ensure_ascii=False)
    return {
        "subject": subject,
        "level": known["level"],
        "versions": [{name: one[name] for name in ("version", "id", "registered")} for one in known["versions"]],
        "chosen": {**shown, "fields": list(fields(shown["schema"]))[:MOST_FIELDS]},
        "text": text[:MOST_SHOWN],
        "cut": len(text) > MOST_SHOWN,
        "diff": views.schema_diff(subject, old, new) if len(versions) > 1 else None,
        "uses": _uses(asked, subject, _topics(asked)),
        "wrong": None,
        "judged": None,
        "given": "",
    }


def check(asked: Asked) -> Shown:
    """Would it be taken, and what would it do to whom? Nothing is registered; what was typed stays."""
    text = asked.form.get("schema", "")
    values = schema(asked) | {"given": text}
    try:
        if len(text) > LONGEST:
            raise SchemaInvalid(f"it has more than {LONGEST:,} characters")
        return Shown(page=PAGE, values=values | {"judged": asked.hub.views.schema_check(asked.path["subject"], text)})
    except DatongError as error:
        wrong = trouble(error)
        return Shown(page=PAGE, values=values | {"wrong": wrong}, status=status_of(error))


def fields(of: Any, above: str = "") -> Iterator[dict[str, Any]]:
    """The fields of a schema's JSON, those inside a field behind it by dotted path. Types that are named only are not
    followed, so that a recursive one ends."""
    if isinstance(of, list):
        for branch in of:
            yield from fields(branch, above)
        return
    if not isinstance(of, dict):
        return
    if of.get("type") in ("array", "map"):
        inside = ("items", "[]") if of["type"] == "array" else ("values", "{}")
        yield from fields(of.get(inside[0]), f"{above.removesuffix('.')}{inside[1]}." if above else "")
    elif of.get("type") == "record":
        for field in of["fields"]:
            yield {
                "name": f"{above}{field['name']}",
                "type": told(field["type"]),
                "default": json.dumps(field["default"], ensure_ascii=False)[:100] if "default" in field else None,
                **{name: str(field.get(name, "")) for name in ("doc", "doc_zh", "unit", "classification")},
            }
            yield from fields(field["type"], f"{above}{field['name']}.")
    elif isinstance(of.get("type"), (dict, list)):
        yield from fields(of["type"], above)


def told(of: Any) -> str:
    """A type as people write one, in any language."""
    if isinstance(of, list):
        return " | ".join(map(told, of))
    if not isinstance(of, dict):
        return str(of)
    kind = of.get("type")
    if isinstance(kind, (dict, list)):
        return told(kind)
    if kind in ("array", "map"):
        return f"{kind}<{told(of.get('items' if kind == 'array' else 'values'))}>"
    if kind == "enum":
        symbols = ", ".join(of["symbols"][:8])
        return f"enum({symbols}{', …' if len(of['symbols']) > 8 else ''})"
    if of.get("logicalType") == "decimal":
        return f"decimal({of.get('precision')}, {of.get('scale', 0)})"
    return str(of.get("logicalType") or of.get("name") or kind)


def _version(asked: Asked, name: str, default: int, known: list[int]) -> int:
    """One of those there are. Raises ConfigurationInvalid."""
    given = asked.query.get(name, "")
    if not given:
        return default
    if given not in map(str, known):
        raise ConfigurationInvalid("there is no such version", where=name, remedy="choose one of the list")
    return int(given)


def _uses(asked: Asked, subject: str, topics: Collection[str]) -> dict[str, Any]:
    """Who has to do with it. Of a topic that there is: a grant's subject is named like a topic's, and has none."""
    uses = asked.hub.views.schema_uses(subject)
    found = {name: uses[name] for name in ("connectors", "subscriptions")}
    return {"topic": uses["topic"] if uses["topic"] in topics else None, **found}


def _topics(asked: Asked) -> Collection[str]:
    return {*asked.hub.catalogue.topics, *asked.hub.log.topics()}


ONE = "/schemas/{subject}"
PAGE = Page(path=ONE, template="schema.html", show=schema, area="schemas")
PAGES = (Page(path="/schemas", template="schemas.html", show=schemas, area="schemas"), PAGE)
ACTIONS = (Action(path=f"{ONE}/check", act=check, role="viewer"),)

"""Topics: which there are, what one promises, what is in it, who may read it and who does."""

from __future__ import annotations

from typing import Any

from hub.console.pages import Asked, Page, Values
from hub.console.views.shared import paged
from hub.watch import Sample

A_PAGE = 150  # topics


def topics(asked: Asked) -> Values:
    """All of them, so many at a time; of one `agency`, `late` ones only, or such whose name or title has `text`."""
    hub, sample = asked.hub, asked.hub.watch.latest()
    agency, late, text = asked.query.get("agency", ""), asked.query.get("late", ""), asked.query.get("text", "")[:200]
    every = hub.views.topics()
    found = [
        one
        for one in every
        if (not agency or one["agency"] == agency) and (not late or one["late"]) and _has(one, text.strip().casefold())
    ]
    page = paged(asked, found, A_PAGE)
    return {
        "agency": agency,
        "agencies": sorted({one["agency"]: one["agency_name"] for one in every}.items()),
        "late": bool(late),
        "text": text,
        "in_all": len(every),
        **page.values,
        "topics": [_flowing(one, sample) for one in page.rows],
    }


def topic(asked: Asked) -> Values:
    """One: contract, fields, partitions, a masked look at the newest records, readers, and the connectors that write it."""
    hub, name = asked.hub, asked.path["topic"]
    shown = hub.views.topic(name)
    writers = sorted(n for n, spec in hub.catalogue.connectors.items() if spec.publish.topic == name)
    sampled = hub.views.sample(name)
    return {
        "topic": _flowing(shown, hub.watch.latest()),
        "columns": [field["name"] for field in shown["fields"] if "." not in field["name"]],
        "sample": sampled["records"],
        "notes": sampled["notes"],
        "masked": sampled["masked"],
        **{part: found for part, found in hub.views.readers(name).items() if part in ("grants", "groups")},
        "connectors": [_connector(one) for one in map(hub.views.connector, writers)],
    }


def _has(topic: dict[str, Any], text: str) -> bool:
    return any(text in words.casefold() for words in (topic["topic"], *topic["title"].values()))


def _flowing(topic: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """With what only samples know; none of a topic that came since."""
    now = sample.topics.get(topic["topic"])
    return {**topic, "rate": now.rate if now else None, "lag": now.lag if now else None}


def _connector(one: dict[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("name", "state", "running", "mode", "schedule")}


PAGES = (
    Page(path="/topics", template="topics.html", show=topics, area="topics"),
    Page(path="/topics/{topic}", template="topic.html", show=topic, area="topics"),
)

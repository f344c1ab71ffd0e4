"""What flows now, what is late, what failed, and what to do: all at one look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from hub.app import Hub
from hub.catalogue.edit import FOLDER as CONNECTORS
from hub.console.live import rates
from hub.console.pages import Asked, Page, Values
from hub.console.render import segment
from hub.console.views.shared import unadvised
from hub.watch import Sample, TopicSample

SEVERITIES = ("critical", "warning", "info")
SHOWN = 30  # topics; the others are on their own page


def overview(asked: Asked) -> Values:
    """Alerts, sums, the topics that most want to be looked at, and the connectors that run or do not."""
    hub = asked.hub
    sample = hub.watch.latest()
    topics = sorted(sample.topics.items(), key=lambda item: _urgency(item, sample))
    return {
        "alerts": [
            {**_without_advice(alert), "page": page_of(alert, sample.connectors), "also": also_of(alert)}
            for alert in sorted(hub.alerts.listed(), key=_weight)
        ],
        "rate": sample.rate,
        "records_today": sample.records_today,
        "late": sample.late,
        "lag": sample.lag,
        "running": sample.running,
        "states": dict(Counter(one.state for one in sample.connectors.values())),
        "topics": [_topic(hub, name, topic, sample) for name, topic in topics[:SHOWN]],
        "topics_in_all": len(sample.topics),
        "connectors": [
            {"name": name, "topic": one.topic, "state": one.state, "running": one.running, "rows": one.rows}
            for name, one in sample.connectors.items()
            if one.running or one.state != "RUNNING"
        ][:SHOWN],
        "connectors_in_all": len(sample.connectors),
    }


def history(asked: Asked) -> Values:
    """Records a second of the last ten minutes, for the chart: when, in all, and of the busiest topics."""
    return {"samples": [{"at": sample.at_ms, "rates": rates(sample)} for sample in asked.hub.watch.after(0)]}


def page_of(alert: dict[str, Any], connectors: Collection[str]) -> str:
    """Where an alert's subject is best looked at: a path. Empty for one that is none of these connectors."""
    kind, about, subject = alert["kind"], alert["about"], segment(alert["subject"])
    if about == "connector" and alert["subject"] not in connectors:
        return ""
    if kind == "configuration_mistake" and alert["subject"].startswith(f"{CONNECTORS}/"):
        return "/console/connectors"
    if about in ("topic", "connector"):
        return f"/console/{about}s/{subject}"
    return "/console/subscribers" if about in ("group", "subscription") else "/console/health"


def also_of(alert: dict[str, Any]) -> str:
    """Where the next step is done, when that is another page: the quarantine; empty: nowhere else."""
    in_quarantine = alert["kind"].startswith("quarantine") or alert["kind"] == "breaker_tripped"
    return f"/console/quarantine?connector={segment(alert['subject'])}" if in_quarantine else ""


def _without_advice(alert: dict[str, Any]) -> dict[str, Any]:
    """What a run said of itself ends in advice; the alert's own next step is it, in the page's language."""
    if alert["about"] not in ("connector", "subscription"):
        return alert
    message, english = dict(alert["message"]), [unadvised(text) for text in alert["english"]]
    for long, short in zip(alert["english"], english, strict=True):
        message = {language: text.replace(long, short) for language, text in message.items()}
    return {**alert, "message": message, "english": english}


def _weight(alert: dict[str, Any]) -> int:
    """The worst first; of equal ones the order stays: the oldest."""
    return SEVERITIES.index(alert["severity"])


def _urgency(item: tuple[str, TopicSample], sample: Sample) -> tuple[bool, float, int, str]:
    """Late ones first, then the busiest, then the newest."""
    name, topic = item
    return not topic.fresh.late(sample.at_ms), -topic.rate, -(topic.newest_ms or 0), name


def _topic(hub: Hub, name: str, topic: TopicSample, sample: Sample) -> dict[str, Any]:
    spec = hub.catalogue.topics.get(name)
    return {
        "topic": name,
        "title": spec.title.model_dump() if spec else {},
        "rate": topic.rate,
        "records": topic.records,
        "age_s": topic.fresh.age_s(sample.at_ms),
        "target_s": topic.fresh.target_s,
        "by": topic.fresh.by,
        "late": topic.fresh.late(sample.at_ms),
        "lag": topic.lag,
    }


PAGES = (
    Page(path="/", template="overview.html", show=overview, area="overview", charts=True),
    Page(path="/history", template="", show=history, area="overview"),
)

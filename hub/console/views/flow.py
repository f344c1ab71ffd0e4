"""Who gives what to whom: agencies, connectors, topics and subscribers as one graph, with rates and states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.console.layout import HEIGHT, WIDTH, place
from hub.console.pages import Asked, Page, Values
from hub.console.render import segment
from hub.console.views.shared import agency_title, topic_title
from hub.watch import Sample

COLUMNS = ("agencies", "connectors", "topics", "subscribers")
MOST = 80  # connectors in the picture, for a page below 100 kB; more are chosen by agency


@dataclass(frozen=True, kw_only=True)
class Node:
    """A box of the picture."""

    column: str
    name: str
    title: str
    state: str  # for its colour and word; empty: it has none
    figure: str  # name of the live text it shows
    page: str

    @property
    def id(self) -> str:
        """One of the picture."""
        return f"{self.column}:{self.name}"


def flow(asked: Asked) -> Values:
    """The graph, placed; `agency` leaves only what comes from it."""
    sample, catalogue = asked.hub.watch.latest(), asked.hub.catalogue
    agency = asked.query.get("agency", "")
    agencies = sorted({spec.agency for spec in catalogue.connectors.values()})
    wanted = {n: s for n, s in sorted(catalogue.connectors.items()) if not agency or s.agency == agency}
    shown = dict(list(wanted.items())[:MOST])
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], str] = {}

    def put(node: Node) -> str:
        return nodes.setdefault(node.id, node).id

    for name, spec in shown.items():
        giver = put(_agency(asked, spec.agency, "agencies", f"/console/flow?agency={segment(spec.agency)}"))
        connector = put(_connector(name, sample))
        topic = put(_topic(asked, spec.publish.topic, sample))
        state = nodes[connector].state
        edges[giver, connector] = edges[connector, topic] = state
    for reader, topic_name, behind in _readers(asked, sample):
        if f"topics:{topic_name}" in nodes:
            taker = put(_agency(asked, reader, "subscribers", "/console/subscribers"))
            edges[f"topics:{topic_name}", taker] = "running" if behind is not None else "idle"
    columns = [[node.id for node in nodes.values() if node.column == column] for column in COLUMNS]
    placed = place(columns, list(edges))
    return {
        "agency": agency,
        "agencies": [{"name": name, "title": agency_title(asked, name)} for name in agencies],
        "left_out": len(wanted) - len(shown),
        "size": {"width": placed.width, "height": placed.height, "box": [WIDTH, HEIGHT]},
        "nodes": [_box(node, placed.boxes[node.id], sample) for node in nodes.values()],
        "edges": [
            {"from": start, "to": end, "state": state, "curve": placed.curves[start, end]}
            for (start, end), state in edges.items()
        ],
    }


def _readers(asked: Asked, sample: Sample) -> Iterator[tuple[str, str, int | None]]:
    """Agencies that may read a topic, and how far behind; None: they do not read."""
    behind: dict[tuple[str, str], int] = {}
    for (group, topic), lag in sample.groups.items():
        key = group.partition(".")[0], topic
        behind[key] = max(behind.get(key, 0), lag)
    granted = {(grant.agency, grant.topic) for grant in asked.hub.catalogue.grants.values()}
    for agency, topic in sorted(granted | behind.keys()):
        yield agency, topic, behind.get((agency, topic))


def _agency(asked: Asked, name: str, column: str, page: str) -> Node:
    return Node(column=column, name=name, title=agency_title(asked, name), state="", figure="", page=page)


def _connector(name: str, sample: Sample) -> Node:
    one = sample.connectors.get(name)
    state = (
        "paused" if one is None else "running" if one.running else "on" if one.state == "RUNNING" else one.state.lower()
    )
    return Node(
        column="connectors",
        name=name,
        title=name,
        state=state,
        figure=f"connector.{name}.rows",
        page=f"/console/connectors/{segment(name)}",
    )


def _topic(asked: Asked, name: str, sample: Sample) -> Node:
    one = sample.topics.get(name)
    return Node(
        column="topics",
        name=name,
        title=topic_title(asked, name) or name,
        state="late" if one is not None and one.fresh.late(sample.at_ms) else "",
        figure=f"topic.{name}.rate",
        page=f"/console/topics/{segment(name)}",
    )


def _box(node: Node, corner: tuple[int, int], sample: Sample) -> dict[str, Any]:
    value: float | None = None
    if node.column == "connectors" and node.name in sample.connectors:
        value = sample.connectors[node.name].rows
    if node.column == "topics" and node.name in sample.topics:
        value = sample.topics[node.name].rate
    return {
        "id": node.id,
        "column": node.column,
        "name": node.name,
        "title": node.title,
        "state": node.state,
        "figure": node.figure if value is not None else "",
        "value": value,
        "page": node.page,
        "x": corner[0],
        "y": corner[1],
    }


PAGES = (Page(path="/flow", template="flow.html", show=flow, area="flow"),)

"""All pages and actions of the console, each file one area. A visible table: what is not in it is not there."""

from __future__ import annotations

from hub.console.pages import Action, Page
from hub.console.views import (
    connectors,
    editor,
    flow,
    health,
    maps,
    overview,
    people,
    quarantine,
    schemas,
    subscribers,
    topics,
)

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *flow.PAGES,
    *maps.PAGES,
    *editor.PAGES,  # before the connectors: `new` is no connector's name there
    *connectors.PAGES,
    *topics.PAGES,
    *quarantine.PAGES,
    *subscribers.PAGES,
    *schemas.PAGES,
    *health.PAGES,
    *people.PAGES,
)
ACTIONS: tuple[Action, ...] = (
    *editor.ACTIONS,
    *connectors.ACTIONS,
    *quarantine.ACTIONS,
    *subscribers.ACTIONS,
    *schemas.ACTIONS,
    *health.ACTIONS,
    *people.ACTIONS,
)

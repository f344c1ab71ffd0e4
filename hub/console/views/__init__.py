"""All pages and actions of the console, each file one area. A visible table: what is not in it is not there."""

from __future__ import annotations

from hub.console.pages import Action, Page
from hub.console.views import connectors, editor, flow, health, overview, people, quarantine

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *flow.PAGES,
    *editor.PAGES,  # before the connectors: `new` is no connector's name there
    *connectors.PAGES,
    *quarantine.PAGES,
    *health.PAGES,
    *people.PAGES,
)
ACTIONS: tuple[Action, ...] = (
    *editor.ACTIONS,
    *connectors.ACTIONS,
    *quarantine.ACTIONS,
    *health.ACTIONS,
    *people.ACTIONS,
)

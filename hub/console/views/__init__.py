"""All pages and actions of the console, each file one area. A visible table: what is not in it is not there."""

from __future__ import annotations

from hub.console.pages import Action, Page
from hub.console.views import flow, health, overview, people

PAGES: tuple[Page, ...] = (*overview.PAGES, *flow.PAGES, *health.PAGES, *people.PAGES)
ACTIONS: tuple[Action, ...] = (*health.ACTIONS, *people.ACTIONS)

"""Is the hub well, what runs, and which settings hold."""

from __future__ import annotations

from dataclasses import asdict

from hub import __version__
from hub.console.pages import Asked, Page, Values


def health(asked: Asked) -> Values:
    """Checks, notices, nodes, mistakes of the configuration, and every setting with its origin; secrets are redacted."""
    hub = asked.hub
    return {
        "version": __version__,
        "checks": hub.checks(),
        "notices": [asdict(notice) for notice in hub.log.notices()],
        "mistakes": [str(mistake) for mistake in hub.catalogue.mistakes],
        "nodes": hub.views.nodes(),
        "settings": hub.views.settings(),
    }


PAGES = (Page(path="/health", template="health.html", show=health, area="health"),)
ACTIONS = ()

"""What flows now, what is late, what failed, and what to do: all at once."""

from __future__ import annotations

from hub.console.pages import Asked, Page, Values


def overview(asked: Asked) -> Values:
    """Connectors and topics as they are."""
    return {"connectors": asked.hub.views.connectors()}


PAGES = (Page(path="/", template="overview.html", show=overview, area="overview"),)

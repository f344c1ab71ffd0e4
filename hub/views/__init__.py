"""What the API, the console and commands show of a hub, as JSON values: one object, `hub.app.Hub.views`."""

from __future__ import annotations

from hub.views.maps import MapViews
from hub.views.operations import OperationViews
from hub.views.schemas import SchemaViews
from hub.views.topics import TopicViews


class Views(OperationViews, TopicViews, SchemaViews, MapViews):
    """All of them. Nothing here changes anything."""


__all__ = ["Views"]

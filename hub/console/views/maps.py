"""Maps: what a topic has of each region, as a picture and as a table."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hub.console.pages import Asked, Page, Values


def first_map(asked: Asked) -> Values:
    """The map that `map` names, or the first there is."""
    names = [one["map"] for one in asked.hub.views.maps()]
    wanted = asked.query.get("map", "") or (names[0] if names else "")
    return _shown(asked, wanted) if wanted else {"maps": [], "map": None, "regions": [], "shapes": ""}


def one_map(asked: Asked) -> Values:
    """One of them, by its path."""
    return _shown(asked, asked.path["name"])


def boundaries(asked: Asked) -> Values:
    """Its regions as GeoJSON, for the picture, which asks for them by what is in them: a browser may keep them."""
    found: Values = json.loads(asked.hub.views.map_boundaries(asked.path["name"]))
    return found


def _shown(asked: Asked, name: str) -> Values:
    found = asked.hub.views.map(name)
    return {
        "maps": asked.hub.views.maps(),
        "map": {part: value for part, value in found.items() if part != "regions"},
        "regions": sorted(found["regions"], key=_most),
        "shapes": hashlib.sha256(asked.hub.views.map_boundaries(name)).hexdigest()[:16],
    }


def _most(region: dict[str, Any]) -> tuple[bool, float, str]:
    """The largest first, then those of which nothing is known."""
    value = region["value"]
    return value is None, -(value or 0), region["name"]


PAGES = (
    Page(path="/map", template="map.html", show=first_map, area="map", charts=True),
    Page(path="/map/{name}", template="map.html", show=one_map, area="map", charts=True),
    Page(path="/map/{name}/boundaries", template="", show=boundaries, area="map", kept_s=86_400),
)

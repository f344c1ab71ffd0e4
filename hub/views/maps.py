"""Maps as JSON values: what a topic has of each region."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from hub.access.project import UnknownField
from hub.catalogue.maps import Map
from hub.errors import NotFound
from hub.views.newest import whole
from hub.views.part import Part

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.views.tally import Tally

UNITS = {"records": "records", "freshness": "seconds"}


class MapViews(Part):
    """The maps that the catalogue declares. What was counted is kept, until the map or the topic's schema is another."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._counting = threading.Lock()
        self._tallies: dict[str, tuple[Map, int, Tally]] = {}  # by map: the map, the topic's newest schema id

    def maps(self) -> list[dict[str, Any]]:
        """All of them, without numbers."""
        return [_about(one) for _, one in sorted(self._hub.catalogue.maps.items())]

    def map(self, name: str) -> dict[str, Any]:
        """A map with a value for each region, in the order of its file. Raises NotFound."""
        one = self._map(name)
        with self._counting:
            tally, note = self._tally(one)
            if tally is None:
                values: list[Any] = [0 if one.spec.measure == "records" else None] * len(one.regions)
                return _shown(one, values, counted={"complete": True, "unplaced": 0, "unreadable": 0, "note": note})
            tally.catch_up()
            counts, newest = tally.counts().tolist(), tally.newest_ms.tolist()
            counted = {
                "complete": tally.complete,
                "unplaced": counts[-1],
                "unreadable": tally.unreadable,
                "note": "it has too many keys to be counted further" if tally.full else "",
            }
        if one.spec.measure == "records":
            return _shown(one, counts[:-1], counted)
        now = time.time()
        ages = [round(max(0.0, now - ms / 1000), 1) if ms else None for ms in newest[:-1]]
        return _shown(one, ages, counted)

    def map_boundaries(self, name: str) -> bytes:
        """Its regions as GeoJSON, as the project has them. Raises NotFound."""
        return self._map(name).content

    def _map(self, name: str) -> Map:
        found = self._hub.catalogue.maps.get(name)
        if found is None:
            raise NotFound(f"there is no map {name}", remedy="`datong maps list` names those of maps.d")
        return found

    def _tally(self, one: Map) -> tuple[Tally | None, str]:
        """What counts for a map, or why there is nothing to count."""
        from hub.views.tally import Tally

        topic, deliveries = one.spec.topic, self._hub.deliveries
        known, schema_id = self._hub.log.topics().get(topic), deliveries.schema_id(topic)
        if known is None or schema_id is None:
            return None, "nothing was published yet"
        kept = self._tallies.get(one.spec.map)
        if kept is not None and kept[:2] == (one, schema_id):
            return kept[2], ""
        try:
            plan = whole(topic, deliveries.schema_of(schema_id), [one.spec.field])
        except UnknownField:
            return None, f"the topic has no field {one.spec.field} yet"
        places = {key: place for place, key in enumerate(one.regions)}

        def place_of(value: str) -> int:
            key = one.region(value)
            return len(places) if key is None else places[key]

        made = Tally(self._hub.log, plan, deliveries.schema_of, place_of, len(places), keyed=known.compacted)
        self._tallies[one.spec.map] = (one, schema_id, made)
        return made, ""


def _about(one: Map) -> dict[str, Any]:
    spec = one.spec
    return {
        "map": spec.map,
        "title": spec.title.model_dump(),
        "topic": spec.topic,
        "field": spec.field,
        "measure": spec.measure,
        "unit": UNITS[spec.measure],
        "key": spec.key,
    }


def _shown(one: Map, values: list[Any], counted: dict[str, Any]) -> dict[str, Any]:
    regions = zip(one.regions.items(), values, strict=True)
    return {
        **_about(one),
        **counted,
        "regions": [{"key": key, "name": name, "value": value} for (key, name), value in regions],
    }

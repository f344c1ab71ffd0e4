"""Maps as JSON values: what a topic has of each region."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hub.access.project import UnknownField
from hub.catalogue.maps import Map
from hub.catalogue.schema_files import SchemaFile
from hub.catalogue.specs import ConnectorSpec
from hub.errors import NotFound
from hub.mapping.codelists import CodeLists
from hub.views.newest import whole
from hub.views.part import Part

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.views.quarantined import Asked, QuarantineTally
    from hub.views.tally import Tally

NOTHING = {"complete": True, "unplaced": 0, "unreadable": 0, "untold": 0, "note": ""}
UNITS = {"records": "records", "freshness": "seconds", "quarantine": "share"}


class MapViews(Part):
    """The maps that the catalogue declares. What was counted is kept, until the map or the topic's schema is another."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._counting = threading.Lock()
        self._tallies: dict[str, tuple[Map, int, Tally]] = {}  # by map: the map, the topic's newest schema id
        self._quarantined: dict[str, tuple[Map, Asked, QuarantineTally]] = {}  # the same of rows in quarantine

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
                return _shown(one, values, {**NOTHING, "note": note})
            tally.catch_up()
            counts, newest = tally.counts().tolist(), tally.newest_ms.tolist()
            counted = {
                "complete": tally.complete,
                "unplaced": counts[-1],
                "unreadable": tally.unreadable,
                "untold": 0,
                "note": "it has too many keys to be counted further" if tally.full else "",
            }
            if one.spec.measure == "quarantine":
                return self._shares(one, counts, counted)
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
        made = Tally(self._hub.log, plan, deliveries.schema_of, _places(one), len(one.regions), keyed=known.compacted)
        self._tallies[one.spec.map] = (one, schema_id, made)
        return made, ""

    def _shares(self, one: Map, records: list[int], counted: dict[str, Any]) -> dict[str, Any]:
        """Of each region the rows in quarantine, as a share of these and of the records."""
        tally = self._quarantine(one)
        tally.catch_up()
        rows = tally.counts().tolist()
        shares = [round(bad / (bad + good), 6) if bad + good else None for bad, good in zip(rows, records, strict=True)]
        note = counted["note"] or ("it has too many rows in quarantine to be counted further" if tally.full else "")
        about = {"complete": counted["complete"] and tally.complete, "untold": rows[-1], "note": note}
        found = _shown(one, shares[:-1], {**counted, **about})
        for region, bad, good in zip(found["regions"], rows, records, strict=False):  # the last is no region
            region.update(records=good, quarantined=bad)
        return found

    def _quarantine(self, one: Map) -> QuarantineTally:
        """What counts open rows, by the mappings of today."""
        from hub.views.quarantined import QuarantineTally

        catalogue = self._hub.catalogue
        asked = _asked(one, catalogue.connectors.values(), catalogue.schemas, catalogue.codes)
        kept = self._quarantined.get(one.spec.map)
        if kept is not None and kept[:2] == (one, asked):
            return kept[2]
        made = QuarantineTally(self._hub.log, asked, catalogue.codes, _places(one), len(one.regions))
        self._quarantined[one.spec.map] = (one, asked, made)
        return made


def _places(one: Map) -> Callable[[str], int]:
    """Where the region that a value says stands among them; behind the last where it says none."""
    places = {key: place for place, key in enumerate(one.regions)}

    def place_of(value: str) -> int:
        key = one.region(value)
        return len(places) if key is None else places[key]

    return place_of


def _asked(one: Map, connectors: Iterable[ConnectorSpec], schemas: Mapping[str, SchemaFile], codes: CodeLists) -> Asked:
    """What the connectors of its topic make of its field."""
    from hub.views.quarantined import Asked, told_by

    field, topic = one.spec.field, one.spec.topic
    mine = [spec for spec in connectors if spec.publish.topic == topic]
    types = {schemas[spec.publish.schema_file].columns.field(field).type for spec in mine}
    kind = types.pop() if len(types) == 1 else pa.string()
    mappings = {spec.connector: told_by(spec.publish.mapping, field) for spec in mine}
    return Asked(topic=topic, field=pa.field(field, kind), mappings=mappings, versions=codes.versions)


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

"""JSON documents, GeoJSON and TopoJSON → rows: the elements of the array at a path, streamed (ijson)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import ijson

from connectors.sources.delimited import MAX_QUOTED, MAX_ROW
from connectors.sources.documents import Document, Feed, Found
from connectors.sources.objects import MAX_DEPTH, Bad, Number, flatten
from hub.errors import FileRefused
from hub.model import ReadFailure

Form = Literal["json", "geojson", "topojson"]
Event = tuple[str, Any]
PATHS: dict[str, str] = {"json": "", "geojson": "features", "topojson": "objects.*.geometries"}
HALF = re.compile(  # the escape of one surrogate without the other, which the parser would make a question mark
    rb"(?<!\\)(?:\\\\)*\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
)
ESCAPES = 64  # bytes of the stream kept back, so that no pair of escapes is cut
VALUE_BYTES = 8  # what a value counts at least, against arrays of a million zeros


class JsonItems(Document):
    """`path`: names with dots between them; `*` is any name, and becomes a column. An object there is one row."""

    def __init__(
        self, form: Form, path: str | None, where: str, *, wanted: frozenset[str] | None, nulls: tuple[str, ...]
    ) -> None:
        super().__init__(where, wanted=wanted, nulls=nulls)
        self._form = form
        if form == "topojson" and path:
            path = f"objects.{path}.geometries"
        self._path = (path or PATHS[form]).split(".") if path or PATHS[form] else []
        wild = self._path.count("*")
        self._keys = ["key"] if wild == 1 else [f"key{i + 1}" for i in range(wild)]
        if form == "topojson":
            self._keys = ["object"] * wild
        self._reached = False

    def _find(self, parts: Iterator[bytes]) -> Iterator[Found]:
        feed = Feed(_no_halves(parts, self._where), self._where)
        try:
            events = self._events(feed)
            for keys, item in self._walk(events, next(events), self._path, ()):
                yield self._row(keys, item)
            for _event in events:
                pass
        except ijson.JSONError as error:
            raise FileRefused("is not valid JSON", where=self._where) from error
        except StopIteration:
            raise FileRefused("is empty or ends early", where=self._where) from None
        if not self._reached:
            raise FileRefused(f"nothing stands at `{'.'.join(self._path)}`", where=self._where, remedy="check `items:`")

    def _events(self, feed: Feed) -> Iterator[Event]:
        for event in ijson.basic_parse(feed, use_float=False, buf_size=256 * 1024):
            feed.found()
            yield event

    def _walk(
        self, events: Iterator[Event], event: Event, path: list[str], keys: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Items at or below the value that `event` begins."""
        kind = event[0]
        if not path:
            self._reached = True
            if kind != "start_array":
                yield keys, self._item(events, event)
                return
            while (element := _next(events))[0] != "end_array":
                yield keys, self._item(events, element)
        elif kind == "start_map":
            while (member := _next(events))[0] != "end_map":
                if path[0] in ("*", member[1]):
                    inner = (*keys, member[1]) if path[0] == "*" else keys
                    yield from self._walk(events, _next(events), path[1:], inner)
                else:
                    _skip(events, _next(events))
        else:
            _skip(events, event)

    def _item(self, events: Iterator[Event], event: Event) -> Any:
        builder = _Builder(events)
        made = builder.value(event, 0) if self._form == "json" else builder.feature(event)
        return _Broken(builder.bad, made) if builder.bad else made

    def _row(self, keys: tuple[str, ...], item: Any) -> Found:
        reason, data = (item.reason, item.data) if isinstance(item, _Broken) else ("", item)
        if not isinstance(data, dict):
            data = {"value": data}
        try:
            if reason:
                raise Bad(reason)
            row = flatten(data)
        except Bad as bad:
            raw = json.dumps(data, ensure_ascii=True, default=str)[:MAX_QUOTED].encode()
            return ReadFailure(row=0, reason=str(bad), raw=raw)
        return {**dict(zip(self._keys, keys, strict=True)), **row}


class _Broken:
    """An item that is no row, and as much of it as was kept."""

    def __init__(self, reason: str, data: Any) -> None:
        self.reason, self.data = reason, data


class _Builder:
    """One value from events, within bounds. What goes wrong first is `bad`; the events are used up all the same."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._size = 0
        self.bad = ""

    def value(self, event: Event, depth: int) -> Any:
        """The value that `event` begins."""
        kind, value = event
        if kind not in ("start_map", "start_array"):
            self._count(len(value) if kind == "string" else 0)
            return Number(value) if kind == "number" else value
        if depth > MAX_DEPTH or self.bad == "TOO_LARGE":
            self._fail("TOO_DEEP")
            _skip(self._events, event)
            return None
        return self._object(depth) if kind == "start_map" else self._array(depth)

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while (member := _next(self._events))[0] != "end_map":
            self._count(len(member[1]))
            if member[1] in made:
                self._fail("DUPLICATE_MEMBER")
            found = self.value(_next(self._events), depth + 1)
            if not self.bad:
                made[member[1]] = found
        return made

    def _array(self, depth: int) -> list[Any]:
        made = []
        while (element := _next(self._events))[0] != "end_array":
            found = self.value(element, depth + 1)
            if not self.bad:
                made.append(found)
        return made

    def feature(self, event: Event) -> Any:
        """A feature's properties and id, its geometry's type, and where it lies if it is a point."""
        if event[0] != "start_map":
            return self.value(event, 0)
        made: dict[str, Any] = {}
        while (member := _next(self._events))[0] != "end_map":
            name, inner = member[1], _next(self._events)
            if name == "properties":
                properties = self.value(inner, 0)
                made |= properties if isinstance(properties, dict) else {}
            elif name == "geometry" and inner[0] == "start_map":
                made |= self._geometry()
            elif name == "id":
                made["id"] = self.value(inner, 0)
            else:
                _skip(self._events, inner)
        return made

    def _geometry(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while (member := _next(self._events))[0] != "end_map":
            inner = _next(self._events)
            if member[1] == "type":
                made["geometry.type"] = self.value(inner, 0)
            elif member[1] == "coordinates" and inner[0] == "start_array":
                made |= self._point()
            else:
                _skip(self._events, inner)
        return made

    def _point(self) -> dict[str, Any]:
        """Coordinates that are numbers themselves; those of lines and areas are passed over."""
        found: list[Number] = []
        while (element := _next(self._events))[0] != "end_array":
            if element[0] == "number" and len(found) < 2:
                found.append(Number(element[1]))
            else:
                _skip(self._events, element)
        return dict(zip(("geometry.lon", "geometry.lat"), found, strict=False)) if len(found) == 2 else {}

    def _count(self, size: int) -> None:
        self._size += size + VALUE_BYTES
        if self._size > MAX_ROW:
            self._fail("TOO_LARGE")

    def _fail(self, reason: str) -> None:
        self.bad = self.bad or reason


def _no_halves(parts: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The stream unchanged. Raises FileRefused at the escape of half a character: never replace (R15)."""
    kept = b""
    for part in parts:
        kept += part
        cut = len(kept) - ESCAPES
        if cut > 0:
            _look(kept, cut, where)
            yield kept[:cut]
            kept = kept[cut:]
    _look(kept, len(kept), where)
    yield kept


def _look(data: bytes, until: int, where: str) -> None:
    if b"\\ud" not in data and b"\\uD" not in data:
        return
    found = HALF.search(data)
    if found and found.start() < until:
        raise FileRefused("has the escape of half a character (a lone surrogate)", where=where)


def _next(events: Iterator[Event]) -> Event:
    for event in events:
        return event
    raise ijson.IncompleteJSONError("ended early")


def _skip(events: Iterator[Event], event: Event) -> None:
    """Pass over the value that `event` begins, however deep it is."""
    depth = 0
    while True:
        if event[0] in ("start_map", "start_array"):
            depth += 1
        elif event[0] in ("end_map", "end_array"):
            depth -= 1
        if depth <= 0:
            return
        event = _next(events)

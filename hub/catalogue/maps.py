"""Maps: regions from a GeoJSON file, and a field of a topic that says which of them a record is of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.catalogue.checks import Context
from hub.catalogue.declared import Declared
from hub.catalogue.mistakes import Mistake, did_you_mean
from hub.catalogue.schema_files import SchemaFile, scalar_columns
from hub.catalogue.specs import ConnectorSpec, MapSpec
from hub.mapping.codelists import CodeList, CodeLists, fold

MAX_BYTES = 8 * 1024 * 1024
MAX_REGIONS = 10_000
SHAPES = ("Polygon", "MultiPolygon")


@dataclass(frozen=True, kw_only=True)
class Map:
    """A map that is sound: its regions by the code that records are counted under."""

    spec: MapSpec
    content: bytes  # of the GeoJSON file
    regions: Mapping[str, str]  # key, as the file has it → name
    codes: Codes

    def region(self, value: str) -> str | None:
        """The key of the region that a record's value says; None when it is none of these."""
        return self.codes.of(value)


@dataclass(frozen=True, kw_only=True)
class Codes:
    """What is written for each region."""

    exact: Mapping[str, str] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)  # numbers without their leading zeros
    names: Mapping[str, str] = field(default_factory=dict)  # folded

    def of(self, value: str) -> str | None:
        """The region's key."""
        found = self.exact.get(value)
        if found is None and self.short and value.isdigit():
            found = self.short.get(value.lstrip("0"))
        if found is None and self.names:
            found = self.names.get(fold(value))
        return found


@dataclass(frozen=True, kw_only=True)
class Boundaries:
    """A GeoJSON file that is sound in itself."""

    content: bytes
    regions: Mapping[str, str]

    def joined(self, one: Declared[MapSpec], lists: CodeLists) -> tuple[Map | None, list[Mistake]]:
        """The regions with all that may be written for them, or what does not fit."""
        name, keys = one.spec.code_list, self.regions
        if name is None:
            codes = Codes(exact={key: key for key in keys})
            return Map(spec=one.spec, content=self.content, regions=keys, codes=codes), []
        known = lists.lists.get(name)
        if known is None:
            suggestion = did_you_mean(name, lists.lists)
            return None, [one.place.mistake(("code_list",), f"there is no code list `{name}`", suggestion)]
        mine = _spellings(known)
        found = {key: mine.of(key) for key in keys}
        strange = [key for key, code in found.items() if code is None]
        if strange:
            message = f"`{strange[0]}` of {one.spec.boundaries} is no code of {name}"
            return None, [one.place.mistake(("key",), message, "name the property that has its codes")]
        back = {code: key for key, code in found.items() if code is not None}
        codes = Codes(**{kind: _kept(getattr(mine, kind), back) for kind in ("exact", "short", "names")})
        return Map(spec=one.spec, content=self.content, regions=keys, codes=codes), []


def _kept(spellings: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, str]:
    return {text: keys[code] for text, code in spellings.items() if code in keys}


def _spellings(known: CodeList) -> Codes:
    """Codes in force and retired, and names; what stands for two codes stands for none."""
    exact = {code.code: code.code for code in known.codes}
    short = _unambiguous((code.lstrip("0"), code) for code in exact if code.isdigit())
    names = _unambiguous((fold(n), c.code) for c in known.codes for n in (c.name, *c.aliases) if n)
    return Codes(exact=exact, short=short, names=names)


def _unambiguous(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    different = set(pairs)
    times = Counter(text for text, _ in different)
    return {text: code for text, code in different if times[text] == 1}


def check_map(one: Declared[MapSpec], publisher: ConnectorSpec | None, context: Context) -> Iterator[Mistake]:
    """A map's topic and field."""
    spec = one.spec
    if spec.topic not in context.claimed_topics:
        suggestion = did_you_mean(spec.topic, context.claimed_topics)
        yield one.place.mistake(("topic",), f"topic `{spec.topic}` is not declared", suggestion)
    schema = None if publisher is None else context.schemas.get(publisher.publish.schema_file)
    if not isinstance(schema, SchemaFile):
        return
    known = scalar_columns(schema.columns)
    if spec.field not in known:
        suggestion = did_you_mean(spec.field, known)
        yield one.place.mistake(("field",), f"`{spec.field}` is no plain field of {schema.name}", suggestion)


def read_boundaries(project: Path, one: Declared[MapSpec]) -> Boundaries | list[Mistake]:
    """The regions of a map's file, or what is wrong with it."""

    def wrong(message: str, suggestion: str = "", path: str = "boundaries") -> list[Mistake]:
        return [one.place.mistake((path,), message, suggestion)]

    spec = one.spec
    name = Path(spec.boundaries)
    if name.is_absolute() or ".." in name.parts or "\0" in spec.boundaries:
        return wrong("must be a file of the project", "such as boundaries/regions.geojson")
    path = project / name
    if not path.is_file() or not path.resolve().is_relative_to(project.resolve()):
        return wrong("there is no such file in the project")
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
        document = json.loads(content) if len(content) <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return wrong("the file cannot be read as JSON")
    if document is None:
        return wrong(f"the file has more than {MAX_BYTES:,} bytes", "leave out points that nobody can see")
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not 1 <= len(features) <= MAX_REGIONS:
        return wrong(f"is no GeoJSON FeatureCollection of 1 to {MAX_REGIONS:,} regions")
    try:
        return Boundaries(content=content, regions=_regions(features, spec))
    except _Wrong as error:
        return wrong(error.message, path=error.path)


class _Wrong(Exception):
    def __init__(self, message: str, path: str = "boundaries") -> None:
        super().__init__(message)
        self.message, self.path = message, path


def _regions(features: list[Any], spec: MapSpec) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, feature in enumerate(features, 1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if not isinstance(properties, dict) or not isinstance(geometry, dict) or geometry.get("type") not in SHAPES:
            raise _Wrong(f"region {number} of the file is no Feature with a Polygon or MultiPolygon")
        key = _text(properties.get(spec.key))
        if key is None:
            raise _Wrong(f"region {number} of the file has no property `{spec.key}`", "key")
        if key in found:
            raise _Wrong(f"`{key}` stands for two regions of the file", "key")
        name = key if spec.label is None else _text(properties.get(spec.label))
        if name is None:
            raise _Wrong(f"region {number} of the file has no property `{spec.label}`", "label")
        found[key] = name
    return found


def _text(value: Any) -> str | None:
    """A property that can be a code or a name."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None

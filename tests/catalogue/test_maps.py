"""Maps: every mistake with its line (R35, S16), which spellings are one region, and the demo's boundaries."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from hub.catalogue.load import Catalogue
from hub.project import read_catalogue
from hub.settings import load_settings
from tests.catalogue.conftest import KINDS, write

ROOT = Path(__file__).resolve().parents[2]
FILE, REGIONS = "maps.d/schools.yaml", "boundaries/regions.geojson"
SOUND = """\
map: schools
title: {en: Schools, zh: 学校}
boundaries: boundaries/regions.geojson
key: code
label: name
topic: it-mim.education.school.v1
field: region
code_list: test.short
"""
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}


def region(code: Any, name: Any = "Region", geometry: Any = SQUARE) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"code": code, "name": name}, "geometry": geometry}


def collection(*regions: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(regions)})


def load(project: Path, text: str = SOUND, regions: str | None = None) -> Catalogue:
    write(project, {FILE: text, REGIONS: regions or collection(region(3, "Lombardy"), region(20, "Sardinia"))})
    return Catalogue.load(project, KINDS)


def said(catalogue: Catalogue) -> list[str]:
    return [str(m) for m in catalogue.mistakes if m.file.startswith("maps.d/")]


def test_spellings_of_a_code_list_are_one_region(project: Path) -> None:
    catalogue = load(project)
    assert said(catalogue) == []
    one = catalogue.maps["schools"]
    assert one.regions == {"3": "Lombardy", "20": "Sardinia"}
    assert [one.region(text) for text in ("03", "3", "003", "LOMBARDIA", "20")] == ["3", "3", "3", "3", "20"]
    assert [one.region(text) for text in ("3 ", "", "99", "Lazio")] == [None] * 4


def test_without_a_code_list_texts_are_compared_as_they_are(project: Path) -> None:
    one = load(project, SOUND.replace("code_list: test.short\n", ""), collection(region("03"))).maps["schools"]
    assert [one.region(text) for text in ("03", "3", "Lombardia")] == ["03", None, None]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("field: region", "field: regoin", "7: field", "did you mean `region`?"),
        ("field: region", "field: address", "7: field", "is no plain field"),
        ("topic: it-mim.education.school.v1", "topic: it-mim.education.schol.v1", "6: topic", "is not declared"),
        ("key: code", "key: no_such", "4: key", "region 1 of the file has no property `no_such`"),
        ("label: name", "label: nmae", "5: label", "has no property `nmae`"),
        ("key: code", "key: name", "4: key", "is no code of test.short"),
        ("code_list: test.short", "code_list: test.shrot", "8: code_list", "did you mean `test.short`?"),
        ("boundaries/regions.geojson", "../regions.geojson", "3: boundaries", "must be a file of the project"),
        ("boundaries/regions.geojson", "/etc/passwd", "3: boundaries", "must be a file of the project"),
        ("boundaries/regions.geojson", "no/such.geojson", "3: boundaries", "there is no such file"),
        ("boundaries/regions.geojson", "topics.d/school.yaml", "3: boundaries", "cannot be read as JSON"),
        ("field: region", "field: region\nmeasure: share", "8: measure", ""),
        ("field: region", "field: region\ncolour: red", "8: colour", "is not known here"),
    ],
)
def test_R35_a_mistake_has_its_line_and_leaves_the_map_out(
    project: Path, old: str, new: str, line: str, message: str
) -> None:
    catalogue = load(project, SOUND.replace(old, new, 1))
    (found,) = said(catalogue)
    assert found.startswith(f"{FILE}:{line}: ")
    assert message in found
    assert catalogue.maps == {}
    assert catalogue.topics  # the others stay


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ("[]", "is no GeoJSON FeatureCollection"),
        (collection(), "is no GeoJSON FeatureCollection"),
        ("[" * 100_000, "cannot be read as JSON"),
        (collection(7), "region 1 of the file is no Feature"),
        (collection(region(3), region(20, geometry={"type": "Point", "coordinates": [0, 0]})), "region 2 of the file"),
        (collection(region(3), region("3")), "stands for two regions"),
        (collection(region(True)), "has no property `code`"),
        (collection(region(3, None)), "has no property `name`"),
    ],
)
def test_S16_a_boundary_file_that_is_none(project: Path, regions: str, message: str) -> None:
    catalogue = load(project, regions=regions)
    (found,) = said(catalogue)
    assert message in found
    assert catalogue.maps == {}


def test_S16_a_link_that_leads_out_of_the_project_is_not_followed(project: Path, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "regions.geojson"
    outside.write_text(collection(region(3)))
    load(project)
    (project / REGIONS).unlink()
    (project / REGIONS).symlink_to(outside)
    (found,) = said(Catalogue.load(project, KINDS))
    assert "there is no such file in the project" in found


def test_the_demos_maps_have_every_region_and_outer_rings_clockwise_as_plotly_wants_them() -> None:
    catalogue = read_catalogue(load_settings(ROOT / "examples/italy", env={}))
    assert set(catalogue.maps) == {"schools-by-region", "municipalities-by-region", "transfers-in-quarantine"}
    one = catalogue.maps["schools-by-region"]
    assert (len(one.regions), one.regions["03"]) == (20, "Lombardia")
    assert len(one.content) <= 150_000
    for feature in json.loads(one.content)["features"]:
        for outer, *holes in feature["geometry"]["coordinates"]:
            assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in (outer, *holes))
            assert area(outer) < 0  # clockwise
            assert all(area(hole) > 0 for hole in holes)


def area(ring: list[list[float]]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring)) / 2

"""Maps on pages: a picture's values and the same as a table, from what the project declares (S18)."""

from __future__ import annotations

import html
import json

import pytest

from tests.support.library import EVIL, MAP, TOPIC, Library


def test_without_a_map_the_page_says_how_to_get_one(library: Library) -> None:
    with library.console.as_("vera") as client:
        page = client.get("/console/map")
        assert (page.status_code, "declares no map yet" in page.text) == (200, True)
        assert client.get("/console/map/nothing").status_code == 404


@pytest.fixture
def mapped(library: Library) -> Library:
    library.map()
    return library


def test_a_map_has_a_picture_and_the_same_as_a_table(mapped: Library) -> None:
    with mapped.console.as_("vera") as client:
        page = client.get("/console/map").text
        assert 'data-from="/console/map/branches.json"' in page
        assert '<span translate="no">North</span></th><td class="num">2</td>' in page
        twin = client.get("/console/map/branches.json").json()
        api = mapped.console.api("/maps/branches").json()
        assert sorted(twin["regions"], key=lambda r: r["key"]) == sorted(api["regions"], key=lambda r: r["key"])
        assert [r["key"] for r in twin["regions"]] == ["North", "Isle", "South"], "the largest first, then by name"
        assert twin["map"] == {name: value for name, value in api.items() if name != "regions"}
        shapes = client.get("/console/map/branches/boundaries.json")
        assert shapes.json() == json.loads((mapped.console.project / "regions.geojson").read_text())
        assert shapes.headers["cache-control"] == "private, max-age=86400"
        assert f"/boundaries.json?version={twin['shapes']}" in html.unescape(page)
        assert client.get("/console/map/branches.json").headers["cache-control"] == "no-store"
        assert "分馆" in client.get("/console/map/branches?language=zh").text


def test_the_form_chooses_another_map(mapped: Library) -> None:
    title = {"en": "Age of branches", "zh": "分馆时效"}
    mapped.served.edit("maps.d/age.yaml", **{**MAP, "map": "age", "title": title, "measure": "freshness"})
    with mapped.console.as_("vera") as client:
        page = client.get("/console/map", params={"map": "age"}).text
        assert "<h1>Age of branches</h1>" in page
        assert '<option value="age" selected>' in page
        assert '<td class="num">–</td>' in page, "of the others nothing is known"
        assert client.get("/console/map", params={"map": "nothing"}).status_code == 404


def test_the_share_in_quarantine_has_its_rows_beside_it_and_leads_to_the_cases(mapped: Library) -> None:
    title = {"en": "In quarantine", "zh": "隔离情况"}
    mapped.served.edit("maps.d/bad.yaml", **{**MAP, "map": "bad", "title": title, "measure": "quarantine"})
    with mapped.console.as_("vera") as client:
        page = client.get("/console/map/bad").text
        assert '<td class="num">0.00 %</td><td class="num">0</td><td class="num">2</td>' in page
        assert f'href="/console/quarantine?topic={TOPIC}"' in page
        twin, api = client.get("/console/map/bad.json").json(), mapped.console.api("/maps/bad").json()
        assert sorted(twin["regions"], key=lambda r: r["key"]) == sorted(api["regions"], key=lambda r: r["key"])
        assert (api["unit"], api["untold"]) == ("share", 0)
        assert "隔离行数" in client.get("/console/map/bad?language=zh").text


def test_S18_names_of_regions_stay_texts(mapped: Library) -> None:
    with mapped.console.as_("vera") as client:
        page = client.get("/console/map/branches").text
        assert (EVIL in page, html.escape(EVIL) in page) == (False, True)

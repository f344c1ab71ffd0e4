"""`datong topics` and `datong subscribers`: tables for people, JSON for programs (R35, G13, R24)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.access.decide import Request
from hub.app import Hub
from hub.delivery.groups import Member
from hub.settings import load_settings
from tests.cli.conftest import Datong

TOPIC = "city-library.culture.branch.v1"
GROUP = "city-planning.planning-branches.g"


@pytest.fixture
def published(here: Path, datong: Datong) -> Path:
    """Three branches, two of which the planners have read; names are not public."""
    path = here / "schemas/culture/branch.avsc"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('"名称。", "classification": "public"', '"名称。", "classification": "internal"'), encoding="utf-8"
    )
    assert datong("run").code == 0
    with Hub.open(load_settings(here, env={})) as hub:
        request, member = Request(agency="city-planning", topic=TOPIC), Member(group="g", reader="me")
        pulled = hub.deliveries.pull(request, member)
        hub.deliveries.commit(request, member, pulled.delivery.positions)
        hub.deliveries.leave(request, member)
    return here


def test_topics_lists_and_shows(published: Path, datong: Datong) -> None:
    assert TOPIC in datong("topics").out
    (one,) = json.loads(datong("topics", "--json").out)["topics"]
    (same,) = json.loads(datong("topics", "list", "--json").out)["topics"]
    assert (one["topic"], one["newest"]) == (same["topic"], same["newest"]) != ("", None)
    shown = datong("topics", "show", TOPIC, "--sample").out
    for word in (
        "planning-branches",
        GROUP,
        "the newest record of each key",
        "xxx xxxx xxxxxxx xxxx",
        "B-003",
        "internal",
    ):
        assert word in shown, word
    assert "Old Mill" not in shown
    found = json.loads(datong("topics", "show", TOPIC, "--sample", "--limit", "1", "--json").out)
    assert ([r["offset"] for r in found["sample"]["records"]], found["groups"][0]["lag"]) == ([2], 0)
    assert found["grants"][0]["state"] == "holds"


def test_R35_topics_that_are_not_there_and_options_in_the_wrong_place(published: Path, datong: Datong) -> None:
    gone = datong("topics", "show", "no.such.topic.v1")
    assert (gone.code, "next: `datong topics` lists them" in gone.err) == (1, True)
    assert datong("topics", "--json", "show", TOPIC).code == 2
    assert datong("topics", TOPIC).code == 2


def test_R24_subscribers_are_listed_shown_and_rewound(published: Path, datong: Datong) -> None:
    assert GROUP in datong("subscribers", "list").out
    assert GROUP not in datong("subscribers", "list", "--agency", "city-library").out
    shown = datong("subscribers", "show", "g", TOPIC)
    assert (shown.code, "planning-branches" in shown.out) == (0, True)
    again = datong("subscribers", "rewind", "g", TOPIC, "--to", "earliest", "--reason", "disk lost")
    assert again.out.splitlines()[-1] == f"{GROUP}: 3 offsets will be read again"
    refused = datong("subscribers", "rewind", "g", TOPIC, "--to", "0=2", "--reason", "x")
    assert (refused.code, "--accept-skip" in refused.err) == (1, True)
    moved = datong("subscribers", "rewind", GROUP, TOPIC, "--to", "0=2", "--reason", "x", "--accept-skip", "--json")
    assert json.loads(moved.out)["after"] == {"0": 2}
    past = datong("subscribers", "rewind", "g", TOPIC, "--to", "2020-01-01T00:00Z", "--reason", "x", "--json")
    assert json.loads(past.out)["after"] == {"0": 0}


@pytest.mark.parametrize("to", [["yesterday"], ["2026-11-25T08:00"], ["earliest", "0=1"], ["0=-1"]])
def test_R35_a_place_that_is_none(published: Path, datong: Datong, to: list[str]) -> None:
    arguments = [word for one in to for word in ("--to", one)]
    assert datong("subscribers", "rewind", "g", TOPIC, *arguments, "--reason", "x").code == 2


def test_maps_are_listed_and_shown(published: Path, datong: Datong) -> None:
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
    regions = [{"type": "Feature", "properties": {"code": "North"}, "geometry": shape}]
    (published / "regions.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": regions}))
    (published / "maps.d").mkdir()
    (published / "maps.d/branches.yaml").write_text(
        f"map: branches\ntitle: Branches\nboundaries: regions.geojson\nkey: code\ntopic: {TOPIC}\nfield: district\n"
    )
    assert "1 map" in datong("validate").out
    assert TOPIC in datong("maps", "list").out
    shown = datong("maps", "show", "branches").out
    assert shown.splitlines()[2].split() == ["North", "North", "2"]
    assert "of no region: 1" in shown
    assert json.loads(datong("maps", "show", "branches", "--json").out)["unplaced"] == 1
    path = published / "maps.d/branches.yaml"
    path.write_text(path.read_text() + "measure: quarantine\n")
    shown = datong("maps", "show", "branches").out
    assert ("quarantined" in shown, "0.00%" in shown) == (True, True)
    assert "next: `datong maps list`" in datong("maps", "show", "none").err

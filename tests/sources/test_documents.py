"""JSON, GeoJSON, TopoJSON and XML documents: whole or not at all, hostile ones within limits (R16, S3, S4, S24, F21, F24)."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from hub.errors import FileRefused
from tests.sources.reading import failures, read, rows


def put(root: Path, name: str, content: Any) -> None:
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    (root / name).write_bytes(content)


@pytest.mark.parametrize(
    ("items", "document", "expected"),
    [
        (None, [{"a": 1}, {"a": "x", "b": None}], [{"a": "1", "b": None}, {"a": "x", "b": None}]),
        (None, {"a": {"b": [1, "2", {"c": True}]}}, [{"a.b": '[1, "2", {"c": true}]'}]),
        ("data.rows", {"n": 7, "data": {"rows": [{"a": 1}], "more": []}}, [{"a": "1"}]),
        ("data", {"data": []}, []),
        ("*", {"x": {"a": 1}, "y": {"a": 2}}, [{"key": "x", "a": "1"}, {"key": "y", "a": "2"}]),
        ("s.*.*", {"s": {"p": {"q": [{"v": 1}]}, "t": 5}}, [{"key1": "p", "key2": "q", "v": "1"}]),
        ("*", {"x": ["a", "b"]}, [{"key": "x", "value": "a"}, {"key": "x", "value": "b"}]),
    ],
)
def test_R16_the_rows_of_a_json_document_stand_at_a_path(
    tmp_path: Path, items: str | None, document: Any, expected: list[dict[str, Any]]
) -> None:
    put(tmp_path, "f.json", document)
    assert rows(read(tmp_path, items=items, nulls=())) == expected


def test_S24_numbers_keep_their_digits_and_members_must_not_repeat(tmp_path: Path) -> None:
    put(tmp_path, "f.json", '[{"a": 12345678901234567890123}, {"a": 1.50}, {"a": 1, "a": 2}, {"a": "\\ud83d\\ude00"}]')
    found = read(tmp_path)
    assert [r["a"] for r in rows(found)] == ["12345678901234567890123", "1.50", "😀"]
    assert failures(found) == [(3, "DUPLICATE_MEMBER")]


def test_F21_an_item_too_deep_or_too_large_costs_itself(tmp_path: Path) -> None:
    deep = '{"x":' * 1000 + "1" + "}" * 1000
    large = '{"a": [' + "0," * 1_000_000 + "0]}"
    wide = json.dumps({f"m{i}": 1 for i in range(10_000)})
    put(tmp_path, "f.json", f'[{{"a": 1}}, {deep}, {large}, {wide}, {{"a": 2}}]')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(tmp_path)
    assert [r["a"] for r in rows(found)] == ["1", "2"]
    assert failures(found) == [(2, "TOO_DEEP"), (3, "TOO_LARGE"), (4, "TOO_LARGE")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'[{"a": 1}, {"a": 2}',
        b'[{"a": 1}] trailing',
        b'[{"a": NaN}]',
        b"<html></html>",
        b'[{"a": "' + b"x" * 20_000_000 + b'"}]',
        b"[" * 5_000_000,
        b'[{"a": "\\ud83d"}]',
        b'[{"a": "x\\uDE00"}]',
    ],
    ids=["empty", "cut", "cut later", "trailing", "NaN", "HTML", "huge value", "bottomless", "half", "other half"],
)
def test_F24_a_document_that_is_not_whole_is_refused_before_its_first_row(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "f.json", content)
    with pytest.raises(FileRefused, match=r"f\.json"):
        read(tmp_path)


def test_a_path_where_nothing_stands_is_told(tmp_path: Path) -> None:
    put(tmp_path, "f.json", {"data": []})
    with pytest.raises(FileRefused, match="nothing stands at `rows`"):
        read(tmp_path, items="rows")


def test_R16_a_document_goes_on_by_row_and_a_new_content_is_a_new_version(tmp_path: Path) -> None:
    put(tmp_path, "f.json", [{"a": i} for i in range(25_000)])
    found = read(tmp_path)
    assert len(found) == 3
    rest = read(tmp_path, found[0].position)
    assert rows(found[:1] + rest) == rows(found)
    assert rest[0].origin == found[0].origin
    assert rows(read(tmp_path, found[-1].position)) == []
    put(tmp_path, "f.json", [{"a": "new"}])
    replaced = read(tmp_path, found[-1].position)
    assert rows(replaced) == [{"a": "new"}]
    assert replaced[0].origin != found[0].origin


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_F23_json_in_the_encodings_of_the_field(tmp_path: Path, encoding: str) -> None:
    put(tmp_path, "f.json", '[{"名": "统计局𠀀"}]'.encode(encoding))
    assert rows(read(tmp_path)) == [{"名": "统计局𠀀"}]


def test_geojson_gives_properties_and_points(tmp_path: Path) -> None:
    area = {"type": "Polygon", "coordinates": [[[i, i + 0.5] for i in range(200_000)]]}
    features = [
        {
            "type": "Feature",
            "id": 7,
            "properties": {"name": "x"},
            "geometry": {"type": "Point", "coordinates": [9, 45.5]},
        },
        {"type": "Feature", "geometry": area, "properties": {"name": "y"}},
        {"type": "Feature", "geometry": None, "properties": None},
    ]
    put(
        tmp_path,
        "f.geojson.gz",
        gzip.compress(json.dumps({"type": "FeatureCollection", "features": features}).encode()),
    )
    point, polygon, empty = rows(read(tmp_path))
    assert point == {"id": "7", "name": "x", "geometry.type": "Point", "geometry.lon": "9", "geometry.lat": "45.5"}
    assert (polygon["name"], polygon["geometry.type"], polygon["geometry.lon"]) == ("y", "Polygon", None)
    assert set(empty.values()) == {None}


def test_topojson_gives_the_properties_of_one_object_or_all(tmp_path: Path) -> None:
    objects = {n: {"geometries": [{"type": "Polygon", "arcs": [[0]], "properties": {"code": n}}]} for n in ("a", "b")}
    put(tmp_path, "f.topo.json", {"type": "Topology", "arcs": [], "objects": objects})
    assert rows(read(tmp_path, items="b")) == [{"code": "b"}]
    assert [(r["object"], r["code"]) for r in rows(read(tmp_path))] == [("a", "a"), ("b", "b")]


XML = """<?xml version="1.0" encoding="{encoding}"?>
<r:register xmlns:r="urn:x"><meta>m</meta>
<r:school id="7"><name lang="it">Città &amp; “x”</name><tag>a</tag><tag>b</tag><at><lon>9</lon></at><none/></r:school>
<r:school id="8">only text</r:school></r:register>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gbk"])
def test_R16_the_rows_of_an_xml_document_stand_at_a_path(tmp_path: Path, encoding: str) -> None:
    text = XML if encoding != "gbk" else XML.replace("à", "a")
    put(tmp_path, "f.xml", text.format(encoding=encoding).encode(encoding))
    first, second = rows(read(tmp_path, items="register/school"))
    city = "Città" if encoding != "gbk" else "Citta"
    assert first == {
        "@id": "7", "name.@lang": "it", "name.#text": f"{city} & “x”", "tag": '["a", "b"]', "at.lon": "9", "none": None,
        "#text": None,
    }  # fmt: skip
    assert (second["@id"], second["#text"]) == ("8", "only text")
    assert [r.get("#text") for r in rows(read(tmp_path))] == ["m", None, "only text"]


BILLION = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><r><x>&b;</x></r>'
HOSTILE = {
    "entity bomb": BILLION,
    "external entity": '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><x>&x;</x></r>',
    "external DTD": '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/r.dtd"><r><x/></r>',
    "cut off": "<r><x>1</x>",
    "two roots": "<r><x/></r><r/>",
    "bottomless": "<r>" * 100_000,
    "bad bytes": b"<?xml version='1.0' encoding='utf-8'?><r><x>\xff\xfe\xfd</x></r>",
    "unknown encoding": "<?xml version='1.0' encoding='klingon'?><r><x/></r>",
    "nothing there": "<r/>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_S4_hostile_xml_is_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path, "f.xml", HOSTILE[name])
    with pytest.raises(FileRefused) as refused:
        read(tmp_path)
    assert "root:" not in str(refused.value)


def test_S4_xinclude_is_text_like_any_other(tmp_path: Path) -> None:
    put(tmp_path, "f.xml", '<r xmlns:i="http://www.w3.org/2001/XInclude"><x><i:include href="/etc/passwd"/></x></r>')
    assert rows(read(tmp_path)) == [{"include.@href": "/etc/passwd"}]


def test_F21_memory_does_not_grow_with_an_xml_document(tmp_path: Path) -> None:
    put(tmp_path, "f.xml", "<r>" + "<x><a>1</a><b>some text</b></x>" * 300_000 + "</r>")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(b.records.num_rows for b in read(tmp_path)) == 300_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 96 * 1024

"""Schemas on pages: versions, fields in both languages, differences, and a try that registers nothing (S18, S23)."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hub.console.views.schemas import LONGEST, fields, told
from tests.support.library import EVIL, TOPIC, Library

SUBJECT = f"{TOPIC}-value"
PAGE = f"/console/schemas/{SUBJECT}"


@pytest.fixture
def vera(library: Library) -> Iterator[httpx.Client]:
    with library.console.as_("vera") as client:
        yield client


@pytest.fixture
def second(library: Library) -> dict[str, Any]:
    """A second version: it has a phone and no day of opening."""
    schema: dict[str, Any] = library.console.api(f"/schemas/{SUBJECT}/versions").json()["versions"][-1]["schema"]
    phone = {"name": "phone", "type": ["null", "string"], "default": None, "doc": f"Phone {EVIL}", "doc_zh": "电话"}
    changed = {**schema, "fields": [f for f in schema["fields"] if f["name"] != "seats"] + [phone]}
    if len(library.console.api(f"/schemas/{SUBJECT}/versions").json()["versions"]) == 1:
        library.console.hub.registry.register(SUBJECT, json.dumps(changed))
    return changed


def test_the_list_has_subjects_and_who_uses_them(library: Library, vera: httpx.Client) -> None:
    page = vera.get("/console/schemas").text
    assert f'<a href="{PAGE}">' in page
    assert "BACKWARD" in page
    assert "planning-branches" in page
    assert "city-library-branches" in page
    grant = vera.get("/console/schemas/grant.planning-branches-value")
    assert (grant.status_code, "/console/topics/grant" in grant.text) == (200, False), "it is of no topic"
    for text, found in (("BRANCH", 1), ("school", 0)):
        assert vera.get("/console/schemas.json", params={"text": f"{text}.v1-value"}).json()["found"] == found


def test_a_subject_shows_a_version_its_fields_in_both_languages_and_its_text(
    second: dict[str, Any], vera: httpx.Client
) -> None:
    page = vera.get(PAGE).text
    for words in ("Code of the branch.", "分馆编码。", "Version 2", "null | string", "电话"):
        assert words in page, words
    twin = vera.get(f"{PAGE}.json", params={"version": "1"}).json()
    assert [f["name"] for f in twin["chosen"]["fields"]] == ["branch_id", "name", "district", "seats", "opened_on"]
    assert json.loads(twin["text"]) == twin["chosen"]["schema"]
    for wrong in ("3", "x", "-1", "1 "):
        assert vera.get(PAGE, params={"version": wrong}).status_code == 422, wrong
    assert vera.get("/console/schemas/nobody").status_code == 404


def test_the_difference_of_two_versions_is_told_in_words_with_whom_it_breaks(
    second: dict[str, Any], vera: httpx.Client
) -> None:
    page = html.unescape(vera.get(PAGE).text)
    for words in (
        "From version 1 to version 2",
        "field is gone",
        "Subscriptions that would break:",
        "planning-branches",
    ):
        assert words in page, words
    chinese = vera.get(PAGE, params={"language": "zh"}).text
    for words in ("版本 1 到版本 2 的变化", "删除字段", "新增字段", "旧版本的读取方无法读取新记录"):
        assert words in chinese, words
    assert "新增字段，类型为 <code>string</code> 或 null；此前写入的记录取 <code>null</code>" in chinese
    assert "字段已删除，新记录中不再有" in chinese
    back = vera.get(f"{PAGE}.json", params={"from": "2", "to": "1"}).json()["diff"]
    assert {(c["kind"], c["path"]) for c in back["changes"]} == {("REMOVED", "phone"), ("ADDED", "seats")}


def test_a_try_answers_in_words_and_registers_nothing(
    library: Library, second: dict[str, Any], vera: httpx.Client
) -> None:
    before = library.console.api(f"/schemas/{SUBJECT}/versions").json()
    fine = library.post(vera, f"/schemas/{SUBJECT}/check", schema=json.dumps(second))
    assert (fine.status_code, "It would be taken" in fine.text, "Nothing changes." in fine.text) == (200, True, True)
    wrong = {**second, "fields": [*second["fields"], {"name": "must", "type": "int"}]}
    refused = library.post(vera, f"/schemas/{SUBJECT}/check", schema=json.dumps(wrong))
    assert (refused.status_code, "It would be refused: it breaks BACKWARD." in refused.text) == (200, True)
    assert "the new version cannot read old records" in refused.text
    assert html.escape(json.dumps(wrong)) in refused.text.replace("&#34;", "&quot;"), "what was typed stays"
    vera.cookies.set("datong_language", "zh", path="/console/", domain="127.0.0.1")
    chinese = library.post(vera, f"/schemas/{SUBJECT}/check", schema=json.dumps(wrong)).text
    for words in (
        "不能接受：违反 BACKWARD 兼容性要求。",
        "新模式需要该字段，第 <code>2</code> 版不写入，且该字段没有默认值",
    ):
        assert words in chinese, words
    assert library.console.api(f"/schemas/{SUBJECT}/versions").json() == before


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "null", "7", '"no.such.Type"', '{"type": "record"}', '"\\ud800"', '{"a": NaN}', "\0",
     "x" * (LONGEST + 1), '{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}'],
)  # fmt: skip
def test_S23_a_pasted_schema_never_ends_in_a_fault(library: Library, vera: httpx.Client, text: str) -> None:
    answer = library.post(vera, f"/schemas/{SUBJECT}/check", schema=text)
    assert answer.status_code in (200, 422), text[:20]
    assert 'role="alert"' in answer.text


def test_S18_texts_in_schemas_stay_texts(library: Library, second: dict[str, Any], vera: httpx.Client) -> None:
    for page in (
        vera.get(PAGE).text,
        vera.get("/console/schemas", params={"text": EVIL}).text,
        library.post(vera, f"/schemas/{SUBJECT}/check", schema=f"</textarea>{EVIL}").text,
    ):
        assert (EVIL in page, html.escape(EVIL) in page) == (False, True)


def test_fields_of_any_schema_are_listed_and_a_recursive_one_ends() -> None:
    inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "long"}]}
    of = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "one", "type": ["null", inner], "default": None},
            {"name": "many", "type": {"type": "array", "items": "I"}},
            {"name": "named", "type": {"type": "map", "values": {"type": "record", "name": "J", "fields": []}}},
            {"name": "again", "type": ["null", "R"]},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
            {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": list("ABCDEFGHIJ")}},
        ],
    }
    assert [(f["name"], f["type"]) for f in fields(of)] == [
        ("one", "null | I"),
        ("one.x", "long"),
        ("many", "array<I>"),
        ("named", "map<J>"),
        ("again", "null | R"),
        ("price", "decimal(10, 2)"),
        ("kind", "enum(A, B, C, D, E, F, G, H, …)"),
    ]
    assert list(fields("string")) == list(fields(7)) == []
    assert told({"type": "long", "logicalType": "timestamp-millis"}) == "timestamp-millis"

"""Output schemas: the topic's schema cut down to the granted fields (R23)."""

from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.access.project import UnknownField, project, schema_text
from hub.avro import Record, parse_topic_schema
from hub.avro.compat import incompatibilities
from hub.avro.schema import parse

ADDRESS = {
    "type": "record",
    "name": "Address",
    "doc": "Where it is",
    "fields": [
        {"name": "street", "type": "string", "doc": "Name and number", "doc_zh": "街道"},
        {"name": "city", "type": ["null", "string"], "default": None},
        {"name": "geo", "type": {"type": "record", "name": "Geo", "fields": [
            {"name": "lat", "type": "double"}, {"name": "lon", "type": "double", "default": 0.5}]}},
    ],
}  # fmt: skip
SCHOOL = {
    "type": "record",
    "name": "School",
    "namespace": "edu",
    "doc": "A school",
    "owner": "it-mim",
    "fields": [
        {"name": "school_id", "type": "string", "aliases": ["code"], "classification": "public"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"], "default": "A"}},
        {"name": "home", "type": ADDRESS},
        {"name": "other", "type": ["null", "Address"], "default": None},
        {"name": "past", "type": {"type": "array", "items": "Address"}, "default": []},
        {"name": "named", "type": {"type": "map", "values": ["null", "Address"]}, "default": {}},
        {"name": "mark", "type": {"type": "fixed", "name": "other.Mark", "size": 4, "note": "x"}},
        {"name": "cost", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "any", "type": ["null", "string", "long"], "default": None},
        {"name": "again", "type": "Kind", "default": "B"},
    ],
}


def school() -> Record:
    return parse_topic_schema(json.dumps(SCHOOL))


def shown(*paths: str) -> Any:
    return json.loads(schema_text(project(school(), paths)))


def test_R23_top_level_fields_keep_everything_they_say() -> None:
    out = shown("cost", "school_id")
    assert out == {
        "type": "record",
        "name": "School",
        "namespace": "edu",
        "doc": "A school",
        "fields": [SCHOOL["fields"][0], SCHOOL["fields"][7]],
        "owner": "it-mim",
    }


def test_R23_a_nested_field_keeps_its_record_with_that_field_alone() -> None:
    out = shown("home.street", "home.geo.lon")
    (home,) = out["fields"]
    assert [f["name"] for f in home["type"]["fields"]] == ["street", "geo"]
    assert [f["name"] for f in home["type"]["fields"][1]["type"]["fields"]] == ["lon"]
    assert home["type"]["fields"][0]["doc_zh"] == "街道"


@pytest.mark.parametrize("path", ["other.city", "past.city", "named.city"])
def test_R23_fields_of_records_in_unions_lists_and_maps(path: str) -> None:
    text = json.dumps(shown(path))
    assert "city" in text
    assert "street" not in text
    assert "lat" not in text


def test_a_type_defined_in_a_field_that_went_is_defined_where_it_is_used() -> None:
    out = shown("again", "other")
    assert out["fields"][1]["type"]["symbols"] == ["A", "B"]
    assert out["fields"][0]["type"][1]["name"] == "Address"


def test_the_wider_of_two_paths_wins() -> None:
    assert shown("home", "home.street") == shown("home.street", "home") == shown("home")


def test_two_cuts_of_one_record_are_two_types_that_both_resolve() -> None:
    made = project(school(), ["home.street", "other.city", "named.street"])
    text = schema_text(made)
    fastavro.parse_schema(json.loads(text))
    again = parse(text)
    assert again.type == made
    names = [name for name in again.names if "Address" in name]
    assert names == ["edu.Address", "edu.Address_2"]
    assert incompatibilities(again, parse(json.dumps(SCHOOL))) == []


def test_defaults_lose_what_the_record_lost() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "home", "type": ADDRESS, "default": {"street": "s", "city": None, "geo": {"lat": 1, "lon": 2}}}
        ],
    }
    out = json.loads(schema_text(project(parse_topic_schema(json.dumps(schema)), ["home.geo.lat", "home.city"])))
    assert out["fields"][0]["default"] == {"city": None, "geo": {"lat": 1}}


@pytest.mark.parametrize(
    "path", ["no", "home.no", "home.geo.no", "school_id.no", "kind.A", "past.no", "any.string", "", "home.", ".home"]
)
def test_unknown_fields_are_named(path: str) -> None:
    with pytest.raises(UnknownField) as caught:
        project(school(), ["school_id", path])
    assert caught.value.path.rstrip(".") in path or path == ""


PATHS = [
    "school_id", "kind", "home", "home.street", "home.city", "home.geo", "home.geo.lat", "other", "other.street",
    "past.geo.lon", "past", "named.city", "mark", "cost", "any", "again",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(paths=st.sets(st.sampled_from(PATHS), min_size=1))
def test_R23_every_cut_is_a_valid_schema_that_reads_the_whole_one(paths: set[str]) -> None:
    made = project(school(), paths)
    text = schema_text(made)
    fastavro.parse_schema(json.loads(text))
    assert parse(text).type == made
    assert schema_text(project(made, paths)) == text
    assert incompatibilities(parse(text), parse(json.dumps(SCHOOL))) == []


def test_a_name_without_namespace_inside_one_that_has_it() -> None:
    inner = {"type": "record", "name": "Inner", "namespace": "", "fields": [{"name": "x", "type": "int"}]}
    outer = {
        "type": "record",
        "name": "a.Outer",
        "fields": [{"name": "i", "type": inner}, {"name": "j", "type": "Inner"}],
    }
    record = parse_topic_schema(json.dumps(outer))
    assert parse(schema_text(record)).type == record

"""Connectors in Kafka Connect's form: nothing is lost on the way there or back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.edit import declared
from hub.catalogue.flat import TASKS, flat_path, to_document, to_flat, to_yaml
from hub.catalogue.specs import ConnectorSpec
from hub.catalogue.yaml import load_yaml
from hub.errors import ConfigurationInvalid

ROOT = Path(__file__).parents[2]
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=8).filter(
    lambda n: n != "<<"
)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["5", '"5"', "true", "null", "[1]", "{}", "1.0", "-", "", " ", '"', "1e3"]
)
SCALARS = TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.lists(SCALARS | st.dictionaries(NAMES, SCALARS, max_size=2), max_size=3)
SETTINGS = st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=6)
SOURCES = st.dictionaries(NAMES.filter(lambda n: n != "kind"), SETTINGS, max_size=5)
EXPRESSIONS = st.dictionaries(NAMES, st.text(min_size=1, max_size=20), max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """What a connector's file may say, and more."""
    publish = {"topic": draw(TEXTS), "fields": draw(EXPRESSIONS), "checks": draw(EXPRESSIONS), "where": draw(TEXTS)}
    publish["key"] = draw(st.lists(TEXTS, max_size=3))
    made = {"connector": draw(TEXTS), "agency": draw(TEXTS), "schedule": draw(TEXTS)}
    return {**made, "source": {"kind": draw(TEXTS), **draw(SOURCES)}, "publish": publish}


@given(documents())
@settings(max_examples=150, deadline=None)
def test_a_document_comes_back_from_its_flat_form(document: dict[str, Any]) -> None:
    assert to_document(to_flat(document)) == document


@given(
    st.dictionaries(
        NAMES | st.sampled_from(["name", "connector.class", "source.a", "publish.fields.a.b"]), TEXTS, max_size=6
    )
)
@settings(max_examples=150, deadline=None)
def test_a_flat_form_comes_back_from_its_document(flat: dict[str, str]) -> None:
    try:
        document = to_document(flat)
    except ConfigurationInvalid:
        return
    assert to_flat(document) == {k: v for k, v in flat.items() if k != TASKS}


@given(documents())
@settings(max_examples=100, deadline=None)
def test_the_text_of_a_document_says_what_it_says(document: dict[str, Any]) -> None:
    try:
        again = load_yaml(to_yaml(document), "x").data
    except ConfigurationInvalid:
        return  # what no file may hold, such as a null character
    assert again == document


FILES = sorted(ROOT.glob("examples/**/connectors.d/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_every_connector_of_the_examples_is_the_same_one_through_connect(path: Path) -> None:
    document = load_yaml(path.read_bytes(), path.name).data
    flat = to_flat(document)
    assert all(isinstance(v, str) for v in flat.values())
    text = to_yaml(to_document(flat))
    assert declared(text) == flat["name"] == document["connector"]
    assert ConnectorSpec.model_validate(load_yaml(text, "x").data) == ConnectorSpec.model_validate(document)


def test_names_and_values_are_as_connect_users_write_them() -> None:
    document = {
        "connector": "a",
        "source": {
            "kind": "files",
            "path": "x.csv",
            "nulls": ["", "NA"],
            "header": 1,
            "sheet": "1",
            "headers": {"X.A": "b"},
        },
        "schedule": "0 3 * * *",
        "publish": {"key": ["id"], "fields": {"id": "1", "address": {"street": "S"}}, "checks": {}},
    }
    assert to_flat(document) == {
        "name": "a",
        "connector.class": "files",
        "source.path": "x.csv",
        "source.nulls": '["","NA"]',
        "source.header": "1",
        "source.sheet": '"1"',
        "source.headers.X\\.A": "b",
        "schedule": "0 3 * * *",
        "publish.key": '["id"]',
        "publish.fields.id": "1",
        "publish.fields.address.street": "S",
        "publish.checks": "{}",
    }
    assert flat_path("publish.key[0]") == "publish.key"
    assert flat_path("source.kind") == "connector.class"


@pytest.mark.parametrize(
    "flat",
    [
        {"a": "1", "a.b": "2"},
        {"a.b": "2", "a": "1"},
        {"connector": "x"},
        {"source.kind": "files"},
        {"a\\": "x"},
        {".".join("a" * 40): "x"},
        {TASKS: "none"},
        {TASKS: "0"},
        {str(i): "x" for i in range(20_001)},
    ],
)
def test_a_flat_form_that_is_no_document_is_refused(flat: dict[str, str]) -> None:
    with pytest.raises(ConfigurationInvalid):
        to_document(flat)


def test_S5_texts_that_look_like_much_are_texts() -> None:
    for text in ("[" * 100_000, '{"a":' * 50_000, "9" * 10_000, "NaN", "-Infinity", "{}x", "\ud800"):
        assert to_document({"source.x": text}) == {"source": {"x": text}}
    with pytest.raises(ConfigurationInvalid):
        to_yaml({"a": "\ud800" * 2, "b": {"\udfff": 1}}) and load_yaml(to_yaml({"a": "\ud800"}), "x")

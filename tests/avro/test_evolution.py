"""What `compat` calls compatible a foreign reader reads, and for what it refuses there is a record that shows why.

Where fastavro and we disagree, the specification judges; those cases stand in `FASTAVRO_IS_WRONG`."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings

from hub.avro import parse
from hub.avro.compat import incompatibilities
from tests.avro.evolution import covering, pairs

Pair = tuple[Any, Any]


def unread(writer: Any, reader: Any) -> list[Any]:
    """Values of the writer that fastavro cannot read with the reader's schema."""
    ours, theirs = (fastavro.parse_schema(copy.deepcopy(schema)) for schema in (writer, reader))
    found = []
    for value in covering(writer):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, ours, value)
        out.seek(0)
        try:
            fastavro.schemaless_reader(out, ours, theirs)
        except Exception:  # whatever it raises, it did not read
            found.append(value)
    return found


def refused(writer: Any, reader: Any) -> list[Any]:
    return list(incompatibilities(parse(json.dumps(reader)), parse(json.dumps(writer))))


def has_empty_union(of: Any) -> bool:
    """fastavro takes an empty union for no reader's schema at all, and reads whatever was written."""
    if isinstance(of, dict):
        return any(map(has_empty_union, (of.get("type"), of.get("items"), of.get("values"), *of.get("fields", ()))))
    return isinstance(of, list) and (not of or any(map(has_empty_union, of)))


FASTAVRO_IS_WRONG = [has_empty_union]  # about the reader's schema
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@settings(max_examples=300, suppress_health_check=SLOW)
@given(pairs())
def test_section_3_compatible_is_what_fastavro_reads(pair: Pair) -> None:
    writer, reader = pair
    bad, reasons = unread(writer, reader), refused(writer, reader)
    if not reasons:
        assert bad == [], "compatible, and not read"
    elif covering(writer) and not bad:
        assert any(wrong(reader) for wrong in FASTAVRO_IS_WRONG), f"refused for {reasons[0]}, and all is read"


@pytest.mark.parametrize(
    ("reader", "wrong"), [({"type": "record", "name": "R", "fields": [{"name": "a", "type": []}]}, 1)]
)
def test_each_disagreement_with_fastavro_is_real(reader: Any, wrong: int) -> None:
    """Avro 1.12, "Schema Resolution": a reader's union without a branch that matches is an error."""
    writer = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    assert refused(writer, reader)
    assert unread(writer, reader) == []
    assert sum(check(reader) for check in FASTAVRO_IS_WRONG) == wrong


@settings(max_examples=100, suppress_health_check=SLOW)
@given(pairs())
def test_section_3_a_schema_reads_itself_and_its_text_is_itself(pair: Pair) -> None:
    for schema in pair:
        made = parse(json.dumps(schema))
        assert incompatibilities(made, made) == []
        again = parse(made.canonical)
        assert again.canonical == made.canonical
        assert incompatibilities(made, again) == incompatibilities(again, made) == []
        assert parse(made.canonical, normalise=True).canonical == made.canonical  # it has no properties to sort

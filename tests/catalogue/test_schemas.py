"""The shared schemas: every field is described in two languages, and every sample passes or fails the real encoder."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
import yaml

import schemas
from hub.avro import encode, parse_topic_schema
from hub.avro.types import Array, Enum, Field, Map, Primitive, Record, Type, Union
from hub.catalogue.codes import load_codes

ROOT = Path(schemas.__file__).parent
NAMES = sorted(p.relative_to(ROOT).as_posix().removesuffix(".avsc") for p in ROOT.glob("*/*.avsc"))
TEXTS = {name: (ROOT / f"{name}.avsc").read_text("utf-8") for name in NAMES}
RECORDS = {name: parse_topic_schema(text) for name, text in TEXTS.items()}
SAMPLES = {name: yaml.safe_load((ROOT / f"{name}.samples.yaml").read_text("utf-8")) for name in NAMES}
LISTS = load_codes([ROOT], {ROOT: "shipped"})[0].lists
CLASSES = {"public", "internal", "personal", "sensitive"}
DOMAIN = {  # domain.md, section 3
    "Person", "Household", "Organisation", "AdministrativeDivision", "PopulationCount", "Facility", "FacilityCapacity",
    "ServiceItem", "ServiceEvent", "Enrolment", "Entitlement", "FiscalExpenditure", "TransferAllocation",
    "SatisfactionRating", "Case", "IoTReading", "IndicatorObservation", "PolicyScheme", "Finding", "Action",
}  # fmt: skip
REFUSED = [(name, i) for name in NAMES for i in range(len(SAMPLES[name]["refuse"]))]


def value_type(of: Type) -> Type:
    """Without the null of a union."""
    if isinstance(of, Union):
        assert of.nullable is not None
        return of.nullable
    return of


def fields(record: Record, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Every field, also inside records."""
    for field in record.fields:
        yield prefix + field.name, field
        inner = value_type(field.type)
        if isinstance(inner, Record):
            yield from fields(inner, f"{prefix}{field.name}.")


def test_the_domains_records_are_all_there() -> None:
    assert {r.name.rpartition(".")[2] for r in RECORDS.values()} >= DOMAIN


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described_in_two_languages(name: str) -> None:
    record = RECORDS[name]
    assert record.props["doc_zh"]
    assert record.props["title"]
    assert record.props["title_zh"]
    assert record.props["sharing"] in ("unconditional", "conditional", "not shared")
    for path, field in fields(record):
        props = field.props
        assert field.doc.endswith("."), path
        assert props["doc_zh"].endswith("。"), path
        assert any("\u4e00" <= c <= "\u9fff" for c in props["doc_zh"]), path
        assert props["classification"] in CLASSES, path
        assert props["source"], path
        measured = isinstance(kind := value_type(field.type), Primitive) and (kind.name not in ("string", "boolean"))
        assert ("unit" in props) == measured, path
        assert set(props.get("codes", ())) <= LISTS.keys(), path


@pytest.mark.parametrize("name", NAMES)
def test_personal_data_is_never_shared_without_condition(name: str) -> None:
    record = RECORDS[name]
    personal = [p for p, f in fields(record) if f.props["classification"] in ("personal", "sensitive")]
    assert not personal or record.props["sharing"] != "unconditional", personal


@pytest.mark.parametrize("name", NAMES)
def test_R7_nothing_of_the_envelope_is_a_field(name: str) -> None:
    assert not {"record_id", "ce_id", "ce_time", "source", "published_at", "schema_id"} & {
        f.name for f in RECORDS[name].fields
    }


# --- samples ----------------------------------------------------------------------------------------------------------


def loose_type(of: Type) -> pa.DataType:
    """Wide enough for what a sample must not hold."""
    of = value_type(of)
    if isinstance(of, Record):
        return pa.struct([(f.name, loose_type(f.type)) for f in of.fields])
    if isinstance(of, Map):
        return pa.map_(pa.string(), loose_type(of.values))
    if isinstance(of, Array):
        return pa.list_(loose_type(of.items))
    if isinstance(of, Primitive) and of.logical:
        wide = {"date": pa.date32(), "timestamp-millis": pa.timestamp("ms", "UTC"), "decimal": pa.decimal256(50, 10)}
        return wide[of.logical]
    kinds = {"int": pa.decimal128(30, 0), "long": pa.decimal128(30, 0), "double": pa.float64(), "boolean": pa.bool_()}
    return kinds.get(of.name, pa.string()) if isinstance(of, Primitive) else pa.string()


def loose_value(of: Type, value: Any) -> Any:
    """YAML → what Arrow takes."""
    of = value_type(of)
    if value is None:
        return None
    if isinstance(of, Record):
        return {f.name: loose_value(f.type, value[f.name]) for f in of.fields}
    if isinstance(of, Enum):
        return str(value)
    if isinstance(of, Primitive) and of.logical == "timestamp-millis":
        return dt.datetime.fromisoformat(value)
    if isinstance(of, Primitive) and (of.logical == "decimal" or of.name in ("int", "long")) and of.logical != "date":
        return Decimal(str(value))
    return value


def batch_of(record: Record, sample: Mapping[str, Any]) -> pa.RecordBatch:
    assert sample.keys() == {f.name for f in record.fields}
    columns = [pa.array([loose_value(f.type, sample[f.name])], loose_type(f.type)) for f in record.fields]
    return pa.record_batch(columns, names=[f.name for f in record.fields])


@pytest.mark.parametrize(("name", "place"), [(n, i) for n in NAMES for i in range(len(SAMPLES[n]["pass"]))])
def test_a_sample_that_must_pass_passes_and_reads_back(name: str, place: int) -> None:
    record, sample = RECORDS[name], SAMPLES[name]["pass"][place]
    encoded = encode(batch_of(record, sample), record)
    assert encoded.rejected == []
    schema = fastavro.parse_schema(yaml.safe_load(TEXTS[name]))
    read = fastavro.schemaless_reader(io.BytesIO(encoded.values[0].as_py()), schema)
    assert isinstance(read, dict)
    expected = {f.name: loose_value(f.type, sample[f.name]) for f in record.fields}
    assert read == expected


@pytest.mark.parametrize(("name", "place"), REFUSED)
def test_R30_a_sample_that_must_not_pass_fails_with_path_and_reason(name: str, place: int) -> None:
    record, refused = RECORDS[name], SAMPLES[name]["refuse"][place]
    sample = {**SAMPLES[name]["pass"][0], **refused["change"]}
    encoded = encode(batch_of(record, sample), record)
    assert encoded.rejected == [(0, refused["path"], refused["reason"])]
    assert encoded.accepted is not None
    assert not np.any(encoded.accepted == 0)


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_has_samples_of_both_kinds(name: str) -> None:
    assert SAMPLES[name]["pass"]
    assert len(SAMPLES[name]["refuse"]) >= 2
    assert {"pass", "refuse"} == SAMPLES[name].keys()

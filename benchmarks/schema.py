"""The workload's columns, its Avro schema and its code lists, for every subject. Standard library only."""

from __future__ import annotations

from typing import Any

HEADER = (
    "RECNO,NAT_ID,SURNAME,FORENAMES,DOB,SEX_CD,STATUS_CD,MUNI_CD,AMT,HH_SIZE,UPD_TS,STREET,PCODE,CITY,CTRY,TAGS,PHONE"
)
COLUMNS = HEADER.split(",")
SEX = {"M": "MALE", "1": "MALE", "F": "FEMALE", "2": "FEMALE", "X": "OTHER", "9": "UNKNOWN"}
STATUS = {f"S{i:02d}": f"STATUS_{'ACTIVE' if i % 2 else 'CLOSED'}_{i}" for i in range(40)}
MUNICIPALITY = {str(1000 + i): f"Municipality {chr(65 + i % 26)}{i}" for i in range(400)}
SCHEMA_ID = 1  # what a fresh registry gives the first schema
FRAME = b"\0" + SCHEMA_ID.to_bytes(4, "big")

NULLABLE: dict[str, Any] = {"type": ["null", "string"], "default": None}


def schema(unit: str) -> dict[str, Any]:
    """The workload's schema, its timestamp in `millis` or `micros`."""
    return {
        "type": "record",
        "name": "Benefit",
        "namespace": "bench",
        "fields": [
            {"name": "record_id", "type": "long"},
            {"name": "person_id", "type": "string"},
            {"name": "family_name", "type": "string"},
            {"name": "given_names", **NULLABLE},
            {"name": "birth_date", "type": {"type": "int", "logicalType": "date"}},
            {"name": "sex", "type": {"type": "enum", "name": "Sex", "symbols": ["UNKNOWN", "FEMALE", "MALE", "OTHER"]}},
            {"name": "status", "type": "string"},
            {"name": "municipality", "type": "string"},
            {"name": "amount", "type": "double"},
            {"name": "household_size", "type": ["null", "int"], "default": None},
            {"name": "updated_at", "type": {"type": "long", "logicalType": f"timestamp-{unit}"}},
            {
                "name": "address",
                "type": {
                    "type": "record",
                    "name": "Address",
                    "fields": [
                        {"name": "street", "type": "string"},
                        {"name": "postcode", "type": "string"},
                        {"name": "city", "type": "string"},
                        {"name": "country", **NULLABLE},
                    ],
                },
            },
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "phone", **NULLABLE},
        ],
    }


SCHEMA = schema("millis")
TABLE_SCHEMA = schema("micros")  # of a table, whose timestamps have microseconds

"""The row-by-row way: a straight Python function on one line's cells, and fastavro. Also what every Python peer runs.

Standard library and fastavro only, so that it runs in a peer's own environment."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import fastavro

from benchmarks.schema import FRAME, MUNICIPALITY, SCHEMA, SEX, STATUS

PARSED = fastavro.parse_schema(SCHEMA)
EPOCH = date(1970, 1, 1).toordinal()
KNOWN_DATES = 200_000
MAX_AMOUNT, MAX_HOUSEHOLD = 5300, 50
CONSTANT = (
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/agencies/bench/connectors/benefits-v1"),
    ("ce_type", b"bench.social.benefit.v1"),
    ("ce_dataschema", b"/schemas/ids/1"),
)
ID_PREFIX = "0123456789abcdef-"  # as long as the hub's own
_dates: dict[str, int] = {}


class Record(NamedTuple):
    """A record ready to be sent."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def days(text: str) -> int:
    """Days since 1970 of a date in one of the three formats. Raises ValueError."""
    found = _dates.get(text)
    if found is not None:
        return found
    if text[4:5] == "-":
        made = date(int(text[:4]), int(text[5:7]), int(text[8:])).toordinal() - EPOCH
    elif text[2:3] in ("/", "."):
        made = date(int(text[6:]), int(text[3:5]), int(text[:2])).toordinal() - EPOCH
    else:
        raise ValueError("birth_date")
    if len(_dates) < KNOWN_DATES:
        _dates[text] = made
    return made


def milliseconds(text: str) -> int:
    """Of a timestamp in one of the two formats, UTC."""
    return (days(text[:10]) * 86_400 + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])) * 1000


def normalise(row: Sequence[str]) -> dict[str, Any]:
    """One line's cells as the record that the schema wants. Raises ValueError or KeyError for a bad row."""
    number, national, last, first, born, sex, status, place, money, size, at, street, post, city, land, tags, phone = (
        row
    )
    person, amount, household = national.strip(), float(money), int(size) if size else None
    if len(person) != 11 or not (person.isascii() and person.isdigit()):
        raise ValueError("eleven_digits")
    if not 0 <= amount < MAX_AMOUNT:
        raise ValueError("amount_in_range")
    if household is not None and not 0 <= household <= MAX_HOUSEHOLD:
        raise ValueError("household")
    return {
        "record_id": int(number),
        "person_id": person,
        "family_name": last.strip().upper(),
        "given_names": first.strip() or None,
        "birth_date": days(born),
        "sex": SEX[sex],
        "status": STATUS[status],
        "municipality": MUNICIPALITY[place],
        "amount": amount,
        "household_size": household,
        "updated_at": milliseconds(at),
        "address": {"street": street.strip(), "postcode": post.strip(), "city": city.strip(), "country": land or None},
        "tags": tags.split("|") if tags else [],
        "phone": "********" + phone[8:] if phone else None,
    }


def encode(record: dict[str, Any]) -> bytes:
    """Confluent's frame and the Avro body."""
    out = io.BytesIO()
    out.write(FRAME)
    fastavro.schemaless_writer(out, PARSED, record)
    return out.getvalue()


def convert(row: Sequence[str]) -> tuple[bytes, bytes]:
    """Key and value of one line. Raises ValueError or KeyError for a bad row."""
    record = normalise(row)
    return record["person_id"].encode(), encode(record)


def headers(number: int, batch: int, records: int, first: int) -> list[tuple[str, bytes]]:
    """The headers of the hub for row `number`, in a batch of so many records."""
    return [("ce_id", f"{ID_PREFIX}{number}".encode()), *batch_headers(batch, records, first)]


def batch_headers(batch: int, records: int, first: int) -> list[tuple[str, bytes]]:
    """Those that all records of a batch share."""
    numbers = (("batch_n", records), ("seq_base", first), ("epoch", 1))
    named = ("batch_id", f"benefits-v1-1-{batch}".encode())
    return [*CONSTANT, named, *[(name, str(number).encode()) for name, number in numbers]]

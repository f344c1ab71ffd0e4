"""A first draft of a connector from a sample of its source: types by looking at values, fields by their names. Pure.

A draft is a proposal for a person: what it guessed is said in a note, and nothing it cannot tell is invented.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from hub.errors import DatongError
from hub.mapping.language import parse_expression
from hub.mapping.program import leaves
from hub.mapping.tree import columns_of

Guess = Literal["int", "long", "double", "boolean", "date", "timestamp", "string", "typed"]
WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
POINT = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d{1,15})(,\d{1,15})?")
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d{1,15})?")
IDENTIFIER = re.compile("^id|id$|code|codice|cod$|^cod|key|nummer|编码|编号|代码|号码|证号")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y%m%d")
TIMES = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
PARSED = "ISO 8601 with an offset"  # in place of a format: for parse_timestamp
NEARLY = 0.9  # of a column's values
CLOSE = 0.8  # how alike names must be to be taken for the same
AVRO: Mapping[str, Any] = {
    "int": "int",
    "long": "long",
    "double": "double",
    "boolean": "boolean",
    "date": {"type": "int", "logicalType": "date"},
    "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
    "string": "string",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a sample says of one column."""

    name: str
    guess: Guess
    formats: tuple[str, ...] = ()  # of dates, times and numbers, as the mapping's functions take them
    nullable: bool = True
    unique: bool = False
    note: str = ""
    type: pa.DataType = field(default_factory=pa.string)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One line of the proposed mapping; `expression` is empty where no column fits."""

    path: str
    expression: str = ""
    column: str = ""
    note: str = ""


def look(sample: pa.RecordBatch) -> list[Column]:
    """Every column of a sample."""
    return [_column(f.name, sample.column(i)) for i, f in enumerate(sample.schema)]


def _column(name: str, values: pa.Array) -> Column:
    found = [v for v in values.to_pylist() if v is not None and v != ""]
    nullable = len(found) < len(values) or not found
    unique = not nullable and len(set(map(str, found))) == len(found)
    if not pa.types.is_string(values.type):
        return Column(name=name, guess="typed", nullable=nullable, unique=unique, type=values.type)
    guess, formats, note = _text([v.strip() for v in found])
    return Column(name=name, guess=guess, formats=formats, nullable=nullable, unique=unique, note=note)


def _text(values: Sequence[str]) -> tuple[Guess, tuple[str, ...], str]:
    def all_match(pattern: re.Pattern[str]) -> bool:
        return all(pattern.fullmatch(v) for v in values)

    if not values:
        return "string", (), "empty in the sample"
    dates = [f for f in DATES if all(_is_time(v, f) for v in values)]
    if dates and not (dates == ["%Y%m%d"] and len(values) < 3):
        note = "could also be month first" if {"%d/%m/%Y", "%m/%d/%Y"} <= set(dates) else ""
        return "date", (dates[0],), note
    times = [f for f in TIMES if all(_is_time(v, f) for v in values)]
    if times:
        return "timestamp", (times[0], "UTC"), "name the zone of its clock in place of 'UTC'"
    if all(_is_instant(v) for v in values):
        return "timestamp", (PARSED,), ""
    if set(values) <= {"true", "false"}:
        return "boolean", (), ""
    if all_match(WHOLE):
        return ("int" if max(len(v.lstrip("+-")) for v in values) <= 9 else "long"), (), ""
    if all_match(POINT) and not any(v.lstrip("+-").startswith("0") and v.lstrip("+-")[1:2].isdigit() for v in values):
        return "double", (), ""
    if all_match(COMMA) and any("," in v for v in values):
        return "double", ("1.234,5",), ""
    if all_match(GROUPED):
        return "double", ("1,234.5",), ""
    return "string", (), _nearly(values)


def _nearly(values: Sequence[str]) -> str:
    """A word where a few values make a text of what else are numbers."""
    numbers = sum(1 for v in values if POINT.fullmatch(v) or COMMA.fullmatch(v))
    few = numbers >= NEARLY * len(values) and numbers < len(values)
    return f"{numbers:,} of {len(values):,} are numbers; to_double(…) would quarantine the others" if few else ""


def _is_time(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007 - only whether it fits is asked
    except ValueError:
        return False
    return len(value) >= 8


def _is_instant(value: str) -> bool:
    """A time in ISO 8601 with its offset."""
    try:
        return len(value) > len("2026-01-01T00:00") and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def reference(name: str) -> str:
    """A column in an expression: by its name where the language allows that."""
    if NAME.fullmatch(name):
        try:
            if columns_of(parse_expression(name, (name,))) == {name}:
                return name
        except DatongError:
            pass
    return f"column({quoted(name)})"


def quoted(text: str) -> str:
    """A text in an expression."""
    return "'" + text.replace("'", "''") + "'"


def expression(column: Column, wanted: Guess | None = None) -> str:
    """What makes a value of the column's type, or of the one wanted, from its text."""
    name, kind = reference(column.name), wanted or column.guess
    if column.guess == "typed":
        return name
    formats = "".join(f", {quoted(f)}" for f in column.formats) if kind == column.guess else ""
    if kind == column.guess and column.formats == (PARSED,):
        return f"parse_timestamp({name}, 'UTC')"
    functions: Mapping[str, Callable[[], str]] = {
        "int": lambda: f"to_int({name}{formats})",
        "long": lambda: f"to_long({name}{formats})",
        "double": lambda: f"to_double({name}{formats})",
        "boolean": lambda: f"CAST({name} AS BOOLEAN)",
        "date": lambda: f"to_date({name}{formats or ', ' + quoted(DATES[0])})",
        "timestamp": lambda: f"to_timestamp({name}{formats or ', ' + quoted(TIMES[0]) + ', ' + quoted('UTC')})",
    }
    return functions.get(kind, lambda: f"trim({name})")()


def fold(name: str) -> str:
    """For comparing names: letters and digits only, without case and accents."""
    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if c.isalnum()).casefold()


def field_name(name: str, taken: set[str]) -> str:
    """An Avro name after a column's: lower case with underscores."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    made = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower() or "field"
    made = made if not made[0].isdigit() else f"n_{made}"
    base, number = made, 2
    while made in taken:
        made, number = f"{base}_{number}", number + 1
    taken.add(made)
    return made


def likely_key(columns: Sequence[Column]) -> list[str]:
    """The first column whose values are all there and all different, one that is called a code or number before others."""
    unique = [c.name for c in columns if c.unique]
    called = [n for n in unique if IDENTIFIER.search(fold(n))]
    return (called or unique)[:1]


def draft_schema(
    name: str, namespace: str, columns: Sequence[Column], key: Sequence[str]
) -> tuple[dict[str, Any], list[Field]]:
    """A schema after the columns, and the mapping that fills it. `key`: columns that are never null."""
    taken: set[str] = set()
    fields: list[dict[str, Any]] = []
    mapping: list[Field] = []
    for column in columns:
        made = field_name(column.name, taken)
        kind = AVRO[column.guess] if column.guess != "typed" else _avro_of(column.type)
        text = column.guess == "typed" and kind == "string" and not pa.types.is_string(column.type)
        required = column.name in key
        described = {"doc": f"Column `{column.name}` of the source.", "doc_zh": f"源数据列 `{column.name}`。"}
        one = {"name": made, "type": kind if required else ["null", kind], **described, "classification": "internal"}
        fields.append(one if required else {**one, "default": None})
        made_by = f"CAST({reference(column.name)} AS TEXT)" if text else expression(column)
        mapping.append(Field(path=made, expression=made_by, column=column.name, note=column.note))
    schema = {
        "type": "record", "name": name, "namespace": namespace,
        "doc": "Say what one record is.", "doc_zh": "请说明一条记录的含义。", "fields": fields,
    }  # fmt: skip
    return schema, mapping


def _avro_of(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "int" if kind.bit_width < 32 or kind == pa.int32() else "long"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_date(kind):
        return AVRO["date"]
    return AVRO["timestamp"] if pa.types.is_timestamp(kind) else "string"


def draft_mapping(target: pa.Schema, columns: Sequence[Column], symbols: Mapping[str, Sequence[str]]) -> list[Field]:
    """A line for each field of an existing schema: the column whose name is most like its own, each column once."""
    fields = dict(leaves(target))
    pairs = sorted(
        ((_alike(path, c.name), path, c.name) for path in fields for c in columns), key=lambda p: (-p[0], p[1], p[2])
    )
    chosen: dict[str, str] = {}
    for score, path, name in pairs:
        if score >= CLOSE and path not in chosen and name not in chosen.values():
            chosen[path] = name
    by_name = {c.name: c for c in columns}
    return list(_lines(fields, chosen, by_name, symbols))


def _lines(
    fields: Mapping[str, pa.Field],
    chosen: Mapping[str, str],
    columns: Mapping[str, Column],
    symbols: Mapping[str, Sequence[str]],
) -> Iterator[Field]:
    for path, one in fields.items():
        column = columns.get(chosen.get(path, ""))
        if column is None:
            if not one.nullable:
                yield Field(path=path, note="no column has a name like it; the schema requires it")
            continue
        made, note = _to(one.type, column, symbols.get(path, ()))
        yield Field(path=path, expression=made, column=column.name, note=note or column.note)


def _to(kind: pa.DataType, column: Column, symbols: Sequence[str]) -> tuple[str, str]:
    """An expression of the field's type."""
    name = reference(column.name)
    if symbols:
        return f"upper(trim({name}))", "must give one of " + ", ".join(symbols)
    if pa.types.is_decimal(kind):
        forms = "".join(f", {quoted(f)}" for f in column.formats if column.guess == "double")
        return f"to_decimal({name}, {kind.precision}, {kind.scale}{forms})", ""
    if pa.types.is_list(kind):
        return f"split({name}, '|')", "name the separator in place of '|'"
    return expression(column, _wanted(kind)), "" if column.guess in (
        _wanted(kind),
        "typed",
    ) else f"looks like {column.guess}"


def _wanted(kind: pa.DataType) -> Guess:
    if pa.types.is_integer(kind):
        return "int" if kind.bit_width <= 32 else "long"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_date(kind):
        return "date"
    return "timestamp" if pa.types.is_timestamp(kind) else "string"


def _alike(path: str, column: str) -> float:
    """1 for the same name; a nested field is also known by its last step."""
    mine, other = fold(column), {fold(path), fold(path.rpartition(".")[2])}
    if mine in other:
        return 1.0
    return max(difflib.SequenceMatcher(None, mine, name, autojunk=False).ratio() for name in other) if mine else 0.0

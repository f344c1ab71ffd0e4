"""Delimited text in columns against the same read record by record, and both against Python's csv (R15)."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources import delimited
from connectors.sources.delimited import Delimited, Dialect

Outcome = tuple[list[tuple[Any, ...]], list[tuple[int, str, bytes, str]]]


def reader(wanted: str | None = None) -> Delimited:
    dialect = Dialect(delimiter=b",", quote=b'"', header=1, columns=None, nulls=(), encoding="utf-8")
    return Delimited(dialect, "f.csv", wanted=wanted and frozenset({wanted}))


def outcome(made: Delimited, parts: list[bytes]) -> Outcome:
    """Every row with its number, and every failure."""
    rows: list[tuple[Any, ...]] = []
    failures: list[tuple[int, str, bytes, str]] = []
    for found in made.read(iter(parts)):
        texts = [c.to_pylist() for c in found.columns]
        rows += [(number, *cells) for number, *cells in zip(found.numbers.tolist(), *texts, strict=True)]
        failures += [(f.row, f.reason, f.raw or b"", f.path) for f in found.failures]
    return rows, sorted(failures)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so low that little text reaches them."""
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 64)
    monkeypatch.setattr(delimited, "MAX_QUOTED", 24)
    monkeypatch.setattr(delimited, "MAX_ROW", 48)


FIELDS = st.sampled_from(
    [b"", b"x", b'"x"', b'""', b'"x,y"', b'"x""y"', b'"x\ny"', b'"x\r\ny"', b"caf\xc3\xa9", b"x y"]
)
ODD = st.sampled_from([b'"', b'x"y', b'"x"y', b'"x', b"x\ry", b"\xff", b'"\xff"', b"x" * 30, b'"' + b"x" * 30 + b'"'])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b""])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Mostly tidy rows of two fields, and whatever people write."""
    field = st.one_of(FIELDS, FIELDS, FIELDS, ODD) if draw(st.booleans()) else FIELDS
    rows = draw(
        st.lists(st.tuples(st.lists(field, min_size=2, max_size=2 + draw(st.integers(0, 1))), ENDS), max_size=12)
    )
    return b"".join(b",".join(fields) + (end or b"\n") for fields, end in rows[:-1]) + b"".join(
        b",".join(fields) + end for fields, end in rows[-1:]
    )


@pytest.mark.usefixtures("small")
@given(text=texts(), size=st.integers(1, 80))
def test_R15_columns_give_what_records_give(text: bytes, size: int) -> None:
    parts = [b"a,b\n", *(text[i : i + size] for i in range(0, len(text), size))]
    by_record = reader()
    by_record._tidy = lambda _buffer, _ended: None  # type: ignore[method-assign] # as if no chunk were tidy
    assert outcome(reader(), parts) == outcome(by_record, parts)


@pytest.mark.usefixtures("small")
@given(
    text=st.text(st.sampled_from('a,"\r\n é'), max_size=80),
    size=st.integers(1, 80),
    wanted=st.sampled_from([None, "b"]),
)
def test_R15_any_quotes_anywhere_give_the_same_either_way(text: str, size: int, wanted: str | None) -> None:
    data = text.encode()
    parts = [b"a,b\n", *(data[i : i + size] for i in range(0, len(data), size))]
    by_record = reader(wanted)
    by_record._tidy = lambda _buffer, _ended: None  # type: ignore[method-assign] # as if no chunk were tidy
    assert outcome(reader(wanted), parts) == outcome(by_record, parts)


@given(rows=st.lists(st.lists(st.text(st.sampled_from('a,"\n é'), max_size=6), min_size=2, max_size=2), max_size=8))
def test_R15_what_csv_writes_is_read(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    found, failures = outcome(reader(), [file.getvalue().encode()])
    assert failures == []
    assert [list(cells) for _number, *cells in found] == rows


def test_R15_tidy_quotes_are_read_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Delimited, "_careful", None)
    text = b'a,b\n"x","y, ""z""\n"\n,"2"\n"",\n'
    assert outcome(reader(), [text]) == ([(1, "x", 'y, "z"\n'), (2, "", "2"), (3, "", "")], [])

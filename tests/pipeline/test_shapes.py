"""What the cells of a case have in common, without a letter of them (G13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hub.pipeline.followers import Case, Open
from hub.pipeline.quarantine import Entry
from hub.pipeline.shapes import MOST_COUNTED, SHAPES, Shapes, count

CANARY = "Canary"


def opened(offset: int, case: str = "c") -> Open:
    named = Case(id=case, task="t", topic="x", stage="map", reason="R", path="p")
    return Open(id=str(offset), case=named, at=0, offset=offset)


def entry(number: int, **columns: Any) -> Entry:
    return Entry(
        id=str(number), task="t", topic="x", stage="map", reason="R", path="p", run="r", origin="o", row=number, at=0,
        columns=columns, types={}, raw=None, mapping="m", record_id="",
    )  # fmt: skip


class Loading:
    """Gives rows whose cell is the letter I, a dash and their offset, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, wanted: Iterable[Open]) -> Iterator[tuple[Open, Entry]]:
        for one in wanted:
            self.given += 1
            yield one, entry(one.offset, CAP=f"I-{one.offset:05}")


def test_G13_shapes_are_counted_the_most_frequent_first_and_show_no_letter() -> None:
    rows = [{"CAP": f"I-{n:05}", "NAME": CANARY} for n in range(5)] + [{"CAP": "-----"}, {"CAP": None}, {}]
    cap, name = count(rows, ["CAP", "NAME"])
    assert cap == {
        "column": "CAP",
        "shapes": [{"shape": "x-99999", "count": 5}, {"shape": "NULL", "count": 2}, {"shape": "-----", "count": 1}],
        "others": 0,
    }
    assert CANARY not in str(name)


def test_what_has_too_many_shapes_is_summed() -> None:
    (cap,) = count([{"CAP": "x" * n} for n in range(1, 11)], ["CAP"])
    assert (len(cap["shapes"]), cap["others"]) == (SHAPES, 10 - SHAPES)


def test_rows_are_read_once_as_long_as_they_are_the_same_and_only_the_newest_of_many() -> None:
    loading = Loading()
    shapes = Shapes(loading)
    rows = [opened(n) for n in range(10)]
    first = shapes.of(rows, ["CAP"])
    assert first == shapes.of(rows, ["CAP"])
    assert (first[0]["shapes"], loading.given) == ([{"shape": "x-99999", "count": 10}], 10)
    assert shapes.of(rows[:-1], ["CAP"])[0]["shapes"][0]["count"] == 9, "one was mended"
    assert shapes.of([*rows[1:], opened(11)], ["CAP"])[0]["shapes"][0]["count"] == 10, "another one came"
    loading.given = 0
    shapes.of([opened(n) for n in range(MOST_COUNTED + 7)], ["CAP"])
    assert loading.given == MOST_COUNTED
    assert shapes.of(rows, []) == shapes.of([], ["CAP"]) == []

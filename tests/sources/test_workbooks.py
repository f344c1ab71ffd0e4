"""Workbooks as departments make them, and hostile ones (R16, R15, F24, S3). The samples are made by other libraries."""

from __future__ import annotations

import datetime
import os
import resource
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connectors.sources import workbook
from hub.errors import FileRefused
from tests.sources.reading import read, rows


def sheet(
    root: Path, lines: list[list[Any]], *, title: str = "Data", merged: tuple[str, ...] = ()
) -> openpyxl.Workbook:
    made = openpyxl.Workbook()
    made.active.title = title
    for line in lines:
        made.active.append(line)
    for cells in merged:
        made.active.merge_cells(cells)
    made.save(root / "f.xlsx")
    return made


def test_R16_title_rows_types_and_cells_that_are_text(tmp_path: Path) -> None:
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 13, 5)  # noqa: DTZ001 - a cell has no zone
    sheet(
        tmp_path,
        [["Schools of 2024"], [], ["code", "pupils", "opened", "seen", "open", "share", "at"],
         ["NA1", 30, day, moment, True, 0.5, datetime.time(8, 30)], [], ["NA", "<=3", None, None, False, 1e20, None]],
    )  # fmt: skip
    assert rows(read(tmp_path, header=3, nulls=("",))) == [
        {"code": "NA1", "pupils": "30", "opened": "2024-02-29", "seen": "2024-02-29T13:05:00", "open": "true",
         "share": "0.5", "at": "08:30:00"},
        {"code": "NA", "pupils": "<=3", "opened": None, "seen": None, "open": "false", "share": "1e+20", "at": None},
    ]  # fmt: skip


def test_R16_a_header_of_two_lines_with_merged_cells(tmp_path: Path) -> None:
    lines = [["code", "pupils", None, "staff"], [None, "girls", "boys", None], ["A", 1, 2, 3]]
    sheet(tmp_path, lines, merged=("A1:A2", "B1:C1", "D1:D2"))
    assert rows(read(tmp_path, header_rows=2)) == [{"code": "A", "pupils girls": "1", "pupils boys": "2", "staff": "3"}]


def test_R16_headings_of_groups_and_footers(tmp_path: Path) -> None:
    lines = [["name", "n"], ["North"], ["a", 1], ["b", 2], ["South"], ["c", 3], ["Source: us"]]
    sheet(tmp_path, lines)
    found = rows(read(tmp_path, group_column="group"))
    assert [(r["name"], r["group"]) for r in found] == [("a", "North"), ("b", "North"), ("c", "South")]
    assert len(rows(read(tmp_path))) == 6  # without the setting every line is a row, for `where` to judge


def test_R16_one_sheet_by_number_or_name_or_all_that_match(tmp_path: Path) -> None:
    made = sheet(tmp_path, [["a"], [1]], title="2023 x")
    for title, value in (("2024 y", 2), ("notes", 3)):
        other = made.create_sheet(title)
        other.append(["a"])
        other.append([value])
    made.save(tmp_path / "f.xlsx")
    assert rows(read(tmp_path)) == [{"a": "1"}]
    assert rows(read(tmp_path, sheet=2)) == [{"a": "2"}]
    assert rows(read(tmp_path, sheet="notes")) == [{"a": "3"}]
    assert rows(read(tmp_path, sheet="20*")) == [{"a": "1", "@sheet": "2023 x"}, {"a": "2", "@sheet": "2024 y"}]
    assert [int(n) for b in read(tmp_path, sheet="20*") for n in b.rows] == [1, 2]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"sheet": 9}, "there is no sheet 9"),
        ({"sheet": "nope"}, "no sheet `nope`; there are `Data`"),
        ({"header": 50}, "no header in row 50"),
        ({"header": 3}, "column `x` twice"),
    ],
)
def test_R35_a_workbook_that_is_not_as_the_settings_say(tmp_path: Path, spec: dict[str, Any], message: str) -> None:
    sheet(tmp_path, [["a", "b"], [1, 2], ["x", "x"]])
    with pytest.raises(FileRefused, match=message) as refused:
        read(tmp_path, **spec)
    assert refused.value.where == "f.xlsx"


def test_R35_a_title_above_the_header_is_told_with_the_row_that_is_the_header(tmp_path: Path) -> None:
    sheet(tmp_path, [["Of 2024"], [], ["a", "b", "c"], [1, 2, 3]])
    for wrong in (1, 2):
        with pytest.raises(FileRefused, match="row 3 looks like the header: set `header: 3`"):
            read(tmp_path, header=wrong)
    assert rows(read(tmp_path, header=3)) == [{"a": "1", "b": "2", "c": "3"}]
    sheet(tmp_path, [["a", "b"], [1, 2], [3, 4, "note"]])  # the header is where it should be: no row is named
    with pytest.raises(FileRefused, match=r"cells to the right of its header; name the columns under `columns:`$"):
        read(tmp_path)


def test_R16_a_workbook_goes_on_by_row_and_only_wanted_columns_come(tmp_path: Path) -> None:
    sheet(tmp_path, [["a", "b"], *[[i, "x"] for i in range(25_000)]])
    found = read(tmp_path, wanted=frozenset({"a"}))
    assert found[0].records.schema.names == ["a"]
    rest = read(tmp_path, found[0].position, wanted=frozenset({"a"}))
    assert rows(found[:1] + rest) == rows(found)
    assert len(rows(found)) == 25_000


@pytest.mark.parametrize("name", ["f.xlsx", "f.xls", "f.ods"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, os.urandom(999)]
)
def test_F24_what_is_no_workbook_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileRefused):
        read(tmp_path)


def test_S3_a_workbook_that_grows_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    sheet(tmp_path, [["a"], [1]])
    with zipfile.ZipFile(tmp_path / "f.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b"0" * (300 << 20))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(FileRefused, match="grows too much"):
        read(tmp_path)
    assert resource.getrusage(resource.RUSAGE_CHILDREN) == before  # no child was started for it


def test_S3_the_child_meets_its_limit_and_the_hub_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = openpyxl.Workbook(write_only=True)
    page = made.create_sheet("Data")
    for i in range(120_000):
        page.append([f"{i}-{'x' * 40}-{j}" for j in range(12)])
    made.save(tmp_path / "f.xlsx")
    monkeypatch.setattr(workbook, "MEMORY", 96 << 20)
    with pytest.raises(FileRefused, match="limits of memory"):
        read(tmp_path)
    monkeypatch.undo()
    (tmp_path / "f.xlsx").unlink()
    sheet(tmp_path, [["a"], [1]])
    assert rows(read(tmp_path)) == [{"a": "1"}]


def test_S16_the_child_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATONG_KAFKA__PASSWORD", "canary-4711")
    assert all(not name.startswith("DATONG") for name in workbook.environment())
    assert "canary-4711" not in workbook.environment().values()

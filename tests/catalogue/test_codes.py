"""Code lists: a CSV and its YAML, or the YAML alone; the project's before the shipped ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.catalogue.codes import load_codes
from hub.catalogue.mistakes import Mistake
from hub.errors import ConfigurationInvalid
from hub.mapping.codelists import CodeLists

YAML = "list: it.istat\nversion: 2026-06-30\ntitle: {en: Municipalities}\nsource: ISTAT\nlicence: CC-BY-4.0\n"
CSV = "code,name,aliases,valid_from,valid_to,successor,to:it.cadastral\n"


def load(folder: Path, csv: str | None = None, yaml: str = YAML) -> tuple[CodeLists, list[Mistake]]:
    codes = folder / "codes"
    codes.mkdir(parents=True, exist_ok=True)
    (codes / "it.istat.yaml").write_text(yaml, encoding="utf-8")
    if csv is not None:
        (codes / "it.istat.csv").write_text(csv, encoding="utf-8")
    return load_codes([folder], {folder: "schemas"})


def test_R14_a_list_with_names_validity_and_crosswalk(tmp_path: Path) -> None:
    rows = "001001,Agliè,Aglie|Agliè Canavese,1861-03-17,,,A074\n001002,Gone,,,2020-01-01,001001,\n"
    codes, mistakes = load(tmp_path, "\ufeff" + CSV + rows)
    assert mistakes == []
    first, second = codes.lists["it.istat"].codes
    assert (first.code, first.name, first.aliases, first.valid_to) == (
        "001001",
        "Agliè",
        ("Aglie", "Agliè Canavese"),
        None,
    )
    assert (dict(first.to), dict(second.to)) == ({"it.cadastral": "A074"}, {})
    assert (second.valid_to, second.successor) == ("2020-01-01", "001001")
    assert codes.versions == {"it.istat": "2026-06-30"}
    assert codes.walk("it.cadastral", "it.istat").table == {"A074": "001001"}
    assert codes.lists["it.istat"].title["en"] == "Municipalities"


def test_R14_a_short_list_in_the_yaml_alone(tmp_path: Path) -> None:
    codes, mistakes = load(tmp_path, yaml=YAML + "codes:\n  - {code: '01', name: One, 'to:x': a}\n  - {code: '02'}\n")
    assert mistakes == []
    assert [c.code for c in codes.lists["it.istat"].codes] == ["01", "02"]
    assert dict(codes.lists["it.istat"].codes[0].to) == {"x": "a"}


@pytest.mark.parametrize(
    ("rows", "line", "path"),
    [
        ("1,a,,,,,\n1,b,,,,,\n", 3, "code"),
        (",a,,,,,\n", 2, "code"),
        ("1,a,,01/02/2020,,,\n", 2, "valid_from"),
        ("1,a\n", 2, ""),
        ("1,a,,,,,,,\n", 2, ""),
    ],
)
def test_R14_mistakes_of_rows_have_lines(tmp_path: Path, rows: str, line: int, path: str) -> None:
    codes, mistakes = load(tmp_path, CSV + rows)
    assert [(m.file, m.line, m.path) for m in mistakes] == [("schemas/codes/it.istat.csv", line, path)]
    assert codes.lists == {}


def test_R14_a_code_may_have_several_lives_one_after_the_other(tmp_path: Path) -> None:
    lives = "1,a,,,1984-01-01,,\n1,b,,1986-12-31,1994-12-31,2,\n2,c,,,,,\n"
    codes, mistakes = load(tmp_path / "one", CSV + lives)
    assert mistakes == []
    assert [(c.code, c.name, c.valid_to) for c in codes.lists["it.istat"].codes] == [
        ("1", "a", "1984-01-01"),
        ("1", "b", "1994-12-31"),
        ("2", "c", None),
    ]
    overlapping = "1,a,,,1987-01-01,,\n1,b,,1986-12-31,,,\n2,c,,,,,\n2,d,,2000-01-01,,,\n"
    assert [(m.line, m.path) for m in load(tmp_path / "two", CSV + overlapping)[1]] == [(3, "code"), (5, "code")]


def test_R14_every_bad_row_is_said(tmp_path: Path) -> None:
    assert [m.line for m in load(tmp_path, CSV + "1,a,,,,,\n1,,,,,,\n,,,,,,\n2,,,x,,,\n")[1]] == [3, 4, 5]


def test_R14_a_header_with_unknown_columns(tmp_path: Path) -> None:
    said = load(tmp_path, "code,nmae\n1,a\n")[1]
    assert [(m.line, m.path, m.suggestion) for m in said] == [(1, "nmae", "did you mean `name`?")]
    assert [m.path for m in load(tmp_path, "name\nx\n")[1]] == ["code"]


def test_R14_what_belongs_together_is_together(tmp_path: Path) -> None:
    assert "neither" in load(tmp_path / "a")[1][0].message
    assert "file's name" in load(tmp_path / "b", CSV, YAML.replace("it.istat", "it.other"))[1][0].message
    assert {m.path for m in load(tmp_path / "c", CSV, "list: it.istat\n")[1]} == {
        "version",
        "title",
        "source",
        "licence",
    }
    (tmp_path / "d/codes").mkdir(parents=True)
    (tmp_path / "d/codes/lonely.csv").write_text("code\n1\n")
    assert "lonely.yaml" in load_codes([tmp_path / "d"], {tmp_path / "d": "x"})[1][0].suggestion


def test_R14_not_utf8(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "codes/it.istat.csv").write_bytes(b"code\n\xff\n")
    assert load_codes([tmp_path], {tmp_path: "x"})[1][0].message == "the file is not UTF-8"


def test_R14_the_projects_list_comes_first(tmp_path: Path) -> None:
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    load(mine, CSV + "1,mine,,,,,\n")
    load(shipped, CSV + "1,shipped,,,,,\n")
    codes, mistakes = load_codes([mine, shipped], {mine: "schemas", shipped: "shipped schemas"})
    assert mistakes == []
    assert codes.lists["it.istat"].codes[0].name == "mine"


def test_R14_a_shipped_list_is_read_when_it_is_used(tmp_path: Path) -> None:
    load(tmp_path, CSV + "1,One,,,,,\n2,Two,,,,,\n")
    codes, mistakes = load_codes([tmp_path], {tmp_path: "shipped schemas"}, shipped=[tmp_path])
    assert (mistakes, codes.versions) == ([], {"it.istat": "2026-06-30"})
    entries = codes.listed("it.istat").codes
    (tmp_path / "codes/it.istat.csv").write_text(CSV + "3,Three,,,,,\n", encoding="utf-8")
    assert [c.name for c in entries] == ["Three"]  # read now, and once
    (tmp_path / "codes/it.istat.csv").unlink()
    assert (len(entries), entries[0].code, entries[:1]) == (1, "3", entries[0:])


@pytest.mark.parametrize("damage", ["code,unheard_of\n", CSV + "1,One,,not a day,,,\n", None])
def test_R35_a_shipped_list_that_is_damaged_says_what_to_do(tmp_path: Path, damage: str | None) -> None:
    load(tmp_path, CSV + "1,One,,,,,\n")
    codes = load_codes([tmp_path], {tmp_path: "shipped schemas"}, shipped=[tmp_path])[0]
    file = tmp_path / "codes/it.istat.csv"
    file.unlink() if damage is None else file.write_text(damage, encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match="install Datong again") as refused:
        codes.walk("it.istat", "it.cadastral")
    assert "it.istat.csv" in refused.value.where


def test_a_list_that_is_changed_is_read_anew(tmp_path: Path) -> None:
    assert [c.name for c in load(tmp_path, CSV + "1,One,,,,,\n")[0].lists["it.istat"].codes] == ["One"]
    assert [c.name for c in load(tmp_path, CSV + "1,Uno e due,,,,,\n")[0].lists["it.istat"].codes] == ["Uno e due"]
    assert load(tmp_path, CSV + "1,One,,not a day,,,\n")[1] != []
    assert load(tmp_path, CSV + "1,One,,,,,\n", YAML.replace("2026-06-30", "2027-01-01"))[0].versions == {
        "it.istat": "2027-01-01"
    }

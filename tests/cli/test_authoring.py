"""`connector new` and `test`: from a source to a connector that works, and examples that hold it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from tests.cli.conftest import in_this_process as datong
from tests.support.fault_server import FaultServer, Request
from tests.support.fault_server import answer as response


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert datong("init", "p", cwd=tmp_path).returncode == 0
    (tmp_path / "p/data").mkdir(exist_ok=True)
    return tmp_path / "p"


def new(project: Path, name: str, topic: str, *more: str) -> dict[str, Any]:
    arguments = ["connector", "new", name, "--agency", topic.partition(".")[0], "--topic", topic, "--json", *more]
    done = datong(*arguments, cwd=project)
    assert done.returncode in (0, 3), done.stderr
    return {**json.loads(done.stdout), "exit": done.returncode}


def test_a_workbook_with_a_title_row_becomes_a_connector_that_publishes(project: Path) -> None:
    book = openpyxl.Workbook()
    for line in (
        ["Trees of 2024"],
        ["Tree no.", "Species", "Planted", "Height (m)", "Cost", "Postcode"],
        ["T-1", "Tilia", "12/05/1931", "7.5", "1.240,50", "00184"],
        ["T-2", "Acer", "01/03/1999", "12", "980,00", "00185"],
        ["T-3", "Acer", None, "3.25", "1.000,00", "00184"],
    ):
        book.active.append(line)
    book.save(project / "data/trees.xlsx")
    made = new(project, "city-trees", "city-parks.nature.tree.v1", "--kind", "files", "--set", "path=data/trees.xlsx",
               "--set", "header=2")  # fmt: skip
    assert made["exit"] == 0
    assert made["mistakes"] == []
    assert {f["path"]: f["expression"] for f in made["fields"]} == {
        "tree_no": "trim(column('Tree no.'))",
        "species": "trim(Species)",
        "planted": "to_date(Planted, '%d/%m/%Y')",
        "height_m": "to_double(column('Height (m)'))",
        "cost": "to_double(Cost, '1.234,5')",
        "postcode": "trim(Postcode)",
    }
    assert set(made["written"]) == {
        "connectors.d/city-trees.yaml", "schemas/nature/tree.avsc", "topics.d/city-trees.yaml", "agencies.yaml",
    }  # fmt: skip
    run = json.loads(datong("run", "city-trees", "--json", cwd=project).stdout)["runs"][0]
    assert (run["state"], run["totals"]["published"], run["totals"]["quarantined"]) == ("completed", 3, 0)


SPORT = ["--kind", "files", "--set", "path=data/sport.xlsx"]


def sport(project: Path, rows: int) -> None:
    """As offices make them: a title, a blank row, the header, a total and where it comes from."""
    book = openpyxl.Workbook()
    book.active.append(["Sport grounds on 31 December 2024"])
    book.active.append([])
    book.active.append(["Code", "Name", "District", "Seats", "Run by"])
    for i in range(rows):
        book.active.append([f"S-{i}", f"Ground {i}", "North", "<=3" if i == 7 else 50 + i, "city" if i % 2 else None])
    book.active.append(["Total", None, None, 4711])
    book.active.append(["Source: sports office"])
    book.save(project / "data/sport.xlsx")


@pytest.mark.parametrize("rows", [20, 12_000])
def test_a_title_is_told_and_a_footer_is_left_out_aloud(project: Path, rows: int) -> None:
    sport(project, rows)
    arguments = ["connector", "new", "city-sport", "--agency", "city", "--topic", "city.sport.ground.v1", *SPORT]
    refused = datong(*arguments, cwd=project)
    assert refused.returncode == 1
    assert "set `header: 3`" in refused.stderr
    made = new(project, "city-sport", "city.sport.ground.v1", *SPORT, "--set", "header=3")
    assert made["notes"] == [
        "the last 2 of these rows, nearly blank or sums, look like a footer: left out by `where: Name IS NOT NULL`"
    ]
    assert {f["path"]: f["note"] for f in made["fields"] if f["note"]} == {
        "seats": f"{min(rows, 998) - 1} of {min(rows, 998)} are numbers; to_double(…) would quarantine the others"
    }
    run = json.loads(datong("run", "city-sport", "--json", cwd=project).stdout)["runs"][0]
    totals = run["totals"]
    assert (totals["read"], totals["published"], totals["filtered"]) == (rows + 2, rows, 2)


def test_what_stands_between_columns_is_found_and_said(project: Path) -> None:
    (project / "data/b.csv").write_text("Code;Name;Share\n1;a,b;0,5\n2;c;0,75\n")
    made = new(project, "b", "city.data.b.v1", "--kind", "files", "--set", "path=data/b.csv")
    assert made["notes"] == ['the columns are taken to have ";" between them: `delimiter: ";"`']
    assert [f["expression"] for f in made["fields"]] == ["to_int(Code)", "trim(Name)", "to_double(Share, '1.234,5')"]
    run = json.loads(datong("run", "b", "--json", cwd=project).stdout)["runs"][0]
    assert run["totals"]["published"] == 2


def services(*pages: dict[str, Any]) -> FaultServer:
    def answer(request: Request) -> bytes:
        page = json.dumps(pages[int(request.query.get("page", "1")) - 1]).replace("PORT", str(server.port))
        return response(body=page.encode())

    server = FaultServer(answer)
    return server


def stations(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"s{n}", "at": f"2026-01-0{n}T10:00:00.5+01:00", "geo": {"lat": n / 2}} for n in numbers]


def test_rows_within_a_document_are_found_and_the_next_page_is(project: Path) -> None:
    server = services(
        {"count": 3, "next": "http://127.0.0.1:PORT/s?page=2", "results": stations(1, 2)},
        {"count": 3, "next": None, "results": stations(3)},
    )
    address = ["--kind", "rest", "--set", f"url={server.url}/s"]
    refused = datong("connector", "new", "air", "--agency", "a", "--topic", "a.b.air.v1", *address, cwd=project)
    assert f"outbound: {{allow: ['{server.address}']}}" in refused.stderr
    with (project / "datong.yaml").open("a") as settings:
        settings.write(f"outbound: {{allow: ['{server.address}']}}\n")
    made = new(project, "air", "city-air.environment.air.v1", *address)
    assert made["notes"] == [
        "rows are the elements of `results`: `items: results`",
        "the next page's address stands at `next`: `paging: {by: next_url, at: next}`",
    ]
    assert {f["path"]: f["expression"] for f in made["fields"]} == {
        "id": "trim(id)", "at": "parse_timestamp(at, 'UTC')", "geo_lat": "to_double(column('geo.lat'))",
    }  # fmt: skip
    run = json.loads(datong("run", "air", "--json", cwd=project).stdout)["runs"][0]
    assert (run["state"], run["totals"]["published"], run["totals"]["quarantined"]) == ("completed", 3, 0)
    server.close()


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            {"data": {"rows": stations(1, 2)}, "meta": {"total": 57}},
            "`meta.total` says 57 and this page has 2 rows; say",
        ),
        ({"rows": stations(1), "sensors": stations(1, 2)}, "lists of objects stand also at `rows`"),
        ({"results": stations(1)}, "one page is read; if there are more, say"),
    ],
)
def test_a_service_that_may_have_more_is_asked_about(project: Path, page: dict[str, Any], said: str) -> None:
    server = services(page)
    with (project / "datong.yaml").open("a") as settings:
        settings.write(f"outbound: {{allow: ['{server.address}']}}\n")
    made = new(project, "air", "city-air.environment.air.v1", "--kind", "rest", "--set", f"url={server.url}/s")
    assert [note for note in made["notes"] if said in note]
    assert {f["path"] for f in made["fields"]} == {"id", "at", "geo_lat"}
    server.close()


def test_an_existing_schema_is_matched_by_name_and_type_and_what_is_left_is_said(project: Path) -> None:
    (project / "data/b.csv").write_text("BRANCH_ID,Näme,Distrct,Seats,Opening day\nb1,x,North,12,1999-03-01\n")
    made = new(project, "other-branches", "city-library.culture.branch.v2", "--kind", "files", "--set", "path=data/b.csv",
               "--schema", "culture/branch.avsc", "--key", "BRANCH_ID")  # fmt: skip
    expressions = {f["path"]: f["expression"] for f in made["fields"]}
    assert expressions == {
        "branch_id": "trim(BRANCH_ID)", "name": "trim(Näme)" if "Näme".isascii() else "trim(column('Näme'))",
        "district": "trim(Distrct)", "seats": "to_int(Seats)",
    }  # fmt: skip
    assert made["exit"] == 0
    connector = yaml.safe_load((project / "connectors.d/other-branches.yaml").read_text())
    assert connector["publish"]["key"] == ["branch_id"]
    (project / "data/c.csv").write_text("a,b\n1,2\n")
    poor = new(project, "poor", "city-library.culture.branch.v3", "--kind", "files", "--set", "path=data/c.csv",
               "--schema", "culture/branch.avsc")  # fmt: skip
    assert poor["exit"] == 3
    assert poor["mistakes"]
    assert {f["note"] for f in poor["fields"]} == {"no column has a name like it; the schema requires it"}


def test_a_database_keeps_its_types(project: Path) -> None:
    connection = sqlite3.connect(project / "data/x.db")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, share REAL, day DATE)")
    connection.execute("INSERT INTO t VALUES (1, '[{\"a\": 1}]', 0.5, '2024-02-29')")  # no list of rows, but a text
    connection.commit()
    connection.close()
    made = new(project, "from-db", "city-x.data.thing.v1", "--kind", "sql", "--set", "url=sqlite:///data/x.db",
               "--set", "table=t", "--set", "cursor=id", "--set", "key=[id]")  # fmt: skip
    assert made["mistakes"] == []
    assert [f["expression"] for f in made["fields"]][:3] == ["id", "trim(name)", "share"]
    assert made["notes"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "nope"], "not a kind"),
        (["--kind", "files"], "path"),
        (["--kind", "files", "--set", "path"], "no `=`"),
        (["--kind", "files", "--set", "path=data/*.csv", "--set", "delimeter=;"], "delimeter"),
        (["--kind", "files", "--set", "path=nothing.csv"], "no file matches"),
        (["--kind", "files", "--set", "path=data/titled.csv"], "none of the 2 rows that were looked at can be read"),
        (["--kind", "files", "--set", "path=data/branches.csv", "--key", "nope"], "no column `nope`"),
    ],
)
def test_R35_what_cannot_be_drafted_is_told_and_nothing_is_written(
    project: Path, arguments: list[str], said: str
) -> None:
    (project / "data/titled.csv").write_text("Branches of 2024\n\na,b\n1,2\n")
    before = sorted(p.name for p in project.rglob("*"))
    done = datong("connector", "new", "x", "--agency", "a", "--topic", "a.b.c.v1", *arguments, cwd=project)
    assert done.returncode in (3, 5)
    assert said in done.stderr
    assert sorted(p.name for p in project.rglob("*")) == before


def test_a_name_that_is_taken_is_refused(project: Path) -> None:
    done = datong("connector", "new", "city-library-branches", cwd=project)
    assert done.returncode == 1
    assert "is there already" in done.stderr


def examples(project: Path, text: str) -> None:
    (project / "examples.d").mkdir(exist_ok=True)
    (project / "examples.d/branches.yaml").write_text("connector: city-library-branches\nexamples:\n" + text)


GOOD = """\
  - name: codes are put in order
    row: {Code: ' b-9 ', Name: x, District: North, Seats: '5', Opened: 12/05/1931}
    record: {branch_id: B-9, seats: 5, opened_on: '1931-05-12'}
  - row: {Code: b-9, Name: x, District: North, Seats: none}
    rejected: BAD_NUMBER
    path: seats
  - row: {Code: b-9, Name: x, District: North, Seats: '0'}
    rejected: CHECK_FAILED
"""


def test_examples_hold_a_connector(project: Path) -> None:
    examples(project, GOOD)
    done = datong("test", cwd=project)
    assert (done.returncode, done.stdout.strip()) == (0, "3 examples: 3 as they say, 0 not")


def test_every_difference_is_named(project: Path) -> None:
    examples(project, GOOD.replace("seats: 5", "seats: 6").replace("BAD_NUMBER", "NULL_KEY"))
    done = datong("test", "city-library-branches", cwd=project)
    assert done.returncode == 1
    assert "example 1 (codes are put in order): seats is 5, not 6" in done.stdout
    assert "example 2: is rejected with BAD_NUMBER, not NULL_KEY" in done.stdout
    assert json.loads(datong("test", "--json", cwd=project).stdout)["examples"][2]["differences"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  - row: {Code: x}\n", "has no outcome"),
        ("  - row: {Code: x}\n    record: {}\n    filtered: true\n", "several"),
        ("  - rows: {Code: x}\n    filtered: true\n", "row"),
    ],
)
def test_R35_mistakes_in_examples_have_their_line(project: Path, text: str, said: str) -> None:
    examples(project, text)
    done = datong("test", cwd=project)
    assert done.returncode == 3
    assert "examples.d/branches.yaml:" in done.stderr
    assert said in done.stderr

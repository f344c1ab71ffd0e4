"""From rows in quarantine to the fix and the replay, by pages alone (G9, G13, R20, S18)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub import errors
from hub.console.texts import texts
from hub.console.views.overview import also_of, page_of
from hub.mapping.values import REASONS
from hub.pipeline.preview import EXPLANATIONS
from tests.api.test_api import run
from tests.support.console import Console, form_token, serving
from tests.support.projects import make_project

NAME = "city-library-branches"
CANARY = "Central"  # stands in the file, and on no page
EVIL = "<script>alert(1)</script>"
CODES = sorted(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type)
    and issubclass(kind, errors.DatongError)
    and name not in ("Retry", "Reject", "Denied", "Fatal")
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p")) as made:
        yield made


def config(console: Console) -> Path:
    return console.project / f"connectors.d/{NAME}.yaml"


def spoil(console: Console, old: str, new: str) -> None:
    """Change the connector by hand, and run it."""
    text = config(console).read_text()
    assert old in text
    config(console).write_text(text.replace(old, new))
    console.hub.reload()
    ran(console)


def ran(console: Console) -> dict[str, object]:
    with httpx.Client(base_url=console.url, headers=console.key, timeout=60, trust_env=False) as api:
        return run(api)


def cases(console: Console) -> dict[str, dict[str, object]]:
    """Open cases by reason, as the API has them."""
    return {case["reason"]: case for case in console.api("/quarantine").json()["cases"]}


def post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(f"/console{path}", data={"token": form_token(client), **form})


def typed(page: str) -> str:
    """What stands in the editor."""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    return found[1]


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def test_G9_rows_are_found_explained_mended_tried_saved_and_replayed_by_pages_alone(own: Console) -> None:
    spoil(own, "seats > 0", "seats > 30")
    case = str(cases(own)["CHECK_FAILED"]["case"])
    with own.as_("olaf") as client:
        listed = client.get("/console/quarantine").text
        assert f'href="/console/quarantine/{case}"' in listed
        assert "The contract&#39;s check is false for this row." in listed
        page = client.get(f"/console/quarantine/{case}").text
        assert '<td class="bad-cell"><code>99</code></td>' in page, "the cell that the check reads"
        assert '<td class="bad-cell"><code>x-999</code></td>' not in page
        assert CANARY not in page
        assert f'href="/console/connectors/{NAME}/edit?case={case}"' in page
        assert "The mapping says: <code>seats: to_int(Seats)</code>" in page
        assert (
            '<th scope="row"><code>Seats</code></th><td class="bad-cell"><code>99</code></td><td class="num">1</td>'
            in page
        )
        editor = client.get(f"/console/connectors/{NAME}/edit?case={case}").text
        assert "must have a value" in editor, "what the schema asks of its fields"
        form = {"case": case, "revision": field(editor, "revision"), "text": config(own).read_text()}
        same = post(client, f"/connectors/{NAME}/edit", do="try", **form).text
        assert "Of 1 rows of this case 0 would pass." in same
        assert re.search(r'<th scope="row">Seats</th><td class="bad-cell">', same)
        form["text"] = form["text"].replace("seats > 30", "seats > 0").replace("\n", "\r\n")
        tried = post(client, f"/connectors/{NAME}/edit", do="try", **form).text
        assert "Of 1 rows of this case 1 would pass." in tried
        assert re.search(r'<th scope="row">Seats</th><td class="look-cell">', tried)
        assert re.search(r'<th scope="row">seats</th><td class="look-cell"><code>99</code>', tried)
        assert "CHECK_FAILED" in cases(own), "nothing was changed by trying"
        saved = post(client, f"/connectors/{NAME}/edit", do="save", **form)
        assert (saved.status_code, saved.headers["location"]) == (303, f"/console/quarantine/{case}?step=replay")
        assert "\r" not in config(own).read_bytes().decode(), "lines end as files have them"
        done = post(client, f"/quarantine/{case}/replay")
        assert (done.status_code, done.headers["location"]) == (303, f"/console/quarantine?connector={NAME}")
        told = "The case is empty: 1 of 1 rows passed: 1 published, 0 already there as they are."
        assert told in client.get("/console/quarantine").text
        assert "No row of this case is in quarantine any more." in client.get(f"/console/quarantine/{case}").text
    assert "CHECK_FAILED" not in cases(own)
    assert own.api("/topics").json()["topics"][0]["records"] == 3


def test_R20_a_replay_that_mends_nothing_says_so_and_shows_it(own: Console) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    with own.as_("olaf", **{"Accept-Language": "zh"}) as client:
        done = post(client, f"/quarantine/{case}/replay")
        assert done.headers["location"] == f"/console/quarantine/{case}?step=aside"
        page = client.get(f"/console/quarantine/{case}").text
        assert "1 行中 0 行通过：新发布 0 行，此前已发布且未变 0 行；本案例还剩 1 行。" in page
        assert "重放 1 行：0 行通过，1 行仍被隔离" in page
        assert "不是指定格式的数字。" in page
    assert cases(own)["BAD_NUMBER"]["count"] == 1


def test_rows_that_fail_for_another_reason_are_another_case(own: Console) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    text = config(own).read_text().replace("to_int(Seats)", "coalesce(try(to_int(Seats)), 0)")
    config(own).write_text(text)
    own.hub.reload()
    with own.as_("olaf") as client:
        assert post(client, f"/quarantine/{case}/replay").headers["location"] == f"/console/quarantine?connector={NAME}"
        assert "The others fail for another reason now" in client.get("/console/quarantine").text
    assert set(cases(own)) == {"CHECK_FAILED"}


def test_rows_that_could_not_be_read_are_mended_at_the_source_and_not_replayed(own: Console) -> None:
    with (own.project / "data/branches.csv").open("a") as data:
        data.write("b-005,Too,few\n")
    ran(own)
    case = str(cases(own)["COLUMN_COUNT"]["case"])
    with own.as_("olaf") as client:
        page = client.get(f"/console/quarantine/{case}").text
        assert "Mend them at the source" in page
        assert '<td class="bad-cell"><code>13 bytes</code></td>' in page
        assert f'href="/console/connectors/{NAME}/edit"' in page
        assert "/replay" not in page


def test_cases_are_chosen_by_connector_and_topic_and_nothing_is_nothing(own: Console) -> None:
    with own.as_("vera") as client:
        assert "Nothing is in quarantine." in client.get("/console/quarantine").text
        ran(own)
        shown = client.get("/console/quarantine.json", params={"connector": NAME}).json()
        assert (shown["cases_in_all"], shown["rows_in_all"], shown["connectors"]) == (1, 1, [NAME])
        assert shown["cases"][0]["agency_title"] == "City library office"
        page = client.get("/console/quarantine").text
        assert "<p>1 row in 1 case</p>" in page
        assert '<th scope="col">Field or check</th>' in page
        other = client.get("/console/quarantine", params={"connector": EVIL})
        assert f"Nothing of {html.escape(EVIL)} is in quarantine." in other.text
        assert EVIL not in other.text
        both = client.get("/console/quarantine", params={"connector": NAME, "topic": "a.b.c.v1"})
        assert "Nothing matches this choice." in both.text


def test_a_connector_with_nothing_open_stays_chosen(own: Console) -> None:
    ran(own)
    other = "city-library-loans"
    with own.as_("olaf") as client:
        page = client.get("/console/quarantine", params={"connector": other}).text
        assert page.count(f"<option selected>{other}</option>") == 2, "to look at, and to find a row in"
        assert f"<option>{NAME}</option>" in page
        assert f"Nothing of {other} is in quarantine." in page
        found = post(client, "/quarantine/rows/find", connector=other, value="b-001", column="")
        assert f"<option selected>{other}</option>" in found.text
    with own.as_("vera", **{"Accept-Language": "zh"}) as client:
        assert f"{other} 在隔离区中没有行。" in client.get(f"/console/quarantine?connector={other}").text


def test_S8_a_viewer_sees_a_case_and_neither_mends_nor_replays_it(own: Console) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    with own.as_("vera") as client:
        page = client.get(f"/console/quarantine/{case}").text
        assert "An operator can fix the mapping and replay, or set rows aside." in page
        assert "/replay" not in page
        assert "/edit" not in page
        assert 'id="aside"' not in page
        assert 'type="checkbox"' not in page
        assert post(client, f"/quarantine/{case}/replay").status_code == 403
        assert post(client, f"/quarantine/{case}/discard", which="all", reason="r").status_code == 403
        assert client.get(f"/console/connectors/{NAME}/edit").status_code == 403
    assert cases(own)["BAD_NUMBER"]["count"] == 1


def test_R22_rows_and_then_a_case_are_set_aside_with_a_reason_that_stays_on_record(own: Console) -> None:
    with (own.project / "data/branches.csv").open("a") as data:
        data.write(f"b-009,{CANARY} two,North,few,01/02/2003\n")
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    rows = own.api(f"/quarantine/{case}").json()["rows"]
    with own.as_("olaf") as client:
        page = client.get(f"/console/quarantine/{case}").text
        assert f'name="row-{rows[1]["id"]}"' in page
        ticked = {f"row-{rows[1]['id']}": "1", "row-x": "1", "which": "ticked"}
        done = post(client, f"/quarantine/{case}/discard", **ticked, reason="a test entry")
        assert (done.status_code, done.headers["location"]) == (303, f"/console/quarantine/{case}?step=aside")
        page = client.get(f"/console/quarantine/{case}").text
        assert "Rows set aside: 1; left in this case: 1." in page
        assert '<td class="wide" translate="no">a test entry</td>' in page
        done = post(client, f"/quarantine/{case}/discard", which="all", reason=EVIL)
        assert done.headers["location"] == f"/console/quarantine?connector={NAME}"
        for path in ("", f"/{case}"):
            shown = client.get(f"/console/quarantine{path}").text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
            assert EVIL not in shown
            assert CANARY not in shown
        assert "No row of this case is in quarantine any more." in shown
        assert "There was none yet." not in shown, "no replays are spoken of"
    aside = own.api("/quarantine").json()["set_aside"]
    assert [(one["by"], one["why"], one["count"]) for one in aside] == [("olaf", EVIL, 1), ("olaf", "a test entry", 1)]
    assert ran(own)["totals"]["discarded"] == 2  # type: ignore[index]
    with own.as_("vera", **{"Accept-Language": "zh"}) as client:
        shown = client.get(f"/console/connectors/{NAME}").text
        assert "搁置 2" in shown
        assert "对账平衡" in shown
        cells = re.findall(r'<td class="num">([^<]*)</td>', shown)
        heads = re.findall(r'<th scope="col" class="num">([^<]*)</th>', shown)
        newest = dict(zip(heads, cells, strict=False))
        assert newest.pop("用时").endswith(" 秒")
        assert newest == {"读取": "5", "发布": "0", "隔离": "0", "搁置": "2", "排除": "0", "未变化": "3", "去重": "0"}


def test_R21_a_connector_that_is_off_is_resumed_from_its_case_or_after_the_case_is_emptied(own: Console) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    resume = f'action="/console/connectors/{NAME}/resume"'
    with own.as_("olaf") as client:
        assert resume not in client.get(f"/console/quarantine/{case}").text, "it is on"
        post(client, f"/connectors/{NAME}/pause")
        assert resume in client.get(f"/console/quarantine/{case}").text
        done = post(client, f"/quarantine/{case}/discard", which="all", reason="a test entry")
        assert done.headers["location"] == f"/console/connectors/{NAME}"
        page = client.get(f"/console/connectors/{NAME}").text
        assert f"One step is left: {NAME} is not on, so resume it here." in page
        assert resume in page


def test_a_row_is_found_by_its_key_and_leads_to_its_case_where_it_stands_first(own: Console) -> None:
    with (own.project / "data/branches.csv").open("a") as data:
        data.writelines(f"b-1{n:02},Branch,North,few,01/02/2003\n" for n in range(30))
        data.write(f"{CANARY}-key,Branch,North,12\u00a0,01/02/2003\n")
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    with own.as_("olaf") as client:
        found = post(client, "/quarantine/rows/find", connector=NAME, value=f" {CANARY}-key", column="Code")
        assert found.status_code == 200
        assert f"With this value: 1 open row of {NAME}" in found.text
        assert CANARY not in found.text, "not even what was typed"
        assert 'name="column" maxlength="1000" autocomplete="off" value="Code"' in found.text
        (link,) = re.findall(rf'href="(/console/quarantine/{case}\?row=\d+)"', found.text)
        rows = client.get(link.replace("?", ".json?")).json()["case"]["rows"]
        assert (len(rows), rows[0]["row"]) == (20, 35)
        assert "character 3: NO-BREAK SPACE (U+00A0)" in client.get(link).text
        none = post(client, "/quarantine/rows/find", connector=NAME, value="b-999", column="")
        assert "Looked at: 32 open rows. None has it." in none.text
        refused = post(client, "/quarantine/rows/find", connector=NAME, value=" ", column="")
        assert (refused.status_code, "a value to look for" in refused.text) == (422, True)
    with own.as_("vera", **{"Accept-Language": "zh"}) as client:
        assert 'name="value"' not in client.get("/console/quarantine").text
        assert post(client, "/quarantine/rows/find", connector=NAME, value="b-999").status_code == 403
        assert "第 3 个字符：NO-BREAK SPACE（U+00A0）" in client.get(link).text


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"which": "ticked", "reason": "kept as typed"}, 422, "no row is ticked"),
        ({"reason": "kept as typed"}, 422, "no row is ticked"),
        ({"which": "all", "reason": "\x07"}, 422, "needs a reason"),
        ({"which": "ticked", "row-999999999": "1", "reason": "kept as typed"}, 404, "no open rows match"),
    ],
)
def test_R35_what_cannot_be_set_aside_is_said_and_the_reason_stays_typed(
    own: Console, form: dict[str, str], status: int, told: str
) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    with own.as_("olaf") as client:
        refused = post(client, f"/quarantine/{case}/discard", **form)
    assert (refused.status_code, told in refused.text) == (status, True)
    assert ('value="kept as typed"' in refused.text) is (form["reason"] != "\x07")
    assert cases(own)["BAD_NUMBER"]["count"] == 1


def test_S18_names_from_sources_are_text_and_never_markup(own: Console) -> None:
    data = own.project / "data/branches.csv"
    lines = data.read_text().splitlines()
    data.write_text("\n".join([f"{lines[0]},{EVIL}", *(f"{line},{EVIL}" for line in lines[1:])]) + "\n")
    spoil(own, "trim(District)", f"""'trim("{EVIL}")'""")
    case = str(cases(own)["BAD_NUMBER"]["case"])
    with own.as_("olaf") as client:
        page = client.get(f"/console/quarantine/{case}").text
        assert "&lt;script&gt;alert(1)" in page
        assert EVIL not in page
        gone = client.get(f"/console/quarantine/{'%3Cscript%3E'}").text
        assert "<script>" not in gone


@pytest.mark.parametrize(
    ("kind", "about", "subject", "page"),
    [
        ("quarantine_rows", "connector", "a/b", "/console/connectors/a%2Fb"),
        ("quarantine_rows", "connector", "gone", ""),
        ("connector_failed", "connector", "a/b", "/console/connectors/a%2Fb"),
        ("topic_late", "topic", "a.b.c.v1", "/console/topics/a.b.c.v1"),
        ("configuration_mistake", "hub", "connectors.d/a.yaml:3", "/console/connectors"),
        ("configuration_mistake", "hub", "topics.d/a.yaml", "/console/health"),
        ("lag_high", "group", "a.b/c", "/console/subscribers"),
    ],
)
def test_an_alert_leads_to_where_its_subject_is_best_looked_at(kind: str, about: str, subject: str, page: str) -> None:
    assert page_of({"kind": kind, "about": about, "subject": subject}, {"a/b"}) == page


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("quarantine_share", "/console/quarantine?connector=a%2Fb"),
        ("breaker_tripped", "/console/quarantine?connector=a%2Fb"),
        ("connector_failed", ""),
    ],
)
def test_an_alerts_next_step_leads_to_where_it_is_done(kind: str, page: str) -> None:
    assert also_of({"kind": kind, "subject": "a/b"}) == page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_R35_every_reason_and_every_error_has_words(language: str) -> None:
    known = texts(language)
    assert [r for r in {*filter(None, REASONS), *EXPLANATIONS} if f"quarantine.reasons.{r}" not in known] == []
    assert [c for c in CODES if f"errors.{c}" not in known or f"errors.next.{c}" not in known] == []


def test_every_reason_that_a_source_gives_is_explained() -> None:
    sources = Path(errors.__file__).parent.parent / "connectors/sources"
    given = re.compile(r'(?:\bBad\(|reason=|_fail\()"([A-Z]+(?:_[A-Z]+)+)"')
    found = {code for file in sources.rglob("*.py") for code in given.findall(file.read_text())}
    assert {"BAD_JSON", "BAD_ENCODING", "TYPE_MISMATCH"} <= found
    assert found - EXPLANATIONS.keys() == set()


def test_a_case_of_a_connector_that_paused_leads_on_to_its_resuming(own: Console) -> None:
    spoil(own, "seats > 0", "seats > 30")
    own.hub.steer(NAME, "pause")
    case = str(cases(own)["CHECK_FAILED"]["case"])
    text = config(own).read_text(encoding="utf-8").replace("seats > 30", "seats > 0")
    with own.as_("olaf") as client:
        page = client.get(f"/console/quarantine/{case}").text
        assert "Then resume the connector" in page
        assert "seats &gt; 30" in page, "what the check wants"
        opened = client.get(f"/console/connectors/{NAME}/edit?case={case}").text
        line = int(opened.partition('data-place="')[2].partition('"')[0])
        assert config(own).read_text(encoding="utf-8").splitlines()[line - 1].strip() == "seats: to_int(Seats)"
        assert "<code>title_case(" in opened, "the functions there are"
        config(own).write_text(text, encoding="utf-8")
        own.hub.reload()
        done = post(client, f"/quarantine/{case}/replay")
        assert done.headers["location"] == f"/console/connectors/{NAME}"
        told = client.get(f"/console/connectors/{NAME}").text
        assert 'class="said said-warning"' in told
        assert "so resume it here" in told


@pytest.mark.parametrize("mistaken", [False, True])
def test_R22_a_case_of_a_connector_that_is_not_there_says_so_and_can_be_set_aside(own: Console, mistaken: bool) -> None:
    ran(own)
    case = str(cases(own)["BAD_NUMBER"]["case"])
    if mistaken:
        config(own).write_text(f"connector: {NAME}\n", encoding="utf-8")
    else:
        config(own).unlink()
    own.hub.reload()
    link = f'href="/console/connectors/{NAME}"'
    with own.as_("olaf") as client:
        listed = client.get("/console/quarantine").text
        assert f"<code>{NAME}</code>" in listed
        assert "(not there)" in listed
        page = client.get(f"/console/quarantine/{case}").text
        assert "There is no such connector" in page
        assert (link in page) is mistaken, "the page that says what is wrong with its file"
        assert client.get(f"/console/connectors/{NAME}").status_code == (200 if mistaken else 404)
        for wrong in (f"/quarantine/{case}/replay", "/edit?case="):
            assert wrong not in page
        refused = post(client, f"/quarantine/{case}/replay")
        assert (refused.status_code, "so its rows cannot be mapped again" in refused.text) == (404, True)
        done = post(client, f"/quarantine/{case}/discard", which="all", reason="the library is closed")
        assert (done.status_code, done.headers["location"]) == (303, f"/console/quarantine?connector={NAME}")
        listed = client.get(done.headers["location"]).text
        assert "Rows set aside: 1; left in this case: 0." in listed
        assert link not in listed
    with own.as_("vera", **{"Accept-Language": "zh"}) as client:
        assert "the library is closed" in client.get(f"/console/quarantine/{case}").text
    assert cases(own) == {}

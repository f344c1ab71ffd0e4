"""Connectors by pages: all, one, what operators do, and the editor (G9, R13, R18, R35, S8, S16, S18)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.console.views.connectors import why
from hub.console.views.shared import on_record
from hub.mapping.functions import TABLE
from tests.api.test_api import run
from tests.support.console import Console, form_token, serving
from tests.support.projects import make_project
from tests.support.waiting import eventually

NAME = "city-library-branches"
EVIL = "<script>alert(1)</script>"
HERE = f"/connectors/{NAME}"
CANARY = "Central"
HAN = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p")) as made:
        yield made


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One for the tests that change nothing."""
    with serving(make_project(tmp_path_factory.mktemp("connectors") / "p")) as made:
        ran(made)
        yield made


def config(console: Console, name: str = NAME) -> Path:
    return console.project / f"connectors.d/{name}.yaml"


def ran(console: Console) -> dict[str, object]:
    with httpx.Client(base_url=console.url, headers=console.key, timeout=60, trust_env=False) as api:
        return run(api)


def post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(f"/console{path}", data={"token": form_token(client), **form})


def page(client: httpx.Client, path: str = HERE) -> str:
    answer = client.get(f"/console{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


def done(client: httpx.Client, verb: str, **form: str) -> str:
    """The connector's page after an action, with what was said."""
    answer = post(client, f"{HERE}/{verb}", **form)
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["location"]).text


def typed(text: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def revision(text: str) -> str:
    found = re.search(r'name="revision" value="([0-9a-f]{32})"', text)
    assert found is not None
    return found[1]


def state(console: Console) -> str:
    return str(console.api(f"/connectors/{NAME}").json()["state"])


def ended(console: Console) -> None:
    """No run is under way any more."""
    console.hub.supervisor.wait(NAME, 30)


def test_the_list_has_names_states_and_accounts_and_is_chosen_from(still: Console) -> None:
    with still.as_("vera") as client:
        shown = page(client, "/connectors")
        assert "City library office" in shown
        assert f'data-live="connector.{NAME}.rows"' in shown
        assert "4 read" in shown
        assert "1 quarantined" in shown
        assert "New connector" not in shown, "a viewer makes none"
        for query, found in (({"q": "LIBRARY-br"}, 1), ({"q": "culture.branch"}, 1), ({"q": "zzz"}, 0),
                             ({"state": "PAUSED"}, 0), ({"state": "RUNNING"}, 1), ({"agency": "city-library"}, 1),
                             ({"agency": "city-planning"}, 0)):  # fmt: skip
            assert client.get("/console/connectors.json", params=query).json()["found"] == found, query
        assert "No connector matches this choice." in page(client, "/connectors?q=zzz")
        assert client.get("/console/connectors?page=0").status_code == 422
    with still.as_("olaf", **{"Accept-Language": "zh"}) as client:
        shown = page(client, "/connectors")
        assert "市图书馆办公室" in shown
        assert "新建连接器" in shown
        assert "读取 4" in shown


def test_more_connectors_than_a_page_has_are_paged_through(still: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    one = still.hub.views.connectors()[0]
    monkeypatch.setattr(still.hub.views, "connectors", lambda: [{**one, "name": f"c{n:03}"} for n in range(350)])
    with still.as_("vera") as client:
        first = page(client, "/connectors?q=c")
        assert first.count('<th scope="row"') == 150
        assert "1 to 150 of 350" in first
        assert "page=2" in first
        last = page(client, "/connectors?q=c&page=3")
        assert last.count('<th scope="row"') == 50
        assert "301 to 350 of 350" in last
        assert "page=4" not in last


def test_G2_a_connectors_page_has_its_account_its_runs_and_its_quarantine(still: Console) -> None:
    case = still.api("/quarantine").json()["cases"][0]["case"]
    with still.as_("vera") as client:
        shown = page(client)
        assert "The account adds up" in shown
        assert f'href="/console/quarantine/{case}"' in shown
        assert 'every hour <span class="soft tight"><code>every 1h</code></span>' in shown
        assert CANARY not in shown
        assert "/pause" not in shown, "a viewer does nothing"
        assert client.get(f"/console{HERE}.json").json()["runs"][0]["totals"]["published"] == 3
        assert client.get("/console/connectors/nobody").status_code == 404


def test_S8_what_operators_do_is_done_and_said_and_viewers_do_nothing(own: Console) -> None:
    with own.as_("vera") as client:
        for verb in ("run", "pause", "resume", "stop", "restart", "reset", "delete", "accept-deletions", "edit"):
            assert post(client, f"{HERE}/{verb}").status_code == 403, verb
        assert post(client, "/connectors/new/edit", do="save", text="connector: x").status_code == 403
    assert own.api(f"/connectors/{NAME}/runs").json()["runs"] == []
    with own.as_("olaf") as client:
        assert f"{NAME} runs." in done(client, "run")
        ended(own)
        shown = done(client, "pause")
        assert state(own) == "PAUSED"
        assert "An operator paused it." in shown
        refused = post(client, f"{HERE}/run")
        assert (refused.status_code, "resume" in refused.text, "<h2" in refused.text) == (409, True, True)
        done(client, "resume")
        assert state(own) == "RUNNING"
        assert "runs anew" in done(client, "restart")
        assert own.hub.store.states.get(NAME).changed_by == "olaf"
        ended(own)
        assert own.api(f"/connectors/{NAME}/runs").json()["runs"][0]["totals"]["unchanged"] == 3
        assert f"Stop {NAME}?" in page(client), "it is asked before something ends"


def test_R18_a_stopped_connector_is_reset_with_a_reason_and_deleted(own: Console) -> None:
    ran(own)
    with own.as_("olaf") as client:
        assert "Reset the checkpoint" not in page(client)
        assert post(client, f"{HERE}/reset", reason="mended").status_code == 409
        shown = done(client, "stop")
        assert "rows that are gone are deleted" in shown, "what it means for this mode"
        assert post(client, f"{HERE}/reset", reason="  ").status_code == 422
        assert "Its checkpoint was reset: file mended" in done(client, "reset", reason="file mended")
        assert own.api(f"/connectors/{NAME}").json()["reason"] == "checkpoint reset: file mended"
        assert own.hub.store.states.get(NAME).changed_by == "olaf", "who it was stays on record"
        assert "None yet." in page(client)
        assert "<td>reset</td>" in page(client)
        gone = post(client, f"{HERE}/delete")
        assert gone.headers["location"] == "/console/connectors"
        assert "There is no connector yet." in page(client, "/connectors")
    assert not config(own).exists()


@pytest.mark.parametrize(
    ("rows", "bad", "number"),
    [(100, 1, "100 rows in a row were quarantined"), (1_000, 10, "more than 5% of 1,000 rows were quarantined")],
)
def test_G8_a_tripped_breaker_is_told_once_and_its_advice_ends_when_it_is_resumed(
    own: Console, rows: int, bad: int, number: str
) -> None:
    seats = ("few" if n % bad == 0 else "12" for n in range(rows))
    with (own.project / "data/branches.csv").open("a") as data:
        data.writelines(f"t-{n:04},Branch,North,{one},01/02/2003\n" for n, one in enumerate(seats))
    ran(own)
    assert state(own) == "PAUSED"
    told = "Too many rows were rejected, in a row or in share"
    with own.as_("olaf") as client:
        assert eventually(lambda: "Too many bad rows" in page(client, "/"))
        alert = page(client, "/")
        assert f'<a href="/console{HERE}">{NAME}</a> paused: <span lang="en">{number}</span></p>' in alert
        assert (
            f'press Resume and Run now. <a href="/console/quarantine?connector={NAME}">Open the quarantine</a></p>'
            in alert
        )
        assert "then resume the connector" not in alert, "the hub's advice, beside the page's own"
        paused = page(client)
        assert (paused.count(told), paused.count("→ Open the quarantine")) == (1, 1)
        assert f'<p class="detail" lang="en">{number}</p>' in paused, "without the advice, which stands above"
        resumed = done(client, "resume")
        assert resumed.count(told) == 1
        assert "→" not in resumed
        before, said, _ = resumed.partition(f"BreakerTripped: {number} (")
        assert said
        assert before.rfind("<details") > before.rfind("</details>"), "folded away"
    with own.as_("vera", **{"Accept-Language": "zh"}) as client:
        assert "被拒收的行过多（连续过多，或占比过高）" in page(client)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("A: it is so (do this (or that), then go on)", "it is so"),
        ("A: it (so) is", "it (so) is"),
        ("A: (only this)", "(only this)"),
        ("A: odd) (", "odd) ("),
        ("A: it is so", "it is so"),
    ],
)
def test_R35_an_error_on_record_is_shown_without_its_advice_and_kept_whole(text: str, statement: str) -> None:
    assert on_record(text) == {
        "code": "A",
        "statement": statement,
        "remedy": "",
        "raw": text.removeprefix("A: "),
    }


def test_runs_say_how_long_they_took_to_the_tenth(still: Console) -> None:
    with still.as_("vera") as client:
        assert re.search(r'<td class="num">[0-9]\.[0-9] s</td>', page(client))
        (run, *_) = client.get(f"/console{HERE}.json").json()["runs"]
        assert 0 < run["seconds"] < 60


def test_a_connector_with_nothing_in_quarantine_says_so(own: Console) -> None:
    with own.as_("vera") as client:
        assert "<p>Nothing of it is in quarantine.</p>" in page(client)


def test_R18_too_many_deletions_are_explained_and_accepted_by_a_person(own: Console) -> None:
    data = own.project / "data/branches.csv"
    ran(own)
    with own.as_("olaf", **{"Accept-Language": "zh"}) as client:
        assert "运行并接受删除" not in page(client)
        data.write_text("\n".join(data.read_text().splitlines()[:2]) + "\n")
        ran(own)
        assert state(own) == "PAUSED"
        shown = page(client)
        assert "数据源中消失的主键超过十分之一" in shown
        assert "请确认数据源是否完整" in shown
        assert '<p class="detail" lang="en">' in shown, "what the hub said stands below"
        assert shown.count("数据源中消失的主键超过十分之一") == 1
        done(client, "accept-deletions")
        ended(own)
        assert own.api(f"/connectors/{NAME}/runs").json()["runs"][0]["totals"]["deleted"] == 2
        assert state(own) == "RUNNING"


def test_R35_mistakes_are_listed_with_their_lines_and_the_text_is_kept(own: Console) -> None:
    sound = config(own).read_text()
    with own.as_("olaf") as client:
        editor = page(client, f"{HERE}/edit")
        assert typed(editor) == sound
        bad = sound.replace("every 1h", "now and then").replace("trim(Name)", f"trimm({EVIL})")
        for do in ("check", "preview", "save"):
            answer = post(client, f"{HERE}/edit", do=do, text=bad, revision=revision(editor))
            assert answer.status_code == 422
            assert "Mistakes: 2" in answer.text, do
            assert "<b>Line 6</b> <code>schedule</code>" in answer.text
            assert typed(answer.text) == bad
            assert revision(answer.text) == revision(editor)
            assert EVIL not in answer.text
        assert config(own).read_text() == sound
        lacking = post(client, f"{HERE}/edit", do="check", text=sound.replace("trim(Name)", "trim(Nome)"))
        assert "did you mean" in html.unescape(lacking.text) or "Name" in lacking.text
        assert "Mistakes: 1" in lacking.text, "R13: the source has no such column"
        assert "No mistakes were found." in post(client, f"{HERE}/edit", do="check", text=sound).text


def test_G13_a_preview_shows_rows_beside_records_masked_and_where_they_fail(still: Console) -> None:
    with still.as_("olaf") as client:
        sound = typed(page(client, f"{HERE}/edit"))
        shown = post(client, f"{HERE}/edit", do="preview", text=sound, limit="20")
        assert "Of 4 rows: 3 published, 0 left out, 1 rejected." in shown.text
        assert '<th scope="row">Seats</th><td class="bad-cell"><code>xxxx</code>' in shown.text
        assert '<th scope="row">seats</th><td class="bad-cell">Not a number in the format given.' in shown.text
        assert '<th scope="row">branch_id</th><td><code>x-999</code>' in shown.text
        assert CANARY not in shown.text
        assert typed(shown.text) == sound
    with still.as_("olaf", **{"Accept-Language": "zh"}) as client:
        failing = post(client, f"{HERE}/edit", do="preview", text=sound.replace("kind: files", "kind: mqtt"))
        assert failing.status_code == 422


def test_who_saves_over_another_is_told_sees_the_difference_and_loses_nothing(own: Console) -> None:
    sound = config(own).read_text()
    mine, theirs = sound.replace("every 1h", "every 2h"), sound.replace("every 1h", "every 3h")
    with own.as_("olaf") as client:
        old = revision(page(client, f"{HERE}/edit"))
        assert post(client, f"{HERE}/edit", do="save", text=theirs, revision=old).status_code == 303
        late = post(client, f"{HERE}/edit", do="save", text=mine, revision=old)
        assert late.status_code == 412
        assert "Somebody else changed the file" in late.text
        assert typed(late.text) == mine
        assert '<span class="minus">-schedule: every 3h</span>' in late.text
        assert '<span class="plus">+schedule: every 2h</span>' in late.text
        assert config(own).read_text() == theirs
        over = re.search(r'name="over" value="([0-9a-f]{32})"', late.text)
        assert over is not None
        saved = post(client, f"{HERE}/edit", text=mine, revision=old, over=over[1])
        assert saved.headers["location"] == f"/console{HERE}"
        assert config(own).read_text() == mine
        assert own.api(f"/connectors/{NAME}").json()["schedule"] == "every 2h"
        config(own).unlink()
        gone = post(client, f"{HERE}/edit", do="save", text=mine, revision=old)
        assert (gone.status_code, typed(gone.text)) == (404, mine)


KINDS = ("files", "sql", "webhook", "postgres", "rest", "mqtt")


@pytest.mark.parametrize("kind", KINDS)
def test_the_editor_says_what_functions_do_and_settings_are_in_the_pages_language(still: Console, kind: str) -> None:
    with still.as_("olaf") as client:
        english, chinese = (page(client, f"/connectors/new?kind={kind}&language={one}") for one in ("en", "zh"))
    assert (english.count('<td lang="zh-CN"'), chinese.count('<td lang="en"')) == (0, 0)
    assert english.count('<td lang="en"') == chinese.count('<td lang="zh-CN"') > len(TABLE)
    assert "去除首尾空白" in chinese
    for line in typed(chinese).splitlines():
        assert "  # " not in line or HAN.search(line.rpartition("  # ")[2]), line


def test_a_connector_is_made_from_a_template_for_its_kind(own: Console) -> None:
    with own.as_("olaf") as client:
        for kind in KINDS:
            for language in ("zh", "en"):
                text = typed(page(client, f"/connectors/new?kind={kind}&language={language}"))
                assert f"  kind: {kind}\n" in text
                checked = post(client, "/connectors/new/edit", do="check", text=text, kind=kind)
                assert checked.status_code == 422
                assert "not indented" not in checked.text
                assert "cannot be read" not in checked.text, "a template is YAML"
        assert client.get("/console/connectors/new?kind=telepathy").status_code == 404
        second = config(own).read_text().replace(f"connector: {NAME}", "connector: second")
        bad = post(client, "/connectors/new/edit", do="save", text=second.replace("agency: city", "agenzy: city"))
        assert (bad.status_code, "Mistakes:" in bad.text) == (422, True)
        made = post(client, "/connectors/new/edit", do="save", text=second, paused="1")
        assert (made.status_code, made.headers["location"]) == (303, "/console/connectors/second")
        assert own.api("/connectors/second").json()["state"] == "PAUSED"
        assert own.hub.store.states.get("second").changed_by == "olaf"
        again = post(client, "/connectors/new/edit", do="save", text=second)
        assert (again.status_code, typed(again.text)) == (409, second)


def test_a_connector_that_is_left_out_is_named_shown_and_mended(own: Console) -> None:
    sound = config(own).read_text()
    config(own).write_text(sound.replace("trim(Name)", f"trimm('{EVIL}')"))
    own.hub.reload()
    with own.as_("olaf") as client:
        listed = page(client, "/connectors")
        assert "Left out for mistakes in their files: 1" in listed
        assert f'href="/console{HERE}"' in listed
        assert "publish.fields.name" in page(client)
        assert EVIL not in listed + page(client)
        editor = page(client, f"{HERE}/edit")
        saved = post(client, f"{HERE}/edit", do="save", text=sound, revision=revision(editor))
        assert saved.status_code == 303
        assert "left out" not in page(client)


def test_R13_a_column_that_is_gone_is_named_and_the_editor_opens_where_it_is_read(own: Console) -> None:
    file = own.project / "data/branches.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("Seats", "Places", 1), encoding="utf-8")
    own.hub.supervisor.run_now(NAME)
    ended(own)
    assert own.api(f"/connectors/{NAME}").json()["columns"]["missing"] == ["Seats"]
    with own.as_("olaf", **{"Accept-Language": "zh"}) as client:
        shown = page(client)
        assert "映射需要、而数据源没有的列： <code>Seats</code>" in shown
        assert "<code>Places</code>" in shown
        assert f'<a class="button main" href="/console{HERE}/edit">修正映射</a>' in shown
        opened = page(client, f"{HERE}/edit")
        line = int(opened.partition('data-place="')[2].partition('"')[0])
        assert typed(opened).splitlines()[line - 1].strip() == "seats: to_int(Seats)"
        text = typed(opened).replace("to_int(Seats)", "to_int(Places)")
        assert post(client, f"{HERE}/edit", do="save", text=text, revision=revision(opened)).status_code == 303
        assert "已恢复，将按计划运行" in done(client, "resume")
        assert "映射需要" not in page(client), "it is on"
        done(client, "run")
    ended(own)
    assert own.api(f"/connectors/{NAME}").json()["columns"] is None


def test_G13_a_file_without_a_header_shows_nothing_of_its_first_row(own: Console) -> None:
    file = own.project / "data/branches.csv"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    own.hub.supervisor.run_now(NAME)
    ended(own)
    answer = own.api(f"/connectors/{NAME}").json()
    assert (answer["state"], answer["columns"]) == ("PAUSED", None)
    with own.as_("olaf") as client:
        assert "Central" not in page(client), "which stands where a header should"


@pytest.mark.parametrize(
    ("state_", "reason", "error", "failures", "code", "by_hand"),
    [
        ("RUNNING", "", "", 0, None, None),
        ("RUNNING", "", "SourceUnavailable: gone", 2, "SourceUnavailable", ""),
        ("PAUSED", "pause by an operator", "SourceUnavailable: gone", 0, None, "pause"),
        ("STOPPED", "checkpoint reset: why not", "", 0, None, "reset"),
        ("PAUSED", "lacks `a`", "ColumnsChanged: lacks `a`", 0, "ColumnsChanged", ""),
        ("FAILED", "another has it", "Fenced: fenced", 0, "Fenced", ""),
        ("PAUSED", "somebody's words", "", 0, None, ""),
    ],
)
def test_why_a_connector_is_not_on(
    state_: str, reason: str, error: str, failures: int, code: str | None, by_hand: str | None
) -> None:
    one = {"state": state_, "reason": reason, "error": error, "failures": failures, "away": "", "last_run": None}
    found = why(one)
    assert (found["error"] or {}).get("code") == code if found else code is None
    assert (found["by_hand"] if found else None) == by_hand

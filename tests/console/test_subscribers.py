"""Subscribers on pages: how far behind, what to do, and the actions of operators, seen through the API (R24, S8, S18)."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.api.test_api import agency, records
from tests.support.library import EVIL, GROUP, TOPIC, Library, library_of

ONE = f"/subscribers/{GROUP}/{TOPIC}"
PAGE = f"/console{ONE}"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Library]:
    with library_of(tmp_path / "p") as made:
        made.served.branches({"B-1": 1, "B-2": 2})
        yield made


@pytest.fixture
def olaf(library: Library) -> Iterator[httpx.Client]:
    with library.console.as_("olaf") as client:
        yield client


def lag(library: Library) -> int:
    return int(library.console.api(ONE).json()["lag"])


def test_R24_the_list_says_who_reads_how_far_and_what_to_do(mine: Library) -> None:
    with mine.console.as_("vera") as client:
        assert "Nobody reads yet." in client.get("/console/subscribers").text
        mine.served.read(commit=False)
        page = client.get("/console/subscribers").text
        assert f'href="{PAGE}"' in page
        assert "Nobody reads in this group now" in page
        chinese = client.get("/console/subscribers?language=zh").text
        assert "请联系该机构启动读取程序" in chinese
        assert "市规划办公室" in chinese
        mine.served.read()
        assert client.get("/console/subscribers.json").json()["subscribers"][0]["advice"] == ""
        assert client.get("/console/subscribers.json", params={"behind": "yes"}).json()["found"] == 0
        mine.served.edit("grants.d/planning.yaml", fields=["branch_id", "district", "seats", "opened_on"])
        assert (
            client.get("/console/subscribers.json", params={"behind": "yes"}).json()["subscribers"][0]["advice"]
            == "reset"
        )
        mine.served.edit("grants.d/planning.yaml", until=datetime(2020, 1, 31, tzinfo=UTC).date())
        (shown,) = client.get("/console/subscribers.json", params={"agency": "city-planning"}).json()["subscribers"]
        assert (shown["grant_state"], shown["advice"]) == ("expired", "expired")
        assert client.get("/console/subscribers.json", params={"agency": "city-library"}).json()["found"] == 0


def test_R24_one_shows_places_and_receipts_and_its_lag_is_live(library: Library, olaf: httpx.Client) -> None:
    library.console.hub.watch.look()
    twin = olaf.get(f"{PAGE}.json").json()
    assert twin["one"]["live"] == f"group.{GROUP}.{TOPIC}.lag"
    assert twin["one"]["receipts"] == library.console.api(ONE).json()["receipts"]
    assert f'data-live="group.{GROUP}.{TOPIC}.lag">0<' in olaf.get(PAGE).text
    found = olaf.get(f"{PAGE}/lag.json").json()
    assert found["samples"][-1]["lag"] == 0
    assert olaf.get(f"/console/subscribers/g/{TOPIC}").status_code == 200, "its short name leads there, too"
    assert olaf.get(f"/console/subscribers/nobody/{TOPIC}").status_code == 404


@pytest.mark.parametrize(
    ("form", "left"),
    [
        ({"to": "earliest"}, 2),
        ({"to": "offsets", "offset-0": "1"}, 1),
        ({"to": "moment", "moment": "2020-01-01T00:00"}, 2),
        ({"to": "moment", "moment": "2020-01-01T00:00:01"}, 2),
        ({"to": "latest", "accept_skip": "yes"}, 0),
    ],
)
def test_R24_an_operator_moves_a_group(
    library: Library, olaf: httpx.Client, capfd: pytest.CaptureFixture[str], form: dict[str, str], left: int
) -> None:
    library.served.rewind("latest", accept_skip=True)
    capfd.readouterr()
    done = library.post(olaf, f"{ONE}/rewind", reason="their disk was lost", **form)
    assert (done.status_code, done.headers["location"]) == (303, PAGE), done.text
    assert lag(library) == left
    assert "The group was moved:" in olaf.get(PAGE).text
    written = capfd.readouterr()
    (line,) = [one for one in (written.out + written.err).splitlines() if "their disk was lost" in one]
    assert all(word in line for word in ("rewound", "olaf", GROUP))


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"to": "earliest", "reason": ""}, 422),
        ({"to": "earliest", "reason": "x" * 1001}, 422),
        ({"reason": "x"}, 422),
        ({"to": "nowhere", "reason": "x"}, 422),
        ({"to": "earliest", "offset-0": "1", "reason": "x"}, 422),
        ({"to": "latest", "moment": "2020-01-01T00:00", "reason": "x"}, 422),
        ({"to": "moment", "moment": "2020-01-01T00:00", "offset-0": "1", "reason": "x"}, 422),
        ({"to": "moment", "moment": "soon", "reason": "x"}, 422),
        ({"to": "offsets", "reason": "x"}, 422),
        ({"to": "offsets", "offset-0": "-1", "reason": "x"}, 422),
        ({"to": "offsets", "offset-x": "1", "reason": "x"}, 422),
        ({"to": "offsets", "offset-0": "9" * 40, "reason": "x"}, 422),
        ({"to": "offsets", "offset-9": "0", "reason": "x"}, 404),
        ({"to": "offsets", "offset-0": "99", "reason": "x"}, 410),
    ],
)
def test_R24_a_move_that_cannot_be_moves_nothing_and_keeps_what_was_typed(
    library: Library, olaf: httpx.Client, form: dict[str, str], status: int
) -> None:
    before = library.console.api(ONE).json()["committed"]
    refused = library.post(olaf, f"{ONE}/rewind", **form)
    assert refused.status_code == status
    assert 'role="alert"' in refused.text
    if form.get("reason") == "x":
        assert 'name="reason" required maxlength="1000" autocomplete="off" value="x"' in refused.text
    assert library.console.api(ONE).json()["committed"] == before


def test_R24_nothing_is_left_out_without_the_box_for_it(mine: Library) -> None:
    mine.served.read(commit=False)
    with mine.console.as_("olaf") as client:
        refused = mine.post(client, f"{ONE}/rewind", to="latest", reason="x")
        assert (refused.status_code, "over 2 offsets" in refused.text) == (409, True)
        assert lag(mine) == 2
        assert mine.post(client, f"{ONE}/rewind", to="latest", reason="x", accept_skip="yes").status_code == 303
        assert lag(mine) == 0
        holder = {**agency(mine.served.api), "X-Datong-Reader": "holder"}
        assert records(mine.served.api, holder).status_code == 200
        assert "reading" in client.get(PAGE).text
        busy = mine.post(client, f"{ONE}/rewind", to="earliest", reason="x")
        assert busy.status_code == 409


def test_S8_a_viewer_sees_no_forms_and_moves_nothing(library: Library) -> None:
    before = library.console.api(ONE).json()["committed"]
    with library.console.as_("vera") as client:
        assert 'action="/console/subscribers' not in client.get(PAGE).text.replace('method="get"', "")
        for verb in ("rewind", "pause", "resume", "push", "retry"):
            assert library.post(client, f"{ONE}/{verb}", to="earliest", reason="x").status_code == 403, verb
    assert library.console.api(ONE).json()["committed"] == before


def test_an_operator_steers_what_is_pushed(mine: Library) -> None:
    mine.push(paused=False)
    subscription = "/subscriptions/g"
    with mine.console.as_("olaf") as client:
        assert mine.post(client, f"{ONE}/pause").status_code == 303
        assert mine.console.api(subscription).json()["state"] == "PAUSED"
        page = client.get(PAGE).text
        assert "g is paused." in page
        assert "Resume it when its system is ready." in page
        assert f'action="{PAGE}/resume"' in page
        moved = mine.post(client, f"{ONE}/rewind", to="latest", reason="x", accept_skip="yes")
        assert (moved.status_code, lag(mine)) == (303, 0)
        assert mine.post(client, f"{ONE}/resume").status_code == 303
        assert mine.console.api(subscription).json()["state"] == "RUNNING"
        assert mine.post(client, f"{ONE}/rewind", to="earliest", reason="x").status_code == 409


def test_an_operator_pushes_now(mine: Library) -> None:
    table = {"kind": "table", "url": "sqlite:///out.db", "table": "branches"}
    mine.served.edit("subscriptions.d/g.yaml", subscription="g", grant="planning-branches", sink=table)
    with mine.console.as_("olaf") as client:
        pushed = mine.post(client, f"{ONE}/push")
        assert pushed.status_code == 303
        assert "g pushes what there is now." in client.get(PAGE).text
    assert mine.console.api("/subscriptions/g").json()["running"] or lag(mine) == 0


def test_dead_letters_are_sent_again_one_or_all(mine: Library) -> None:
    mine.push()
    letters = mine.console.hub.store.letters.of("g")
    first, _ = letters.put(TOPIC, [(0, 0, 1), (0, 1, 2)], f"it answered 410 {EVIL}")
    with mine.console.as_("olaf") as client:
        assert mine.post(client, f"{ONE}/pause").status_code == 303
        page = client.get(PAGE).text
        assert (EVIL in page, html.escape(EVIL) in page) == (False, True)
        assert client.get("/console/subscribers.json").json()["subscribers"][0]["advice"] == "letters"
        assert mine.post(client, f"{ONE}/retry", letter="no such one").status_code == 404
        assert mine.post(client, f"{ONE}/retry", letter=first).status_code == 303
        states = [one["status"] for one in mine.console.api("/subscriptions/g/dead-letters").json()["dead_letters"]]
        assert states == ["waiting", "open"]
        assert mine.post(client, f"{ONE}/retry").status_code == 303
        assert "Dead letters that will be sent again: 1." in client.get(PAGE).text
        states = [one["status"] for one in mine.console.api("/subscriptions/g/dead-letters").json()["dead_letters"]]
        assert states == ["waiting", "waiting"]


def test_what_pulls_by_itself_is_not_pushed(library: Library, olaf: httpx.Client) -> None:
    for verb in ("pause", "resume", "push", "retry"):
        assert library.post(olaf, f"{ONE}/{verb}").status_code == 404, verb


def test_S18_texts_of_agencies_stay_texts(mine: Library) -> None:
    mine.served.read(commit=False)
    with mine.console.as_("olaf") as client:
        mine.served.edit("agencies.yaml", agencies=[
            {"id": "city-library", "name": {"en": "L", "zh": "馆"}},
            {"id": "city-planning", "name": {"en": EVIL, "zh": EVIL}},
        ])  # fmt: skip
        for path in ("/console/subscribers", PAGE, "/console/subscribers?language=zh"):
            page = client.get(path).text
            assert (EVIL in page, html.escape(EVIL) in page) == (False, True), path
        refused = mine.post(client, f"{ONE}/rewind", to="earliest", reason=f'">{EVIL}' * 60)
        assert (refused.status_code, EVIL in refused.text) == (422, False)

"""Pages that stay open: what they are sent, when their shape changed, and that looking on is no work (S27, R28)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.console import live
from hub.console.edge import SESSION
from hub.errors import Retry
from hub.watch import alerts
from tests.api.test_api import TOPIC, run
from tests.api.test_streams import Event, event_of, lines_of
from tests.support.console import Console, form_token, serving
from tests.support.projects import make_project
from tests.support.waiting import eventually

CONNECTOR = "city-library-branches"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p")) as made:
        yield made


@contextmanager
def events(client: httpx.Client) -> Iterator[Iterator[Event]]:
    with client.stream("GET", "/console/live") as response:
        assert response.status_code == 200
        lines = lines_of(response)
        yield (event_of(lines) for _ in iter(int, 1))


def until(found: Iterator[Event], name: str, value: str) -> dict[str, Any]:
    """The first sample that says so."""
    for _, event in zip(range(60), found, strict=False):
        if event.json["live"].get(name) == value:
            return dict(event.json)
    raise AssertionError(f"{name} never was {value}")


def publish(console: Console) -> None:
    with httpx.Client(base_url=console.url, headers=console.key, timeout=60) as api:
        assert run(api)["state"] == "completed"


def test_a_page_is_sent_all_texts_at_first_and_then_what_changed(own: Console) -> None:
    with own.as_("vera") as client, events(client) as found:
        first = next(found)
        assert (first.name, first.json["changed"], first.json["live"]["records_today"]) == ("sample", True, "0")
        second = next(found)
        assert int(second.id) == int(first.id) + 1
        assert "records_today" not in second.json["live"]
        assert not second.json["changed"]
        publish(own)
        news = until(found, f"topic.{TOPIC}.records", "3")
        assert news["live"]["records_today"] == "3"
        own.hub.steer(CONNECTOR, "pause")
        assert any(event.json["changed"] for _, event in zip(range(60), found, strict=False))
    with own.as_("vera", **{"Accept-Language": "zh"}) as client, events(client) as found:
        assert next(found).json["live"][f"topic.{TOPIC}.age"].endswith(("秒", "分钟"))


def test_S27_looking_on_keeps_nobody_logged_in(own: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ASK_S", 0.0)
    with own.as_("vera") as client, events(client) as found:
        next(found)
        with own.browser() as same:
            same.cookies.set(SESSION, client.cookies[SESSION], path="/console/", domain="127.0.0.1")
            same.post("/console/log-out", data={"token": form_token(same)})
        names = {event.name for _, event in zip(range(30), _until_end(found), strict=False)}
        assert names >= {"end"}
    with own.browser() as nobody:
        assert nobody.get("/console/live").status_code == 401


def test_S20_more_pages_than_may_follow_are_refused_until_one_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST", 1)
    with serving(make_project(tmp_path / "p")) as console, console.as_("vera") as client:
        with events(client) as found:
            next(found)
            assert client.get("/console/live").status_code == 503

        def let_in() -> bool:
            with client.stream("GET", "/console/live") as response:
                return response.status_code == 200

        assert eventually(let_in)


def test_G18_a_page_stays_open_while_nobody_can_say_whose_it_is(own: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ASK_S", 0.0)
    with own.as_("vera") as client, events(client) as found:
        first = next(found)
        asked: list[str] = []

        def away(*_asked: Any, **_more: Any) -> None:
            asked.append("")
            raise Retry("the store does not answer")

        monkeypatch.setattr(live, "session_of", away)
        later = [next(found) for _ in range(3)]
    assert asked
    assert [int(event.id) - int(first.id) for event in later] == [1, 2, 3]


def alerts_of(client: httpx.Client, right: Callable[[list[Any]], bool]) -> list[Any]:
    """What the overview tells, looked at with each sample until it is right."""
    shown: list[Any] = []
    with events(client) as found:
        for _, _event in zip(range(30), found, strict=False):
            shown = client.get("/console/overview.json").json()["alerts"]
            if right(shown):
                break
    return shown


def _until_end(found: Iterator[Event]) -> Iterator[Event]:
    for event in found:
        yield event
        if event.name == "end":
            return


def test_the_overview_says_what_is_wrong_with_the_next_step_and_clears_by_itself(
    own: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "LINGER_MS", 500)
    source = own.project / "data/branches.csv"
    sound = "\n".join(source.read_text(encoding="utf-8").splitlines()[:2]) + "\n"
    source.write_text(sound, encoding="utf-8")
    publish(own)
    with own.as_("olaf") as client:
        assert "Nothing needs you now" in client.get("/console/").text
        source.write_text("SOMETHING,ELSE\n1,2\n", encoding="utf-8")
        with httpx.Client(base_url=own.url, headers=own.key, timeout=60) as api:
            run(api)
            shown = alerts_of(client, lambda found: bool(found))
            assert [(a["subject"], a["severity"], bool(a["next_step"]["zh"])) for a in shown] == [
                (CONNECTOR, "warning", True)
            ]
            page = client.get("/console/").text
            assert f'<a href="/console/connectors/{CONNECTOR}">' in page
            assert shown[0]["title"]["en"] in page
            source.write_text(sound, encoding="utf-8")
            own.hub.steer(CONNECTOR, "resume")
            run(api)
        assert alerts_of(client, lambda found: not found) == []
        assert "Nothing needs you now" in client.get("/console/").text


def test_the_flow_leads_from_agencies_to_their_readers(own: Console) -> None:
    publish(own)
    with own.as_("vera") as client:
        shown = client.get("/console/flow.json").json()
        assert [(edge["from"], edge["to"]) for edge in shown["edges"]] == [
            ("agencies:city-library", f"connectors:{CONNECTOR}"),
            (f"connectors:{CONNECTOR}", f"topics:{TOPIC}"),
            (f"topics:{TOPIC}", "subscribers:city-planning"),
        ]
        assert client.get("/console/flow.json", params={"agency": "city-planning"}).json()["nodes"] == []

"""A topic as server-sent events over real sockets (R28, R24, R3, G12, S11, S20)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.decide import Request as Asked
from hub.api import streams
from hub.app import Hub
from hub.cli.listening import start
from hub.cli.serving import make_server
from hub.delivery.read import Gap
from hub.directory import Directory
from hub.settings import load_settings
from tests.api.test_api import TOPIC, run
from tests.support.ports import free_port
from tests.support.projects import make_project
from tests.support.waiting import eventually

EVENTS = f"/api/v1/topics/{TOPIC}/events"
IDLE = 200


@dataclass
class Event:
    """As the standard tells a client to read it."""

    name: str = "message"
    id: str = ""
    data: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads("\n".join(self.data))


def lines_of(response: httpx.Response) -> Iterator[str]:
    """Lines as the standard has them; httpx would end one at U+2028 too."""
    rest = ""
    for text in response.iter_text():
        *whole, rest = (rest + text).split("\n")
        yield from whole


def event_of(lines: Iterator[str]) -> Event:
    """The next one. Raises StopIteration at the end of the stream."""
    made = Event()
    while True:
        line = next(lines)
        if not line:
            if made.data:
                return made
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            made.name = value
        elif name == "id":
            made.id = value
        elif name == "data":
            made.data.append(value)


@dataclass
class Served:
    """A hub that listens, and whoever asks it."""

    hub: Hub
    project: Path
    operator: httpx.Client
    mine: dict[str, str]
    token: str
    end: Callable[[], None]

    @contextmanager
    def stream(self, last: str = "", **query: str) -> Iterator[Iterator[str]]:
        headers = {**self.mine, **({"Last-Event-ID": last} if last else {})}
        with self.operator.stream("GET", EVENTS, headers=headers, params=query) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield lines_of(response)

    def refused(self, last: str = "", topic: str = TOPIC) -> httpx.Response:
        headers = {**self.mine, **({"Last-Event-ID": last} if last else {})}
        return self.operator.get(f"/api/v1/topics/{topic}/events", headers=headers)

    def status(self) -> int:
        with self.operator.stream("GET", EVENTS, headers=self.mine) as response:
            return response.status_code

    def granted(self, instead_of_seats: str) -> None:
        grant = self.project / "grants.d/planning.yaml"
        grant.write_text(grant.read_text().replace("seats", instead_of_seats))
        self.operator.post("/api/v1/reload", json={})

    def news(self, name: str = "New Wing") -> None:
        with (self.project / "data/branches.csv").open("a", encoding="utf-8") as file:
            file.write(f"b-009,{name},North,7,\n")
        run(self.operator)


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @contextmanager
    def serving(**settings: str) -> Iterator[Served]:
        project = make_project(tmp_path / "p")
        port = free_port()
        loaded = load_settings(project, env={"DATONG_HTTP__PORT": str(port), **settings})
        key = {"Authorization": f"Bearer {Directory(loaded.settings.data_path).operator_token()}"}
        with (
            Hub.open(loaded) as hub,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=key, timeout=60) as client,
        ):
            server = make_server(hub, loaded)
            thread = start(server, "http.port")

            def end() -> None:
                server.should_exit = True
                thread.join(30)
                assert not thread.is_alive()

            run(client)
            made = client.post("/api/v1/tokens", json={"agency": "city-planning"}).json()
            yield Served(hub, project, client, {"Authorization": f"Bearer {made['token']}"}, made["id"], end)
            end()

    return serving


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    with serve() as made:
        yield made


def test_R28_records_come_as_events_and_a_client_that_returns_misses_nothing(served: Served) -> None:
    with served.stream() as lines:
        first, second = event_of(lines), event_of(lines)
        assert [e.json["branch_id"] for e in (first, second)] == ["B-001", "B-003"]
        assert (first.json["_offset"], first.json["_partition"], first.json["_op"]) == (0, 0, "upsert")
        news = threading.Thread(target=served.news)
        news.start()
        third = event_of(lines)
        news.join()
        assert third.json["branch_id"] == "B-009"
    with served.stream(first.id) as lines:
        again = [event_of(lines), event_of(lines)]
    assert [(e.id, e.json) for e in again] == [(e.id, e.json) for e in (second, third)]


def test_R28_only_news_when_asked_so(served: Served) -> None:
    with served.stream(start="latest") as lines:
        threading.Thread(target=served.news).start()
        assert event_of(lines).json["branch_id"] == "B-009"


def test_R28_a_stream_without_news_is_kept_alive(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.1)
    with served.stream(start="latest") as lines:
        assert next(lines) == ": keep-alive"
        assert (next(lines), next(lines)) == ("", ": keep-alive")


def test_R24_a_changed_grant_starts_again_and_says_so(served: Served) -> None:
    with served.stream() as lines:
        last = [event_of(lines), event_of(lines)][-1]
    served.granted(instead_of_seats="name")
    with served.stream(last.id) as lines:
        reset, first = event_of(lines), event_of(lines)
    assert (reset.name, reset.json) == ("reset", {"why": "grant"})
    assert "name" in first.json
    assert "seats" not in first.json


def test_G12_a_withdrawn_grant_and_a_revoked_token_end_the_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.1)
    with served.stream() as lines, served.stream(start="latest") as others:
        event_of(lines), event_of(lines)
        (served.project / "grants.d/planning.yaml").unlink()
        served.operator.post("/api/v1/reload", json={})
        end = event_of(lines)
        assert (end.name, end.json["code"]) == ("end", "NotFound")
        assert event_of(others).name == "end"
        with pytest.raises(StopIteration):
            event_of(lines)


def test_S11_a_revoked_token_ends_the_stream(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.1)
    with served.stream(start="latest") as lines:
        assert served.operator.delete(f"/api/v1/tokens/{served.token}").status_code < 300
        end = event_of(lines)
        assert (end.name, end.json["code"]) == ("end", "NotAuthenticated")


def test_R35_what_cannot_be_streamed_is_refused_before_it_begins(served: Served) -> None:
    with served.stream() as lines:
        selection = event_of(lines).id.partition(";")[0]
    assert served.refused(topic="city-library.culture.other.v1").status_code == 404
    assert served.refused("no place").status_code == 422
    assert served.refused(f"{selection};0:99999").status_code == 410
    served.mine = {}
    served.operator.headers.pop("authorization")
    assert served.refused().status_code == 401


def test_G17_more_streams_than_allowed_are_refused_and_let_in_when_one_leaves(serve: Serve) -> None:
    with serve(DATONG_LIMITS__STREAMS="1") as served:
        with served.stream() as lines:
            event_of(lines)
            refused = served.refused()
            assert (refused.status_code, refused.json()["code"]) == (503, "TooBusy")
            assert "retry-after" in refused.headers
        assert eventually(lambda: served.status() == 200)


def test_R28_S20_two_hundred_idle_streams_hold_up_nobody_and_all_hear_of_news(served: Served) -> None:
    url = str(served.operator.base_url)

    async def first(lines: AsyncIterator[str]) -> str:
        async for line in lines:
            if line.startswith("data:"):
                return str(json.loads(line[5:])["branch_id"])
        return "nothing"

    async def scenario() -> list[str]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            asks = [client.build_request("GET", EVENTS, headers=served.mine, params={"start": "latest"})] * IDLE
            opened = [await client.send(ask, stream=True) for ask in asks]
            assert {response.status_code for response in opened} == {200}
            reads = [asyncio.create_task(first(response.aiter_lines())) for response in opened]
            assert (await client.get("/livez")).status_code == 200
            await asyncio.to_thread(served.news)
            found = await asyncio.gather(*reads)
            for response in opened:
                await response.aclose()
            return found

    assert asyncio.run(scenario()) == ["B-009"] * IDLE


def test_a_hub_that_ends_ends_its_streams(served: Served) -> None:
    with served.stream() as lines:
        event_of(lines), event_of(lines)
        served.end()
        with pytest.raises(StopIteration):
            event_of(lines)


def test_R3_what_retention_took_is_told_and_lines_are_the_standards_alone(served: Served) -> None:
    read = served.hub.deliveries.read(Asked(agency="city-planning", topic=TOPIC), "earliest", 10)
    gap = Gap(partition=0, position=3, earliest=7)
    told = streams.written(replace(read, delivery=replace(read.delivery, gaps=(gap,)))).decode()
    about = event_of(iter(told.split("\n")))
    assert (about.name, about.json) == (
        "reset",
        {"why": "retention", "partition": 0, "from": 3, "earliest": 7},
    )


def test_a_record_with_other_line_separators_is_one_event(served: Served) -> None:
    served.granted(instead_of_seats="name")
    served.news("A\u2028B\x85C")
    with served.stream() as lines:
        found = [event_of(lines) for _ in range(3)]
    assert found[2].json["name"] == "A\u2028B\x85C"

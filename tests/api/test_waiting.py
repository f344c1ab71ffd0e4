"""Many subscribers that wait hold up nobody, and all hear of news (R28, G17)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from hub.api import waiting
from hub.api.app import create_app
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.directory import Directory
from hub.errors import LogUnavailable
from hub.log.sqlite import SqliteLog
from hub.model import Block, Checkpoint, Topic
from hub.settings import load_settings
from tests.api.test_api import TOPIC
from tests.support.projects import make_project

NEWS = "city.test.news.v1"
SUBSCRIBERS = 100  # more than the server has threads


def appended(log: SqliteLog) -> None:
    writer = log.open(f"test-{NEWS}", 1)
    block = Block(topic=NEWS, partition=0, count=1, records=b"\x0c\0\0\0\x01\x01\0")
    writer.append([block], Checkpoint(source=None))


def watchers(topic: str = NEWS) -> int:
    return sum(thread.name == f"watch {topic}" for thread in threading.enumerate())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteLog:
    monkeypatch.setattr(waiting, "LOOK_S", 0.05)
    made = SqliteLog.at(tmp_path / "log.db", clock=lambda: 1)
    made.ensure(Topic(name=NEWS, partitions=2))
    return made


async def gone() -> None:
    """The last watcher sees that nobody waits any more."""
    for _ in range(6_000):
        if not watchers():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a watcher is left")


def test_R28_one_watcher_wakes_all_who_wait(log: SqliteLog) -> None:
    async def scenario() -> None:
        desk = Waiting(log)
        waits = [asyncio.create_task(desk.news(NEWS, {0: 0, 1: 0}, 60)) for _ in range(50)]
        while len(desk._waiters.get(NEWS, ())) < 50:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # who should not be woken would be by now
        assert watchers() == 1
        assert not any(task.done() for task in waits)
        await asyncio.to_thread(appended, log)
        await asyncio.wait_for(asyncio.gather(*waits), 30)
        await gone()
        await desk.news(NEWS, {0: 0, 1: 0}, 60)  # what is there already is news to who has not seen it
        await gone()

    asyncio.run(scenario())
    log.close()


def test_R28_who_is_behind_is_woken_though_others_are_not(log: SqliteLog) -> None:
    async def scenario() -> None:
        desk = Waiting(log)
        await asyncio.to_thread(appended, log)
        ahead = asyncio.create_task(desk.news(NEWS, {0: 1, 1: 0}, 60))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(desk.news(NEWS, {0: 0, 1: 0}, 60), 30)
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
        await gone()

    asyncio.run(scenario())
    log.close()


def test_a_wait_ends_with_its_time_and_leaves_no_watcher(log: SqliteLog) -> None:
    async def scenario() -> None:
        await Waiting(log).news(NEWS, {0: 0, 1: 0}, 0.01)
        await gone()

    asyncio.run(scenario())
    log.close()


class FailingLog(SqliteLog):
    """A log that goes away while somebody waits."""

    def wait(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> bool:
        raise LogUnavailable("gone")


def test_a_log_that_fails_wakes_who_waits_and_reading_tells(log: SqliteLog, tmp_path: Path) -> None:
    failing = FailingLog.at(tmp_path / "log.db", clock=lambda: 1)

    async def scenario() -> None:
        await asyncio.wait_for(Waiting(failing).news(NEWS, {0: 0}, 60), 30)
        await gone()

    asyncio.run(scenario())
    failing.close()
    log.close()


class Api:
    """The hub's API on the loop of a test, and subscribers of it that wait."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, project: Path, operator: dict[str, str]) -> None:
        self.app, self.client, self.project, self.operator = app, client, project, operator
        self.token = ""
        self.mine: dict[str, str] = {}

    async def published(self) -> None:
        """A run of the connector, from start to end."""
        runs = "/api/v1/connectors/city-library-branches/runs"
        run = (await self.client.post(runs, headers=self.operator, json={})).json()["run"]
        ask = {"wait_ms": 100}
        while (await self.client.get(f"{runs}/{run}", headers=self.operator, params=ask)).json()["state"] == "running":
            pass

    async def news(self) -> None:
        """One more record."""
        with (self.project / "data/branches.csv").open("a", encoding="utf-8") as file:
            file.write("b-009,New Wing,North,7,\n")
        await self.published()

    async def wait(self, subscribers: int) -> list[asyncio.Task[httpx.Response]]:
        """So many groups at the end of the topic, each with a request that waits by now."""
        made = (
            await self.client.post("/api/v1/tokens", headers=self.operator, json={"agency": "city-planning"})
        ).json()
        self.token, self.mine = made["id"], {"Authorization": f"Bearer {made['token']}"}
        groups = [f"/api/v1/topics/{TOPIC}/consumers/g{n}" for n in range(subscribers)]
        for group in groups:
            await self.client.post(f"{group}/seek", headers=self.mine, json={"to": "latest"})
        ask = {"timeout_ms": 30_000}
        waits = [asyncio.create_task(self.client.get(f"{g}/records", headers=self.mine, params=ask)) for g in groups]
        while self.waiting < subscribers:
            assert not any(task.done() for task in waits)
            await asyncio.sleep(0.01)
        return waits

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self.app.state.waiting._waiters.get(TOPIC, ()))


def on_api(directory: Path, scenario: Callable[[Api], Awaitable[None]]) -> None:
    project = make_project(directory)
    loaded = load_settings(project, env={})
    operator = {"Authorization": f"Bearer {Directory(loaded.settings.data_path).operator_token()}"}

    async def run(hub: Hub) -> None:
        app = create_app(hub)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as client:
            api = Api(app, client, project, operator)
            await api.published()
            await scenario(api)

    with Hub.open(loaded) as hub:
        asyncio.run(run(hub))


def test_G17_R28_a_hundred_who_wait_hold_up_nobody(tmp_path: Path) -> None:
    """Each waits in a request of its own. Others are answered meanwhile, and when there is news all hundred are."""

    async def scenario(api: Api) -> None:
        waits = await api.wait(SUBSCRIBERS)
        assert watchers(TOPIC) == 1
        assert (await api.client.get("/livez")).json() == {"status": "ok"}
        assert (await api.client.get("/api/v1/connectors", headers=api.operator)).status_code == 200
        assert api.waiting == SUBSCRIBERS
        assert not any(task.done() for task in waits)
        await api.news()
        answers = await asyncio.gather(*waits)
        assert [len(answer.json()["records"]) for answer in answers] == [1] * SUBSCRIBERS

    on_api(tmp_path / "p", scenario)


def test_G12_S11_a_token_revoked_while_it_waits_gets_nothing(tmp_path: Path) -> None:
    async def scenario(api: Api) -> None:
        (wait,) = await api.wait(1)
        gone = await api.client.delete(f"/api/v1/tokens/{api.token}", headers=api.operator)
        assert gone.status_code == 204
        await api.news()
        assert (await wait).status_code == 401

    on_api(tmp_path / "p", scenario)


def test_G12_S11_a_grant_withdrawn_while_it_waits_gives_nothing(tmp_path: Path) -> None:
    async def scenario(api: Api) -> None:
        (wait,) = await api.wait(1)
        (api.project / "grants.d/planning.yaml").unlink()
        await api.client.post("/api/v1/reload", headers=api.operator, json={})
        await api.news()
        answer = await wait
        assert (answer.status_code, "New Wing" in answer.text) == (404, False)

    on_api(tmp_path / "p", scenario)


def test_R28_a_server_that_ends_lets_nobody_wait(tmp_path: Path) -> None:
    async def scenario(api: Api) -> None:
        waits = await api.wait(3)
        api.app.state.waiting.stop()
        answers = await asyncio.gather(*waits)
        assert [(a.status_code, a.json()["records"]) for a in answers] == [(200, [])] * 3
        ask = {"timeout_ms": 30_000}
        path = f"/api/v1/topics/{TOPIC}/consumers/g0/records"
        assert (await asyncio.wait_for(api.client.get(path, headers=api.mine, params=ask), 20)).status_code == 200

    on_api(tmp_path / "p", scenario)


def test_R28_a_client_that_goes_stops_waiting_and_reads_nothing(tmp_path: Path) -> None:
    async def scenario(api: Api) -> None:
        (other,) = await api.wait(1)  # for a token
        arrived, left = asyncio.Event(), asyncio.Event()
        statuses: list[int] = []

        async def receive() -> Message:
            if not arrived.is_set():
                arrived.set()
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        group = f"/api/v1/topics/{TOPIC}/consumers/leaving"
        await api.client.post(f"{group}/seek", headers=api.mine, json={"to": "latest"})
        request = api.client.build_request("GET", f"{group}/records", headers=api.mine)
        scope = {
            "type": "http",
            "method": "GET",
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": b"timeout_ms=30000",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }
        asked = asyncio.create_task(api.app(scope, receive, send))
        while api.waiting < 2:
            await asyncio.sleep(0.01)
        left.set()
        await asyncio.wait_for(asked, 20)
        assert (statuses, api.waiting) == ([499], 1)
        api.app.state.waiting.stop()
        await other

    on_api(tmp_path / "p", scenario)

"""Many subscribers that wait hold up nobody, and all hear of news (R28, G17)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from hub.api import waiting
from hub.api.app import create_app
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.directory import Directory
from hub.errors import LogUnavailable
from hub.log.sqlite import SqliteLog
from hub.model import Block, Checkpoint, Topic
from hub.settings import load_settings
from tests.api.test_api import TOPIC, make_project

NEWS = "city.test.news.v1"
SUBSCRIBERS = 100  # more than the server has threads


def appended(log: SqliteLog) -> None:
    writer = log.open(f"test-{NEWS}", 1)
    block = Block(topic=NEWS, partition=0, count=1, records=b"\x0c\0\0\0\x01\x01\0")
    writer.append([block], Checkpoint(source=None))


def watchers() -> int:
    return sum(thread.name.startswith("watch ") for thread in threading.enumerate())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteLog:
    monkeypatch.setattr(waiting, "LOOK_S", 0.05)
    made = SqliteLog.at(tmp_path / "log.db", clock=lambda: 1)
    made.ensure(Topic(name=NEWS, partitions=2))
    return made


async def gone() -> None:
    """The last watcher sees that nobody waits any more."""
    for _ in range(1_000):
        if not watchers():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a watcher is left")


def test_R28_one_watcher_wakes_all_who_wait(log: SqliteLog) -> None:
    async def scenario() -> None:
        desk = Waiting(log)
        waits = [asyncio.create_task(desk.news(NEWS, {0: 0, 1: 0}, 60)) for _ in range(50)]
        await asyncio.sleep(0.2)
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


def test_G17_R28_a_hundred_who_wait_hold_up_nobody(tmp_path: Path) -> None:
    """Each waits in a request of its own. Others are answered meanwhile, and when there is news all hundred are."""
    project = make_project(tmp_path / "p")
    loaded = load_settings(project, env={})
    directory = Directory(loaded.settings.data_path)

    async def scenario(hub: Hub) -> None:
        transport = httpx.ASGITransport(app=create_app(hub))
        operator = {"Authorization": f"Bearer {directory.operator_token()}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as client:

            async def published() -> None:
                runs = "/api/v1/connectors/city-library-branches/runs"
                run = (await client.post(runs, headers=operator, json={})).json()["run"]
                ask = {"wait_ms": 100}
                while (await client.get(f"{runs}/{run}", headers=operator, params=ask)).json()["state"] == "running":
                    pass

            await published()
            made = await client.post("/api/v1/tokens", headers=operator, json={"agency": "city-planning"})
            mine = {"Authorization": f"Bearer {made.json()['token']}"}
            groups = [f"/api/v1/topics/{TOPIC}/consumers/g{n}" for n in range(SUBSCRIBERS)]
            for group in groups:
                await client.post(f"{group}/seek", headers=mine, json={"to": "latest"})
            ask = {"timeout_ms": 30_000}
            waits = [asyncio.create_task(client.get(f"{g}/records", headers=mine, params=ask)) for g in groups]
            while watchers() != 1:
                await asyncio.sleep(0.01)
            assert (await client.get("/api/v1/connectors", headers=operator)).status_code == 200
            assert not any(task.done() for task in waits)
            with (project / "data/branches.csv").open("a", encoding="utf-8") as file:
                file.write("b-009,New Wing,North,7,\n")
            await published()
            answers = await asyncio.gather(*waits)
            assert [len(answer.json()["records"]) for answer in answers] == [1] * SUBSCRIBERS

    with Hub.open(loaded) as hub:
        asyncio.run(scenario(hub))

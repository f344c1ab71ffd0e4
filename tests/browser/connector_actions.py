"""What connectors offer, done by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.support.demo import run
from tests.support.nodes import until

if TYPE_CHECKING:
    from tests.browser.test_actions import Desk

TRENTO, NATION, BOLZANO, CITY = (
    "it-tn-schools",
    "it-istat-divisions",
    "it-bz-schools-italian",
    "it-alessandria-requests",
)


def tell(desk: Desk, path: str) -> None:
    """What is the case before, by the API."""
    url = f"{desk.console.url}/api/v1{path}"
    answer = httpx.put(url, headers=desk.console.key, timeout=60, trust_env=False)
    assert answer.is_success or answer.status_code == 409, answer.text  # it is so already


def state(desk: Desk, connector: str) -> str:
    """In the API."""
    return str(desk.api(f"/connectors/{connector}")["state"])


def button(desk: Desk, name: str) -> None:
    """Press the one of this name in what the page is about."""
    desk.press(desk.page.get_by_role("main").get_by_role("button", name=name, exact=True))


def connectors_run(desk: Desk) -> None:
    tell(desk, f"/connectors/{TRENTO}/resume")
    before = {one["run"] for one in desk.api(f"/connectors/{TRENTO}/runs")["runs"]}
    desk.go(f"/connectors/{TRENTO}")
    button(desk, "Run now")
    assert desk.said == f"{TRENTO} runs."
    until(lambda: {one["run"] for one in desk.api(f"/connectors/{TRENTO}/runs")["runs"]} - before)
    assert desk.api(f"/connectors/{TRENTO}/runs")["runs"][0]["state"] == "completed"


def connectors_pause(desk: Desk) -> None:
    tell(desk, f"/connectors/{NATION}/resume")
    desk.go(f"/connectors/{NATION}")
    button(desk, "Pause")
    assert desk.said.startswith(f"{NATION} is paused")
    assert state(desk, NATION) == "PAUSED"


def connectors_resume(desk: Desk) -> None:
    tell(desk, f"/connectors/{NATION}/pause")
    desk.go(f"/connectors/{NATION}")
    button(desk, "Resume")
    assert desk.said == f"{NATION} is on again and runs by its schedule; “Run now” runs it at once."
    assert state(desk, NATION) == "RUNNING"


def connectors_stop(desk: Desk) -> None:
    tell(desk, f"/connectors/{NATION}/resume")
    desk.go(f"/connectors/{NATION}")
    button(desk, "Stop")
    assert desk.said.startswith(f"{NATION} is stopped")
    assert state(desk, NATION) == "STOPPED"


def connectors_reset(desk: Desk) -> None:
    tell(desk, f"/connectors/{NATION}/stop")
    desk.go(f"/connectors/{NATION}")
    desk.page.get_by_label("Why (kept on record)").fill("read by mistake")
    button(desk, "Reset the checkpoint")
    assert desk.said.startswith(f"The checkpoint of {NATION} is reset")
    assert "read by mistake" in desk.api(f"/connectors/{NATION}/runs")["runs"][0]["reset"]


def connectors_delete(desk: Desk) -> None:
    tell(desk, f"/connectors/{BOLZANO}/stop")
    desk.go(f"/connectors/{BOLZANO}")
    button(desk, "Delete the connector")
    assert desk.said == f"{BOLZANO} is deleted. Its topic stays."
    assert BOLZANO not in [one["name"] for one in desk.api("/connectors")["connectors"]]


def connectors_edit(desk: Desk) -> None:
    desk.go(f"/connectors/{CITY}/edit")
    text = desk.page.get_by_label("Text", exact=False).first
    text.fill(text.input_value().replace("every 15m", "every 45m"))
    button(desk, "Check")
    assert "every 45m" in text.input_value()
    button(desk, "Save")
    assert desk.said == f"The text of {CITY} is saved; the next run works by it."
    assert "45" in str(desk.api(f"/connectors/{CITY}")["schedule"])


def connectors_create(desk: Desk) -> None:
    made = (desk.console.project / f"connectors.d/{TRENTO}.yaml").read_text(encoding="utf-8")
    desk.go("/connectors/new")
    desk.page.locator("textarea#text").fill(made.replace(f"connector: {TRENTO}", "connector: it-tn-more"))
    desk.page.get_by_label("create it paused").check()
    button(desk, "Create")
    assert desk.said == "it-tn-more is created."
    assert state(desk, "it-tn-more") == "PAUSED"


def connectors_restart(desk: Desk) -> None:
    tell(desk, f"/connectors/{CITY}/resume")
    database = desk.console.project / "data/alessandria/requests.db"
    rename(database, "richieste", "away")
    assert run(desk.console, CITY)["state"] == "failed"
    assert state(desk, CITY) == "FAILED"
    desk.go(f"/connectors/{CITY}")
    assert desk.page.get_by_role("main").get_by_role("button", name="Run now").count() == 0
    rename(database, "away", "richieste")
    button(desk, "Restart")
    assert desk.said == f"{CITY} runs anew."
    until(lambda: desk.api(f"/connectors/{CITY}/runs")["runs"][0]["state"] == "completed")
    assert state(desk, CITY) == "RUNNING"
    assert desk.api(f"/connectors/{CITY}")["reason"] == ""


def rename(database: Path, table: str, name: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")


def connectors_accept_deletions(desk: Desk) -> None:
    tell(desk, f"/connectors/{NATION}/resume")
    assert run(desk.console, NATION)["state"] == "completed"
    (whole,) = desk.console.project.glob("data/istat/comuni-2020*.csv")
    lines = whole.read_bytes().splitlines(keepends=True)
    left = len(lines) * 4 // 5
    whole.with_name("comuni-2021-01-01.csv").write_bytes(b"".join(lines[:left]))  # the newest by its name
    assert run(desk.console, NATION)["state"] == "paused"
    desk.go(f"/connectors/{NATION}")
    assert "More than a tenth" in desk.page.get_by_role("main").inner_text()
    button(desk, "Run and accept the deletions")
    assert desk.said == f"{NATION} runs, and accepts the deletions."
    until(lambda: desk.api(f"/connectors/{NATION}/runs")["runs"][0]["state"] == "completed")
    assert desk.api(f"/connectors/{NATION}/runs")["runs"][0]["totals"]["deleted"] == len(lines) - left
    assert state(desk, NATION) == "RUNNING"


EXAMPLES: dict[str, Callable[[Desk], None]] = {
    "/connectors/{name}/run": connectors_run,
    "/connectors/{name}/pause": connectors_pause,
    "/connectors/{name}/resume": connectors_resume,
    "/connectors/{name}/stop": connectors_stop,
    "/connectors/{name}/restart": connectors_restart,
    "/connectors/{name}/accept-deletions": connectors_accept_deletions,
    "/connectors/{name}/reset": connectors_reset,
    "/connectors/{name}/delete": connectors_delete,
    "/connectors/{name}/edit": connectors_edit,
    "/connectors/new/edit": connectors_create,
}

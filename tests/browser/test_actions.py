"""Every action, done as a person does it, and seen through the API. An action without an example here fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator
from playwright.sync_api import Page as Shown

from hub.console.views import ACTIONS
from hub.people import LOCK_AFTER
from tests.browser import connector_actions, quarantine_actions, shared_actions
from tests.browser.conftest import Demo
from tests.support.browser import Tabs, visiting
from tests.support.console import Console
from tests.support.fault_server import FaultServer

NEW_PASSWORD = "a long enough one"


@dataclass(frozen=True)
class Desk:
    """Somebody at the console, whose every question is answered with yes."""

    page: Shown
    console: Console
    hook: FaultServer  # which is told of alerts

    def go(self, path: str) -> None:
        """Open a page below /console."""
        self.page.goto(f"{self.console.url}/console{path}", wait_until="domcontentloaded")

    def press(self, button: Locator) -> None:
        """Press, and wait for where it leads."""
        with self.page.expect_navigation():
            button.click()

    def row(self, text: str) -> Locator:
        """The row of a table that names it."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("rowheader", name=text))

    @property
    def said(self) -> str:
        """What the page says was done."""
        return self.page.get_by_role("status").first.inner_text()

    def api(self, path: str) -> Any:
        """The same in the API."""
        return self.console.api(path).json()


def person(desk: Desk, name: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = desk.api("/people")["people"]
    return next((one for one in found if one["name"] == name), None)


def add_person(desk: Desk, name: str) -> None:
    desk.go("/people")
    desk.page.get_by_label("Name", exact=True).fill(name)
    desk.page.locator("form.fields").get_by_role("combobox").select_option(label="operator")
    desk.page.get_by_label("Password, 12 characters or more").fill(NEW_PASSWORD)
    desk.press(desk.page.get_by_role("button", name="Add a person"))


def people_add(desk: Desk) -> None:
    add_person(desk, "added")
    assert desk.said == "added may log in."
    assert (person(desk, "added") or {})["role"] == "operator"


def people_role(desk: Desk) -> None:
    add_person(desk, "changed")
    row = desk.row("changed")
    row.get_by_label("Role of changed").select_option(label="viewer")
    desk.press(row.get_by_role("button", name="Change"))
    assert desk.said == "changed was changed and logged out."
    assert (person(desk, "changed") or {})["role"] == "viewer"


def people_unlock(desk: Desk) -> None:
    add_person(desk, "locked")
    with desk.console.browser() as stranger:
        for _ in range(LOCK_AFTER):
            stranger.post("/console/log-in", data={"name": "locked", "password": "a wrong one"})
    desk.go("/people")
    desk.press(desk.row("locked").get_by_role("button", name="End the wait"))
    assert desk.said == "Nobody waits any more to log in as locked."
    assert (person(desk, "locked") or {})["waits"] == {"networks": 0, "networks_s": 0, "elsewhere_s": 0}


def people_remove(desk: Desk) -> None:
    add_person(desk, "removed")
    assert person(desk, "removed")
    desk.press(desk.row("removed").get_by_role("button", name="Remove"))
    assert desk.said == "removed may not log in any more."
    assert person(desk, "removed") is None


def health_test_notice(desk: Desk) -> None:
    desk.go("/health")
    before = desk.hook.connections
    desk.press(desk.row("night-desk").get_by_role("button", name="Send a test"))
    assert desk.said == "A test notice went to night-desk."
    assert desk.hook.connections == before + 1


def health_read_again(desk: Desk) -> None:
    file = desk.console.project / "topics.d/school-bz.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("Schools of Bolzano,", "Schools renamed,"), encoding="utf-8"
    )
    desk.go("/health")
    desk.press(desk.page.get_by_role("button", name="Read the files again"))
    assert desk.said == "The files were read again. Mistakes: 0."
    assert "Schools renamed" in [topic["title"]["en"] for topic in desk.api("/topics")["topics"]]


EXAMPLES: dict[str, Callable[[Desk], None]] = {  # by the action's path
    "/health/test-notice": health_test_notice,
    "/health/read-again": health_read_again,
    "/people/add": people_add,
    "/people/{name}/role": people_role,
    "/people/{name}/unlock": people_unlock,
    "/people/{name}/remove": people_remove,
    **connector_actions.EXAMPLES,
    **quarantine_actions.EXAMPLES,
    **shared_actions.EXAMPLES,
}


@pytest.mark.parametrize("path", [action.path for action in ACTIONS])
def test_an_action_works_and_is_seen_in_the_API(tabs: Tabs, own: Demo, hook: FaultServer, path: str) -> None:
    assert path in EXAMPLES, "write an example that does this as a person would"
    with tabs.of("somebody at the desk", own.console, own.cookie) as (visitor, page):
        visitor.seen.answer = True
        EXAMPLES[path](Desk(page, own.console, hook))
        assert visitor.complaints(page) == {}


def test_what_ends_something_asks_first_and_no_means_no(browser: Browser, own: Demo, hook: FaultServer) -> None:
    with visiting(browser, own.console, own.cookie) as visitor:
        visitor.seen.answer = False
        desk = Desk(visitor.page(), own.console, hook)
        add_person(desk, "staying")
        desk.row("staying").get_by_role("button", name="Remove").click()
        assert visitor.seen.questions == ["Remove staying?"]
        assert person(desk, "staying")
        assert desk.page.url.endswith("/console/people")


def test_every_example_is_of_an_action() -> None:
    assert EXAMPLES.keys() <= {action.path for action in ACTIONS}

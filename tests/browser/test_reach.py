"""Whoever cannot see colours, or uses no mouse: axe-core finds nothing serious, and the keyboard reaches everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Shown

from hub.console.pages import Page
from tests.browser.conftest import Demo
from tests.support import npm
from tests.support.browser import Tabs, Visitor, session_of, shown_pages, visiting

AXE = "axe-core@4.14.1"
SERIOUS = """async (rules) => (await axe.run(document, {resultTypes: ["violations"], ...rules})).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, ...one.nodes.slice(0, 3).map((node) => `${node.target} ${node.html.slice(0, 120)}`)])"""
# axe judges no contrast on a gradient, such as the shade at a table's edge.
FLAT = "document.querySelectorAll('.scroll').forEach((one) => { one.style.backgroundImage = 'none'; })"
# Whatever a person could act on. Of a group of radio buttons one is reached by Tab, the others by arrows.
PREPARE = """() => {
  const all = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1']), [contenteditable=true]";
  const reachable = (one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.type !== "hidden"
    && one.tabIndex >= 0 && !(one.type === "radio" && !one.checked);
  window.__left = new Set([...document.querySelectorAll(all)].filter(reachable));
  window.__dim = [];
  return window.__left.size;
}"""
STEP = """() => {
  const one = document.activeElement, css = getComputedStyle(one);
  if (one === document.body) return "top";
  window.__first ??= one;
  const first = window.__left.delete(one);
  const ring = css.outlineStyle !== "none" && parseFloat(css.outlineWidth) >= 2 || css.boxShadow !== "none";
  if (first && !ring) window.__dim.push(one.outerHTML.slice(0, 120));
  return one === window.__first ? "first" : "other";
}"""
LEFT = "() => ({left: [...window.__left].map((one) => one.outerHTML.slice(0, 120)), dim: window.__dim})"


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's script."""
    folder: Path = npm.install(tmp_path_factory.mktemp("axe"), AXE)
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", shown_pages(), ids=lambda page: page.path)
def test_axe_finds_nothing_serious(tabs: Tabs, demo: Demo, axe: str, page: Page) -> None:
    with tabs.of("axe", demo.console, demo.cookie) as (visitor, shown):
        shown.emulate_media(color_scheme="light")
        visitor.open(demo.of(page.path), shown)
        shown.evaluate(axe)  # not by a script element: the page's own policy refuses it
        shown.evaluate(FLAT)
        assert shown.evaluate(SERIOUS, {}) == []
        shown.emulate_media(color_scheme="dark")
        assert shown.evaluate(SERIOUS, {"runOnly": ["color-contrast"]}) == [], "in the dark"


@pytest.fixture
def still(tabs: Tabs, demo: Demo) -> Iterator[tuple[Visitor, Shown]]:
    """Somebody to whom nothing new is told while they go through a page."""
    with tabs.of("still", demo.console, demo.cookie) as (visitor, shown):
        shown.route("**/console/live*", lambda route: route.abort())
        yield visitor, shown
        shown.unroute_all()


@pytest.mark.parametrize("page", shown_pages(), ids=lambda page: page.path)
def test_the_keyboard_alone_reaches_everything_and_leaves_again(
    still: tuple[Visitor, Shown], demo: Demo, page: Page
) -> None:
    visitor, shown = still
    visitor.open(demo.of(page.path), shown)
    count = shown.evaluate(PREPARE)
    assert count > 3, "the page's own switches at least"
    ended = _tab_through(shown, 2 * count + 20)  # a part that scrolls, or a date's fields, are places of their own
    assert shown.evaluate(LEFT) == {"left": [], "dim": []}
    assert ended, "the focus does not leave the page"


def _tab_through(shown: Shown, most: int) -> bool:
    """Press Tab until the focus has left the page or come round; whether it did."""
    for step in range(most):
        shown.keyboard.press("Tab")
        where = shown.evaluate(STEP)
        if where == "top" or (where == "first" and step):
            return True
    return False


def test_the_first_step_leads_past_the_navigation(still: tuple[Visitor, Shown]) -> None:
    visitor, shown = still
    visitor.open("/console/health", shown)
    shown.keyboard.press("Tab")
    assert shown.evaluate(
        "document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().left >= 0"
    )
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.closest('main') !== null")


def test_Enter_follows_a_link_and_Space_presses_a_button(browser: Browser, demo: Demo) -> None:
    with visiting(browser, demo.console, session_of(demo.console, "anna")) as visitor:
        shown, _, _ = visitor.open("/console/")
        shown.get_by_role("link", name="Health").focus()
        with shown.expect_navigation():
            shown.keyboard.press("Enter")
        assert shown.url.endswith("/console/health")
        shown.get_by_role("button", name="Log out").focus()
        with shown.expect_navigation():
            shown.keyboard.press("Space")
        assert shown.url.endswith("/console/log-in")

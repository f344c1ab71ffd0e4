"""What quarantine offers, done by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.browser.connector_actions import button

if TYPE_CHECKING:
    from tests.browser.test_actions import Desk

TRANSFERS, SCHOOLS = "it-interior-transfers", "it-mim-schools"


def cases(desk: Desk, connector: str) -> list[dict[str, Any]]:
    """Open ones, the largest first."""
    found: list[dict[str, Any]] = desk.api(f"/quarantine?connector={connector}")["cases"]
    return found


def runs(desk: Desk) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = desk.api(f"/connectors/{TRANSFERS}/runs")["runs"]
    return found


def quarantine_replay(desk: Desk) -> None:
    (case, *_) = cases(desk, TRANSFERS)
    before = len(runs(desk))
    desk.go(f"/quarantine/{case['case']}")
    button(desk, "Replay this case")
    assert f"0 of {case['count']} rows passed" in desk.said
    assert (len(runs(desk)), bool(runs(desk)[0]["replay"])) == (before + 1, True)


def quarantine_discard(desk: Desk) -> None:
    (case, *_) = cases(desk, SCHOOLS)
    desk.go(f"/quarantine/{case['case']}")
    page = desk.page
    page.get_by_label("Tick to set row").first.check()
    page.get_by_label("Why (kept on record)").fill("the ministry asked to leave it out")
    button(desk, "Set the ticked rows aside")
    assert desk.said == f"Rows set aside: 1; left in this case: {case['count'] - 1}."
    (aside,) = desk.api(f"/quarantine/{case['case']}")["set_aside"]
    assert (aside["why"], aside["count"], aside["by"]) == ("the ministry asked to leave it out", 1, "anna")
    page.get_by_label("Why (kept on record)").fill("all of it")
    button(desk, "Set the whole case aside")
    assert desk.said == f"Rows set aside: {case['count'] - 1}; left in this case: 0."
    assert case["case"] not in [one["case"] for one in cases(desk, SCHOOLS)]


def quarantine_find(desk: Desk) -> None:
    file = next((desk.console.project / "data/mim").glob("scuole-paritarie*.csv"))
    (wanted, *_) = cases(desk, SCHOOLS)
    row = desk.api(f"/quarantine/{wanted['case']}")["rows"][0]
    key = file.read_text(encoding="utf-8").splitlines()[row["row"]].split(",")[4]
    desk.go("/quarantine")
    page = desk.page
    page.get_by_text("Find a row by its key").click()
    page.locator("form[method=post]").get_by_label("Connector").select_option(label=SCHOOLS)
    page.get_by_label("A value, such as the key").fill(key)
    button(desk, "Find")
    assert key not in page.content()
    assert key not in page.url
    desk.press(page.get_by_role("status").get_by_role("link").first)
    assert page.url.endswith(f"/quarantine/{wanted['case']}?row={row['id']}")
    assert page.locator("input[type=checkbox]").first.get_attribute("name") == f"row-{row['id']}"


EXAMPLES: dict[str, Callable[[Desk], None]] = {
    "/quarantine/rows/find": quarantine_find,
    "/quarantine/{case}/replay": quarantine_replay,
    "/quarantine/{case}/discard": quarantine_discard,
}

"""Examples of the actions on subscribers and schemas, done as a person does them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.library import HOOK as SINK

if TYPE_CHECKING:
    from tests.browser.test_actions import Desk

TOPIC = "it-bz.education.school.v1"
READS = f"/subscribers/it-health-promotion.health-schools-bz.school-planning/{TOPIC}"
PUSHED = f"/subscribers/it-health-promotion.health-schools-bz.board/{TOPIC}"


def pushing(desk: Desk, state: str) -> None:
    """A subscription that is pushed, in this state, and its page."""
    sink = {**SINK, "url": desk.hook.url, "secret": "${secret:HOOK}"}
    file = desk.console.project / "subscriptions.d/board.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"subscription": "board", "grant": "health-schools-bz", "sink": sink}), encoding="utf-8")
    with httpx.Client(
        base_url=f"{desk.console.url}/api/v1", headers=desk.console.key, timeout=60, trust_env=False
    ) as api:
        assert api.post("/reload", json={}).json() == {"mistakes": []}
        assert api.put(f"/subscriptions/board/{state}").status_code == 202
    desk.go(PUSHED)


def board(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = desk.api("/subscriptions/board")
    return found


def rewind(desk: Desk) -> None:
    desk.go(READS)
    end = desk.api(READS)["partitions"][0]["end"]
    desk.page.get_by_label("an offset of each partition").check()
    desk.page.get_by_label("Next offset of partition 0").fill("8")
    desk.page.get_by_label("Reason, for the record").fill("their disk was lost")
    desk.press(desk.page.get_by_role("button", name="Move the group"))
    assert desk.said == f"The group was moved: {end - 8} offsets are read again, 0 are left out."
    assert desk.api(READS)["committed"] == {"0": 8}


def pause(desk: Desk) -> None:
    pushing(desk, "resume")
    desk.press(desk.page.get_by_role("button", name="Pause", exact=True))
    assert desk.said == "board is paused. A batch that is under way still ends."
    assert board(desk)["state"] == "PAUSED"


def resume(desk: Desk) -> None:
    pushing(desk, "pause")
    desk.press(desk.page.get_by_role("button", name="Resume"))
    assert desk.said == "board pushes again."
    assert board(desk)["state"] == "RUNNING"


def push(desk: Desk) -> None:
    pushing(desk, "resume")
    desk.press(desk.page.get_by_role("button", name="Push now"))
    assert desk.said == "board pushes what there is now."
    shown = board(desk)
    assert shown["running"] or shown["last_run"]


def retry(desk: Desk) -> None:
    pushing(desk, "pause")
    desk.console.hub.store.letters.of("board").put(TOPIC, [(0, 0, 1)], "it answered 410")
    desk.go(PUSHED)
    desk.press(desk.page.get_by_role("button", name="Send again"))
    assert desk.said == "Dead letters that will be sent again: 1."
    assert [one["status"] for one in desk.api("/subscriptions/board/dead-letters")["dead_letters"]] == ["waiting"]


def check(desk: Desk) -> None:
    desk.go(f"/schemas/{TOPIC}-value")
    before = desk.api(f"/schemas/{TOPIC}-value/versions")
    draft = desk.page.get_by_label("Schema, as JSON")
    schema = json.loads(draft.input_value())
    draft.fill(json.dumps({**schema, "fields": [*schema["fields"], {"name": "must", "type": "int"}]}))
    desk.press(desk.page.get_by_role("button", name="Try it"))
    assert "It would be refused: it breaks BACKWARD." in desk.page.get_by_role("alert").inner_text()
    assert desk.api(f"/schemas/{TOPIC}-value/versions") == before


EXAMPLES: dict[str, Callable[[Desk], None]] = {  # by the action's path
    "/subscribers/{group}/{topic}/rewind": rewind,
    "/subscribers/{group}/{topic}/pause": pause,
    "/subscribers/{group}/{topic}/resume": resume,
    "/subscribers/{group}/{topic}/push": push,
    "/subscribers/{group}/{topic}/retry": retry,
    "/schemas/{subject}/check": check,
}

"""Connectors: all of them, one of them, and what an operator does to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.catalogue.edit import FOLDER
from hub.console.pages import Action, Asked, Done, Page, Shown, Values
from hub.console.render import segment
from hub.console.views.shared import agency_title, on_record, paged, staying, topic_title
from hub.errors import NotFound

HERE = "/console/connectors"
A_PAGE = 150  # connectors
RUNS = 20
STATES = ("RUNNING", "PAUSED", "STOPPED", "FAILED")
BY_HAND = {  # reasons that no error gave
    "pause by an operator": "pause",
    "stop by an operator": "stop",
    "created paused": "created",
    "created stopped": "created",
}
RESET = "checkpoint reset: "


def connectors(asked: Asked) -> Values:
    """All that fit what was chosen, a page at a time, and those that are left out for mistakes in their files."""
    agency, state, text = (asked.query.get(name, "") for name in ("agency", "state", "q"))
    every = asked.hub.views.connectors()
    chosen = [one for one in every if _fits(one, agency, state, text.strip().casefold())]
    page = paged(asked, chosen, A_PAGE)
    rows = asked.hub.watch.latest().connectors
    return {
        "agency": agency,
        "state": state,
        "q": text,
        "agencies": [
            {"name": name, "title": agency_title(asked, name)}
            for name in sorted({one["agency"] for one in every if one["agency"]})
        ],
        "states": list(STATES),
        "connectors": [
            {**_named(asked, one), "rows": rows[one["name"]].rows if one["name"] in rows else 0} for one in page.rows
        ],
        **page.values,
        "first": page.first,
        "in_all": len(every),
        "left_out": _left_out(asked),
    }


def connector(asked: Asked) -> Values:
    """One connector: how it is and why, its last runs, and what of it is in quarantine. `connector` is None for one that is
    left out for mistakes in its file."""
    hub, name = asked.hub, asked.path["name"]
    most = asked.number("runs", RUNS, 1000)
    shared: Values = {"name": name, "runs_asked": most, "wrong": None}
    try:
        one = hub.views.connector(name)
    except NotFound:
        file = hub.editing.text(name).file
        return {**shared, "connector": None, "left_out": [m for m in _left_out(asked) if m["file"] == file]}
    runs = hub.views.runs(name, most + 1)
    spec = hub.catalogue.connectors.get(name)
    sample = hub.watch.latest().connectors.get(name)
    return {
        **shared,
        "connector": _named(asked, one),
        "description": spec.description.model_dump() if spec and spec.description else {},
        "rows": sample.rows if sample else 0,
        "position": hub.steering.position(name),
        "cases": hub.quarantine.cases(connector=name)[:RUNS],
        "runs": runs[:most],
        "more": len(runs) > most,
    }


def run(asked: Asked) -> Done:
    """Start a run now."""
    return _did(asked, "connectors_run", asked.hub.supervisor.run_now(asked.path["name"]))


def accept(asked: Asked) -> Done:
    """Resume one that paused before too many deletions, and run it with them."""
    asked.hub.steer(asked.path["name"], "resume", by=asked.person.name)
    return _did(asked, "connectors_accepted", asked.hub.supervisor.run_now(asked.path["name"], accept_deletions=True))


def restart(asked: Asked) -> Done:
    """End the run under way, forget a failure, run anew."""
    started = asked.hub.steering.restart(asked.path["name"], by=asked.person.name)
    return _did(asked, "connectors_restarted", started)


def reset(asked: Asked) -> Done:
    """Let a stopped one read its source from the start."""
    reason, twice, by = asked.form.get("reason", ""), "accept_duplicates" in asked.form, asked.person.name
    done = asked.hub.steering.reset(asked.path["name"], reason=reason, accept_duplicates=twice, by=by)
    return _did(asked, "connectors_reset", done)


def delete(asked: Asked) -> Done:
    """Take the file of a stopped one away."""
    asked.hub.editing.delete(asked.path["name"])
    return Done(to=HERE, said="connectors_deleted", about={"name": asked.path["name"]})


def _steered(verb: str, said: str) -> Callable[[Asked], Done | Shown]:
    def act(asked: Asked) -> Done:
        asked.hub.steer(asked.path["name"], verb, by=asked.person.name)
        return _did(asked, said)

    return staying(CONNECTOR, act)


def _did(asked: Asked, said: str, _started: object = None) -> Done:
    name = asked.path["name"]
    return Done(to=f"{HERE}/{segment(name)}", said=said, about={"name": name})


def _fits(one: dict[str, Any], agency: str, state: str, text: str) -> bool:
    return (
        agency in ("", one["agency"])
        and state in ("", one["state"])
        and (text in one["name"].casefold() or text in (one["topic"] or "").casefold())
    )


def _named(asked: Asked, one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "agency_title": agency_title(asked, one["agency"]),
        "topic_title": topic_title(asked, one["topic"]),
        "why": why(one),
    }


def why(one: dict[str, Any]) -> dict[str, Any] | None:
    """Why a connector is not simply on: `by_hand` names a person's reason, `error` is what the hub met."""
    reason = one["reason"]
    if one["state"] == "RUNNING" and (one["away"] or one["failures"]):
        return {"by_hand": "", "text": "", "error": on_record(one["away"] or one["error"])}
    if not reason:
        return None
    if reason.startswith(RESET):
        return {"by_hand": "reset", "text": reason.removeprefix(RESET), "error": None}
    if reason in BY_HAND:
        return {"by_hand": BY_HAND[reason], "text": "", "error": None}
    last = one["last_run"]["error"] if one["last_run"] else ""
    known = next((e for e in (one["error"], last) if e and (reason in e or one["state"] == "FAILED")), "")
    error = on_record(f"{known.partition(':')[0]}: {reason}") if known else None
    return {"by_hand": "", "text": reason, "error": error}


def _left_out(asked: Asked) -> list[dict[str, Any]]:
    """Mistakes in connectors' files, each with the connector that it keeps out."""
    found = [m for m in asked.hub.catalogue.mistakes if m.file.startswith(f"{FOLDER}/")]
    names = {one.file: name for name, one in asked.hub.editing.texts().items()} if found else {}
    return [{**vars(m), "connector": names.get(m.file) or _stem(m.file)} for m in found]


def _stem(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0]


CONNECTOR = Page(path="/connectors/{name}", template="connector.html", show=connector, area="connectors")
PAGES = (Page(path="/connectors", template="connectors.html", show=connectors, area="connectors"), CONNECTOR)
ACTIONS = (
    Action(path="/connectors/{name}/run", act=staying(CONNECTOR, run)),
    Action(path="/connectors/{name}/accept-deletions", act=staying(CONNECTOR, accept)),
    Action(path="/connectors/{name}/pause", act=_steered("pause", "connectors_paused")),
    Action(path="/connectors/{name}/resume", act=_steered("resume", "connectors_resumed")),
    Action(path="/connectors/{name}/stop", act=_steered("stop", "connectors_stopped")),
    Action(path="/connectors/{name}/restart", act=staying(CONNECTOR, restart)),
    Action(path="/connectors/{name}/reset", act=staying(CONNECTOR, reset)),
    Action(path="/connectors/{name}/delete", act=staying(CONNECTOR, delete)),
)

"""Rows that could not be published: which, why, and what to do, down to the replay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hub.api.problems import status_of
from hub.console.pages import Action, Asked, Done, Page, Shown, Values, trouble
from hub.console.render import segment
from hub.console.views.shared import agency_title, connector_of, on_record, staying, topic_title
from hub.errors import ConfigurationInvalid, DatongError, NotFound
from hub.pipeline.shapes import MOST_COUNTED

HERE = "/console/quarantine"
MOST = 200  # cases on a page
ROWS = 20  # of a case
COLUMNS = 60  # of a row
REPLAYS, LOOKED_AT = 10, 200  # newest runs among which replays are looked for
DIGITS = re.compile("[0-9]{1,18}")
WAIT_S = 5.0  # for a replay to end, so that its result can be told at once


def quarantine(asked: Asked) -> Values:
    """Open cases, the largest first; `connector` and `topic` choose among them."""
    every = asked.hub.quarantine.cases()
    connector, topic = (asked.query.get(name, "") for name in ("connector", "topic"))
    chosen = [c for c in every if connector in ("", c["connector"]) and topic in ("", c["topic"])]
    return {
        "connector": connector,
        "topic": topic,
        "connectors": sorted({*filter(None, [connector]), *(c["connector"] for c in every)}),  # a choice stays one
        "topics": sorted({*filter(None, [topic]), *(c["topic"] for c in every)}),
        "cases": [_named(asked, case) for case in chosen[:MOST]],
        "set_aside": [
            {**one, "linked": one["connector"] in asked.hub.catalogue.connectors}
            for one in asked.hub.quarantine.set_aside(connector=connector or None, topic=topic or None)[:ROWS]
        ],
        "cases_in_all": len(chosen),
        "rows_in_all": sum(case["count"] for case in chosen),
        "found": None,
        "given": {"connector": connector, "column": ""},
        "wrong": None,
    }


def find(asked: Asked) -> Shown:
    """The rows with a value, on the same page. The value itself is never shown again, nor put into an address."""
    given = {name: asked.form.get(name, "") for name in ("connector", "column")}
    values = quarantine(asked) | {"given": given}
    values["connectors"] = sorted({*values["connectors"], *filter(None, [given["connector"]])})
    try:
        value, by = asked.form.get("value", ""), asked.person.name
        found = asked.hub.quarantine.find(**given, value=value, by=by)
    except DatongError as error:
        return Shown(page=QUARANTINE, values=values | {"wrong": trouble(error)}, status=status_of(error))
    return Shown(page=QUARANTINE, values=values | {"found": found})


def case(asked: Asked) -> Values:
    """One case: what, why, its first rows, how replays of its connector ended, and what was set aside. `case` is None when
    no row is open."""
    wanted = asked.path["case"]
    try:
        row = asked.query.get("row", "")
        found = asked.hub.quarantine.case(wanted, ROWS, int(row) if DIGITS.fullmatch(row) else None)
    except NotFound:
        found = {"count": 0, "set_aside": []}
    shown = {"id": wanted, "set_aside": found["set_aside"], "given": "", "wrong": None}
    if not found["count"]:
        return {**shown, "case": None}
    columns = list(dict.fromkeys(name for row in found["rows"] for name in row["preview"]))
    columns.sort(key=lambda name: name not in found["columns"])  # what to look at comes first
    connector = connector_of(asked, found["connector"])
    spec = asked.hub.catalogue.connectors.get(found["connector"])
    return {
        **shown,
        "case": _named(asked, found),
        "columns": columns[:COLUMNS],
        "unreadable": columns == [""],
        "check": spec.publish.checks.get(found["path"], "") if spec and found["stage"] == "check" else "",
        "linked": connector is not None or _has_file(asked, found["connector"]),
        "running": bool(connector and connector["running"]),
        "state": connector["state"] if connector else "",
        "step": next((step for step in ("aside", "replay") if asked.query.get("step") == step), "fix"),
        "most_counted": MOST_COUNTED,
        "replays": _replays(asked, found["connector"]),
    }


def replay(asked: Asked) -> Done | Shown:
    """Map the case's rows again, and say how many passed."""
    hub, wanted = asked.hub, asked.path["case"]
    (started,) = hub.quarantine.replay(case=wanted, connector=None)  # a case is one connector's
    name = started["connector"]
    ended = hub.views.run(name, started["run"], WAIT_S)
    here = f"{HERE}/{segment(wanted)}"
    if ended["state"] == "running":
        return Done(to=here, said="quarantine_replaying", about={"name": name})
    if failed := on_record(ended["error"]):
        return Shown(page=CASE, values=case(asked) | {"wrong": failed}, status=409)
    totals = ended["totals"]
    read, stayed = totals["read"], totals["quarantined"]
    left = next((c["count"] for c in hub.quarantine.cases(connector=name) if c["case"] == wanted), 0)
    same = totals["unchanged"] + totals["deduplicated"]
    about = {"read": read, "passed": read - stayed, "published": totals["published"], "same": same}
    if left:
        return Done(to=f"{here}?step=aside", said="quarantine_replayed", about={**about, "left": left}, well=False)
    if stayed:
        return Done(to=_of(name), said="quarantine_moved", about=about, well=False)
    return _emptied(asked, name, "quarantine_emptied", "quarantine_resume", about)


def _emptied(asked: Asked, name: str, said: str, resume: str, about: Values) -> Done:
    """Where to go when nothing is left of a case: to its connector when that is not on, for the next step is there."""
    connector = connector_of(asked, name)
    if connector and connector["state"] != "RUNNING":
        to = f"/console/connectors/{segment(name)}"
        return Done(to=to, said=resume, about={**about, "name": name}, well=False)
    return Done(to=_of(name), said=said, about=about)


def discard(asked: Asked) -> Done | Shown:
    """Set the case aside, or the rows that were ticked, under this person's name. Refused, the page keeps what was typed."""
    hub, wanted, reason = asked.hub, asked.path["case"], asked.form.get("reason", "")
    try:
        rows = [] if asked.form.get("which") == "all" else _ticked(asked.form)
        (started,) = hub.quarantine.discard(case=wanted, rows=rows, reason=reason, by=asked.person.name)
    except DatongError as error:
        values = case(asked) | {"wrong": trouble(error), "given": reason}
        return Shown(page=CASE, values=values, status=status_of(error))
    name, here = started["connector"], f"{HERE}/{segment(wanted)}"
    ended = hub.views.run(name, started["run"], WAIT_S)
    if ended["state"] == "running":
        return Done(to=here, said="quarantine_discarding", about={"name": name})
    if failed := on_record(ended["error"]):
        return Shown(page=CASE, values=case(asked) | {"wrong": failed, "given": reason}, status=409)
    left = next((c["count"] for c in hub.quarantine.cases(connector=name) if c["case"] == wanted), 0)
    about = {"n": ended["totals"]["discarded"], "left": left}
    if left:
        return Done(to=f"{here}?step=aside", said="quarantine_discarded", about=about)
    return _emptied(asked, name, "quarantine_discarded", "quarantine_discarded_resume", about)


def _of(name: str) -> str:
    """The cases of one connector."""
    return f"{HERE}?connector={segment(name)}"


def _ticked(form: Mapping[str, str]) -> list[int]:
    """The rows' ids. Raises ConfigurationInvalid for none."""
    names = (name.removeprefix("row-") for name in form if name.startswith("row-"))
    rows = [int(name) for name in names if DIGITS.fullmatch(name)]
    if not rows:
        raise ConfigurationInvalid("no row is ticked", remedy="tick the rows to set aside, or take the whole case")
    return rows


def _named(asked: Asked, found: dict[str, Any]) -> dict[str, Any]:
    spec = asked.hub.catalogue.connectors.get(found["connector"])
    agency = spec.agency if spec else found["topic"].partition(".")[0]
    return {
        **found,
        "agency": agency,
        "agency_title": agency_title(asked, agency),
        "topic_title": topic_title(asked, found["topic"]),
    }


def _has_file(asked: Asked, name: str) -> bool:
    """Then its page says what is wrong with it."""
    try:
        asked.hub.editing.text(name)
    except NotFound:
        return False
    return True


def _replays(asked: Asked, name: str) -> list[dict[str, Any]]:
    """The newest."""
    try:
        runs = asked.hub.views.runs(name, LOOKED_AT)
    except NotFound:  # it never ran in this store
        return []
    return [run for run in runs if run["replay"] and not run["discard"]][:REPLAYS]


CASE = Page(path="/quarantine/{case}", template="case.html", show=case, area="quarantine")
QUARANTINE = Page(path="/quarantine", template="quarantine.html", show=quarantine, area="quarantine")
PAGES = (QUARANTINE, CASE)
ACTIONS = (
    Action(path="/quarantine/rows/find", act=find),
    Action(path="/quarantine/{case}/replay", act=staying(CASE, replay)),
    Action(path="/quarantine/{case}/discard", act=discard),
)

"""Subscribers: who reads, how far behind, what to do about it, and how to let one read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hub.api.problems import status_of
from hub.console.pages import Action, Asked, Done, Page, Shown, Values, trouble
from hub.console.render import segment
from hub.console.views.shared import paged
from hub.errors import ConfigurationInvalid, DatongError, NotFound
from hub.subscribers import Rewind, Target
from hub.watch import Sample

A_PAGE = 200  # subscribers
MOST_REASON = 1000  # characters
MOST_OFFSETS = 150  # partitions whose offset can be typed in; a form has 200 fields at most
NOTHING = {"to": "", "moment": "", "reason": "", "accept_skip": ""}  # of the form, before it is filled in
OFFSET = "offset-"  # and the partition: a field of the form
CHOICES = ("earliest", "latest", "offsets", "moment")


def subscribers(asked: Asked) -> Values:
    """All groups and pushed subscriptions, so many at a time; of one `agency`, or those that are `behind`."""
    hub, sample = asked.hub, asked.hub.watch.latest()
    agency, behind = asked.query.get("agency", ""), asked.query.get("behind", "")
    every = hub.subscribers.all()
    found = [one for one in every if (not agency or one["agency"] == agency) and (not behind or one["lag"])]
    page = paged(asked, found, A_PAGE)
    return {
        "agency": agency,
        "agencies": sorted({one["agency"]: one["agency_name"] for one in every}.items()),
        "behind": bool(behind),
        **page.values,
        "subscribers": [_followed(one, sample) for one in page.rows],
    }


def subscriber(asked: Asked) -> Values:
    """One: its place in each partition, what it acknowledged, and of a pushed one its dead letters."""
    hub = asked.hub
    one = hub.subscribers.one(asked.path["group"], asked.path["topic"])
    name = one["subscription"]
    return {
        "one": _followed(one, hub.watch.latest()),
        "push": hub.subscriptions.one(name) if name else None,
        "letters": hub.subscriptions.letters(name) if name else [],
        "most_offsets": MOST_OFFSETS,
        "wrong": None,
        "given": dict(NOTHING),
    }


def history(asked: Asked) -> Values:
    """How far behind it was in the last ten minutes, for the chart; moments at which nobody knew are left out."""
    one = asked.hub.subscribers.one(asked.path["group"], asked.path["topic"])
    lags = ((sample.at_ms, _lag(one, sample)) for sample in asked.hub.watch.after(0))
    return {
        "id": one["id"],
        "topic": one["topic"],
        "samples": [{"at": at, "lag": n} for at, n in lags if n is not None],
    }


def rewind(asked: Asked) -> Done | Shown:
    """Let it read again from elsewhere; what was typed stays when that cannot be."""
    group, topic = asked.path["group"], asked.path["topic"]
    try:
        wanted = Rewind(
            to=_target(asked.form),
            reason=_reason(asked.form),
            by=asked.person.name,
            accept_skip=asked.form.get("accept_skip") == "yes",
        )
        done = asked.hub.subscribers.rewind(group, topic, wanted)
    except DatongError as error:
        wrong = trouble(error)
        values = subscriber(asked) | {"wrong": wrong, "given": {**NOTHING, **asked.form}}
        return Shown(page=PAGE, values=values, status=status_of(error))
    about = {"again": done["again"], "skipped": done["skipped"]}
    return Done(to=_here(asked), said="subscribers_rewound", about=about)


def pause(asked: Asked) -> Done:
    """Push no more until it is resumed."""
    name = _pushed(asked)
    asked.hub.subscriptions.steer(name, "pause", by=asked.person.name)
    return Done(to=_here(asked), said="subscribers_paused", about={"name": name})


def resume(asked: Asked) -> Done:
    """Push again."""
    name = _pushed(asked)
    asked.hub.subscriptions.steer(name, "resume", by=asked.person.name)
    return Done(to=_here(asked), said="subscribers_resumed", about={"name": name})


def push(asked: Asked) -> Done:
    """Push what there is now, to its end."""
    name = _pushed(asked)
    asked.hub.subscriptions.run(name, once=True)
    return Done(to=_here(asked), said="subscribers_pushed", about={"name": name})


def retry(asked: Asked) -> Done:
    """Have a dead letter sent again, or all that are open."""
    count = asked.hub.subscriptions.retry(_pushed(asked), asked.form.get("letter") or None)
    return Done(to=_here(asked), said="subscribers_retried", about={"n": count})


def _followed(one: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """With the name of its live lag, empty while samples do not have it, and what to do when it is behind."""
    live = ""
    if _lag(one, sample) is not None:
        live = (
            f"group.{one['id']}.{one['topic']}.lag"
            if one["by"] == "pull"
            else f"subscription.{one['subscription']}.lag"
        )
    return {**one, "live": live, "advice": _advice(one)}


def _lag(one: Mapping[str, Any], sample: Sample) -> int | None:
    if one["by"] == "pull":
        return sample.groups.get((one["id"], one["topic"]))
    pushed = sample.subscriptions.get(one["subscription"])
    return pushed.lag if pushed else None


def _advice(one: Mapping[str, Any]) -> str:
    """The name of the text that says what to do; empty: nothing."""
    if one["grant_state"] != "holds":
        return one["grant_state"] if one["lag"] else ""
    if one["dead_letters"]:
        return "letters"
    if not one["lag"]:
        return ""
    if one["reset"]:
        return "reset"
    known = {"reading": "reading", "idle": "idle", "RUNNING": "pushing", "PAUSED": "paused"}
    return known.get(one["state"], "stopped")


def _target(form: Mapping[str, str]) -> Target:
    """Raises ConfigurationInvalid, also when something is typed for a choice that is not marked."""
    to = form.get("to", "")
    typed = {"moment" if name == "moment" else "offsets" for name, text in form.items() if _typed(name, text)}
    if typed - {to}:
        raise ConfigurationInvalid(
            "a moment or an offset is typed, but another choice is marked",
            where="to",
            remedy="mark the choice you mean, or empty the field",
        )
    if to == "earliest" or to == "latest":
        return "earliest" if to == "earliest" else "latest"
    if to == "offsets":
        return _offsets(form)
    if to == "moment":
        try:
            moment = datetime.fromisoformat(form.get("moment", ""))
        except ValueError as error:
            raise ConfigurationInvalid("is no moment", where="moment", remedy="such as 2026-11-25T08:00") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise ConfigurationInvalid(f"one of {', '.join(CHOICES)} is wanted", where="to")


def _typed(name: str, text: str) -> bool:
    return bool(text.strip()) and (name == "moment" or name.startswith(OFFSET))


def _offsets(form: Mapping[str, str]) -> dict[int, int]:
    """Of the partitions for which one was typed. Raises ConfigurationInvalid."""
    found: dict[int, int] = {}
    for name, text in form.items():
        if not (name.startswith(OFFSET) and text.strip()):
            continue
        partition = name.removeprefix(OFFSET)
        digits = [one for one in (partition, text.strip()) if one.isascii() and one.isdigit() and len(one) <= 18]
        if len(digits) < 2:
            raise ConfigurationInvalid("an offset is a whole number", where=f"partition {partition[:20]}")
        found[int(partition)] = int(digits[1])
    if not found:
        raise ConfigurationInvalid("no offset is given", remedy="give the next offset of at least one partition")
    return found


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not 1 <= len(reason) <= MOST_REASON:
        raise ConfigurationInvalid(f"1 to {MOST_REASON:,} characters are wanted", where="reason", remedy="say why")
    return reason


def _pushed(asked: Asked) -> str:
    """The subscription's name. Raises NotFound."""
    name = asked.hub.subscribers.one(asked.path["group"], asked.path["topic"])["subscription"]
    if name is None:
        raise NotFound("the hub does not push to this group: it pulls by itself")
    return str(name)


def _here(asked: Asked) -> str:
    return f"/console/subscribers/{segment(asked.path['group'])}/{segment(asked.path['topic'])}"


ONE = "/subscribers/{group}/{topic}"
PAGE = Page(path=ONE, template="subscriber.html", show=subscriber, area="subscribers", charts=True)
PAGES = (
    Page(path="/subscribers", template="subscribers.html", show=subscribers, area="subscribers"),
    PAGE,
    Page(path=f"{ONE}/lag", template="", show=history, area="subscribers"),
)
ACTIONS = (
    Action(path=f"{ONE}/rewind", act=rewind),
    Action(path=f"{ONE}/pause", act=pause),
    Action(path=f"{ONE}/resume", act=resume),
    Action(path=f"{ONE}/push", act=push),
    Action(path=f"{ONE}/retry", act=retry),
)

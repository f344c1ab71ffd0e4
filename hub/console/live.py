"""What open pages are sent each second: the texts that changed, made once for all who look in one language.

A viewer who missed a sample gets all texts. A session that ends is told so; looking on does not keep it alive (S27).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from hub.api.overview import News
from hub.api.room import Room
from hub.api.waiting import Waiting
from hub.app import Hub
from hub.console.edge import LANGUAGE, session_of
from hub.console.render import duration, number
from hub.console.texts import Texts, chosen
from hub.errors import NotAuthenticated, Retry
from hub.watch import Sample

LOOK_S = 1.0  # how often a stream looks whether the hub ends
ASK_S = 10.0  # how often whether the session does
MOST = 200  # streams of a node
IN_CHART = 6  # topics whose rate is sent


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One sample in one language."""

    number: int
    texts: Mapping[str, str]
    structure: int  # another number when more than texts changed: a state, an alert, a topic
    whole: bytes
    changes: bytes  # for who has the sample before


class Live:
    """All viewers of a node."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._made: dict[str, Moment] = {}
        self._room = Room(MOST, f"{MOST} pages follow this node", "close some, or try again later")

    async def stream(self, request: Request) -> StreamingResponse:
        """The events of one viewer."""
        if await run_in_threadpool(session_of, self._hub, request, touch=False) is None:
            raise NotAuthenticated("nobody is logged in", remedy="load the page again")
        language = chosen(None, request.cookies.get(LANGUAGE), request.headers.get("accept-language", ""))
        return self._room.stream(self._follow(request, language))

    async def _follow(self, request: Request, language: str) -> AsyncIterator[bytes]:
        waiting: Waiting = request.app.state.waiting
        sent, asked = 0, time.monotonic()
        with News(self._hub) as news:
            while not waiting.stopped:
                for sample in self._hub.watch.after(0)[-1:]:
                    if sample.number > sent:
                        moment = self._moment(sample, language)
                        yield moment.changes if sent == sample.number - 1 else moment.whole
                        sent = sample.number
                await news.come(LOOK_S)
                if time.monotonic() - asked > ASK_S:
                    asked = time.monotonic()
                    if await run_in_threadpool(self._has_ended, request):
                        yield format_sse_event(data_str="{}", event="end")
                        return

    def _has_ended(self, request: Request) -> bool:
        """The session. While the store is away nobody can say, and no sample comes either."""
        try:
            return session_of(self._hub, request, touch=False) is None
        except Retry:
            return False

    def _moment(self, sample: Sample, language: str) -> Moment:
        with self._lock:
            known = self._made.get(language)
            if known is None or known.number != sample.number:
                known = self._made[language] = self._make(sample, language, known)
            return known

    def _make(self, sample: Sample, language: str, before: Moment | None) -> Moment:
        texts = texts_of(sample, Texts(language))
        structure = structure_of(sample, [alert.id for alert in self._hub.alerts.current()])
        follows = before is not None and before.number == sample.number - 1
        old = before.texts if follows and before else {}
        news = {name: text for name, text in texts.items() if old.get(name) != text}
        changed = before is not None and before.structure != structure
        return Moment(
            number=sample.number,
            texts=texts,
            structure=structure,
            whole=_event(sample, texts, changed=True),
            changes=_event(sample, news, changed=changed),
        )


def texts_of(sample: Sample, t: Texts) -> dict[str, str]:
    """Every text that pages follow, by name."""
    found = {
        "rate": number(sample.rate),
        "records_today": number(sample.records_today),
        "running": number(sample.running),
        "late": number(sample.late),
        "lag": number(sample.lag),
    }
    for name, topic in sample.topics.items():
        found[f"topic.{name}.rate"] = number(topic.rate)
        found[f"topic.{name}.records"] = number(topic.records)
        found[f"topic.{name}.age"] = duration(topic.fresh.age_s(sample.at_ms), t)
        found[f"topic.{name}.lag"] = number(topic.lag)
    for name, one in sample.connectors.items():
        found[f"connector.{name}.rows"] = number(one.rows)
    for (group, topic_name), lag in sample.groups.items():
        found[f"group.{group}.{topic_name}.lag"] = number(lag)
    for name, subscription in sample.subscriptions.items():
        found[f"subscription.{name}.lag"] = number(subscription.lag)
    return found


def structure_of(sample: Sample, alerts: list[str]) -> int:
    """A number for all that changes a page's shape."""
    return hash(
        (
            tuple(alerts),
            tuple((name, topic.fresh.late(sample.at_ms)) for name, topic in sample.topics.items()),
            tuple((name, one.state, one.running, one.error) for name, one in sample.connectors.items()),
            tuple((name, one.state, one.running, one.dead_letters) for name, one in sample.subscriptions.items()),
            tuple(sample.groups),
        )
    )


def rates(sample: Sample) -> dict[str, float]:
    """The busiest topics, by name, and all together under the empty name."""
    busy = sorted(sample.topics.items(), key=lambda item: -item[1].rate)[:IN_CHART]
    return {"": round(sample.rate, 1)} | {name: round(topic.rate, 1) for name, topic in busy if topic.rate}


def _event(sample: Sample, texts: Mapping[str, str], *, changed: bool) -> bytes:
    data: dict[str, Any] = {"at": sample.at_ms, "live": texts, "changed": changed, "rates": rates(sample)}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return format_sse_event(data_str=text, event="sample", id=str(sample.number))

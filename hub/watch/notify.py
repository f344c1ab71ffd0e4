"""Those who are told of alerts: one node of a hub tells them, in a thread of its own, so that a slow mail server holds
nothing up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from hub.catalogue.load import Catalogue
from hub.catalogue.notify import NotifySpec
from hub.errors import DatongError, NotFound
from hub.model import Message
from hub.store.leases import Lease, Leases
from hub.watch.alerts import Alert
from hub.watch.rounds import Notice, Pace, Rounds
from hub.watch.texts import said, texts, to_json

log = structlog.get_logger("datong.alerts")
LOOK_S = 1.0
END_S = 20.0  # a notice under way is given so long when the hub ends
TASK, LEASE_MS = "hub/notices", 60_000  # no connector's name has a slash
LISTED = 20  # alerts that a text tells one by one; a program gets all


class Channel(Protocol):
    """A way to somebody."""

    def send(self, message: Message) -> None:
        """Returns when it was taken. Raises DatongError."""


Open = Callable[[NotifySpec], Channel]


class Notifier:
    """Tells everybody of `alerts.d`. Only the node that holds the lease does; another that takes it over tells anew."""

    def __init__(
        self,
        alerts: Callable[[], Sequence[Alert]],
        catalogue: Callable[[], Catalogue],
        open_channel: Open,
        leases: Leases,
        node: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._alerts, self._catalogue, self._open = alerts, catalogue, open_channel
        self._leases, self._node, self._clock_ms = leases, node, clock_ms
        self._lease: Lease | None = None
        self._renewed_ms = 0
        self._rounds: dict[str, tuple[NotifySpec, Rounds]] = {}
        self._untold: Mapping[str, str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. May be repeated."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="notices", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, when what is being sent was sent; another node may go on. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(END_S)
            self._thread = None
        if self._lease is not None:
            try:
                self._leases.release(self._lease)
            except DatongError:  # it runs out by itself
                log.info("the store does not hear that this node tells nobody any more")
            self._lease = None

    @property
    def untold(self) -> Mapping[str, str]:
        """Who could not be told when it was last tried, and why."""
        return self._untold

    def test(self, name: str | None = None) -> list[dict[str, str]]:
        """Send a notice that says it is a test, to one or to all; what became of each. Raises NotFound."""
        specs = self._catalogue().notify
        if name is not None and name not in specs:
            raise NotFound(f"nobody called {name} is told of alerts", remedy="declare it in alerts.d/")
        return [{"notify": one, "error": self._send(specs[one], None)} for one in sorted(specs) if name in (None, one)]

    def look(self, now_ms: int) -> None:
        """Tell whom it is time to tell."""
        specs = self._catalogue().notify
        if not specs or not self._mine(now_ms):
            self._rounds, self._untold = {}, {}
            return
        alerts, untold = self._alerts(), dict(self._untold)
        for name, spec in specs.items():
            known = self._rounds.get(name)
            if known is None or known[0] != spec:
                pace = Pace(collect_ms=int(spec.collect_s * 1000), repeat_ms=int(spec.repeat_s * 1000))
                known = self._rounds[name] = (spec, Rounds(pace))
            # that it cannot be told is no news for whom it concerns
            wanted = [a for a in alerts if a.severity in spec.severities and a.id != f"notice_failed:{name}"]
            notice = known[1].due(wanted, now_ms)
            if notice is None:
                continue
            error = self._send(spec, notice)
            if error:
                known[1].failed(now_ms)
                untold[name] = error
            else:
                known[1].sent(notice, now_ms)
                untold.pop(name, None)
        self._rounds = {name: self._rounds[name] for name in specs}
        self._untold = {name: why for name, why in untold.items() if name in specs}

    def _mine(self, now_ms: int) -> bool:
        """Is it this node that tells?"""
        if self._lease is not None and 0 <= now_ms - self._renewed_ms < LEASE_MS // 4:
            return True
        if self._lease is not None:
            self._lease = self._leases.renew(self._lease, LEASE_MS)
        if self._lease is None:
            self._lease = self._leases.acquire(TASK, self._node, LEASE_MS, scheduled=False)
        self._renewed_ms = now_ms
        return self._lease is not None

    def _send(self, spec: NotifySpec, notice: Notice | None) -> str:
        """What went wrong; empty: it was taken. None: a test."""
        try:
            body = _body(spec, notice or Notice(), test=notice is None)
            self._open(spec).send(Message(subject=_subject(spec, notice), text=_text(spec, notice), body=body))
        except DatongError as error:
            log.warning("a notice was not taken", notify=spec.notify, error=error.code, message=error.message)
            return error.told
        except Exception:  # a bug of ours must not keep the others from being told
            log.exception("telling failed", notify=spec.notify)
            return "InternalError: an unexpected error; the hub's log has its kind"
        return ""

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look(self._clock_ms())
            except DatongError as error:
                log.info("nobody is told for now", error=error.code, message=error.message)
            except Exception:  # a bug of ours must not end the telling
                log.exception("telling failed")


def _body(spec: NotifySpec, notice: Notice, *, test: bool) -> dict[str, Any]:
    parts = {"new": notice.new, "lasting": notice.lasting, "resolved": notice.resolved}
    listed = {part: [to_json(alert) for alert in alerts] for part, alerts in parts.items()}
    about = {"notify": spec.notify, "hub": socket.gethostname(), "test": test}
    return {"type": "datong.alerts", "data": {**about, **listed}}


def _subject(spec: NotifySpec, notice: Notice | None) -> str:
    words = texts(spec.language)
    if notice is None:
        return f"[Datong {socket.gethostname()}] {words['notice']['test']}"
    first = next(iter((*notice.new, *notice.lasting, *notice.resolved)))
    counts = [(part, len(getattr(notice, part))) for part in ("new", "lasting", "resolved")]
    told = ", ".join(f"{words['notice'][part]}: {count}" for part, count in counts if count)
    return f"[Datong {socket.gethostname()}] {told} ({said(first, 'title', spec.language)}: {first.subject})"


def _text(spec: NotifySpec, notice: Notice | None) -> str:
    words = texts(spec.language)
    if notice is None:
        return f"{words['notice']['test']}\n"
    lines: list[str] = []
    for part in ("new", "lasting", "resolved"):
        alerts: Sequence[Alert] = getattr(notice, part)
        if alerts:
            lines += [words["notice"][part].upper(), ""]
        for alert in alerts[:LISTED]:
            severity = words["severities"][alert.severity]
            lines.append(f"- {said(alert, 'title', spec.language)} ({severity}): {alert.subject}")
            lines.append(f"  {said(alert, 'message', spec.language)}")
            if part != "resolved":
                lines.append(f"  → {said(alert, 'next', spec.language)}")
        more = len(alerts) - LISTED
        lines += [f"… + {more}"] if more > 0 else []
        lines += [""] if alerts else []
    return "\n".join(lines)

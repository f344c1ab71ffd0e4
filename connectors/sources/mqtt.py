"""Source `mqtt`: messages of a broker, QoS 1, acknowledged to it when they are durable (class C).

The session stays at the broker, so what comes while the hub is away is kept there. What a broker gives again after a broken
connection or a crash is known by the window (mqtt_window.py), which is the source's position. Messages of QoS 0 are taken as
they come: nobody keeps those for us.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.context import SourceContext
from connectors.sources.delimited import MAX_QUOTED, MAX_ROW
from connectors.sources.mqtt_client import BrokerClient
from connectors.sources.mqtt_window import Window, digest_of
from connectors.sources.objects import BYTES_AT_ONCE, ROWS_AT_ONCE, Bad, Row, flatten, parse, record_batch
from connectors.sources.push_specs import MqttSpec
from hub.errors import AnswerRefused, ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Batch, Finding, ReadFailure, Report, SourceCheckpoint, Stream

QOS = 1
IDLE_S = 0.5  # between two signs of life
TOLD_S = 1.0  # a broker that is away for so long is told of
STOP_S = 0.1  # how late `stop` may be seen
GATHER_S = 0.1  # what comes in so short a time is appended together
MOST_WAITING = 16 * 1024 * 1024  # bytes that wait to be read; then the broker is not listened to
MESSAGE_BYTES = 200  # what a message takes besides its payload
TOPIC, RETAINED, VALUE = "@topic", "@retained", "value"  # columns beside those of the payload
NO_ANSWER = "the broker does not answer"
SEE = "see that it runs, and that host and port are right"
log = structlog.get_logger("datong.mqtt")


@dataclass(frozen=True, kw_only=True)
class _Message:
    number: int
    topic: str
    payload: bytes
    digest: str
    retained: bool


class MqttSource:
    """One session at one broker. Callbacks run in the client's thread, the rest in those of the run."""

    replayable = False

    def __init__(self, spec: MqttSpec, context: SourceContext) -> None:
        if context.mode == "snapshot":
            raise ConfigurationInvalid(
                "what is pushed is never the whole", where="publish.mode", remedy="use mode append or upsert"
            )
        self._spec, self._context = spec, context
        self._where = f"mqtt://{spec.host}:{spec.port}"
        self._changed = threading.Condition()
        self._window = Window(spec.window)
        self._series = ""  # the numbers of messages are counted in it
        self._subscribed: frozenset[str] = frozenset()  # at the broker, as far as we know
        self._asked: dict[int | None, frozenset[str]] = {}
        self._waiting: deque[_Message] = deque()
        self._bytes = 0
        self._trouble: DatongError | None = None
        self._closed = False
        self._heard: float | None = None  # when the broker last sent something; None until it has our subscription
        self._away = 0.0  # since when we wait for that
        self._why = NO_ANSWER
        self._client: BrokerClient | None = None

    @property
    def repeats(self) -> bool:
        """What a device sends twice is known by its `identity`; what the broker sends twice is never handed on."""
        return bool(self._spec.identity)

    def check(self) -> Report:
        """Does the broker let us in? By another client id, so that a session that runs goes on."""
        answered: list[DatongError | None] = []
        done = Event()

        def end(problem: DatongError | None) -> None:
            answered.append(problem)
            done.set()

        def connected(
            client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
        ) -> None:
            assert isinstance(client, BrokerClient)
            if client.refused(reason):
                end(SourceUnavailable(f"the broker answers: {reason.getName()}", where=self._where))
            end(None)

        try:
            client = BrokerClient(
                self._spec, self._context, end, client_id=f"datong-check-{secrets.token_hex(6)}", session=False
            )
            client.on_connect = connected
            client.begin()
            done.wait(self._spec.connect_timeout_s)
            client.end()
        except DatongError as error:
            end(error)
        problem = answered[0] if answered else self._unanswered()
        if problem is not None:
            return Report(findings=[Finding(name=self._where, ok=False, detail=problem.message, remedy=problem.remedy)])
        return Report(findings=[Finding(name=self._where, ok=True, detail=f"{len(self._spec.topics)} topic filters")])

    def discover(self) -> list[Stream]:
        """The columns that are declared. Raises SourceUnavailable when none are."""
        if not self._spec.columns:
            raise SourceUnavailable(
                "what will come is not known before it comes", where="source.columns", remedy="name its columns there"
            )
        levels = [name for name in self._spec.levels if name]
        names = dict.fromkeys((*self._spec.columns, *levels, TOPIC, RETAINED))
        return [Stream(name=self._where, columns=pa.schema([(n, pa.string()) for n in names]))]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """What comes from now on, in the order in which the broker sends it, until `stop` or until it is quiet."""
        self._context.running()
        self._away = time.monotonic()
        last = self._resume(after)
        client = BrokerClient(
            self._spec,
            self._context,
            self._fail,
            client_id=self._spec.client_id or f"datong-{self._context.task}",
            session=True,
            broken=self._broken,
        )
        client.on_connect, client.on_subscribe, client.on_message = self._connected, self._granted, self._arrived
        client.on_disconnect, client.on_connect_fail = self._disconnected, self._not_connected
        with self._changed:
            if self._closed:
                return
            self._client = client
        client.begin()
        try:
            while not stop.is_set():
                messages = self._take(stop)
                self._context.away(self._unanswered() if self._away_s() >= TOLD_S else None)
                if self._trouble is not None:
                    raise self._trouble
                if self._ended() or (not messages and self._quiet()):
                    return
                last = messages[-1].number if messages else last
                yield self._batch(messages, last)
        finally:
            self.close()
            client.end()  # of which `close` knew nothing if it came before it began

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """Tell the broker, for all up to there."""
        with self._changed:
            self._window.durable(int(position.value["number"]))
            self._tell()

    def close(self) -> None:
        """Leave the broker; what is not acknowledged comes again."""
        with self._changed:
            self._closed = True
            client, self._client = self._client, None
            self._changed.notify_all()
        if client is not None:
            client.end()

    def _resume(self, after: SourceCheckpoint | None) -> int:
        if after is None:
            self._series = secrets.token_hex(8)
            return 0
        value = after.value
        self._series, number = str(value["series"]), int(value["number"])
        self._window = Window(self._spec.window, number, value["window"])
        self._subscribed = frozenset(value["topics"])
        return number

    def _take(self, stop: Event) -> list[_Message]:
        """What waits, and what comes within a moment; nothing when nothing comes for a while."""
        deadline = time.monotonic() + IDLE_S
        with self._changed:
            while not (self._waiting or self._ended() or stop.is_set()) and time.monotonic() < deadline:
                self._changed.wait(STOP_S)
            if self._waiting:
                self._changed.wait_for(self._ended, GATHER_S)
            taken: list[_Message] = []
            size = 0
            while self._waiting and len(taken) < ROWS_AT_ONCE and size < BYTES_AT_ONCE:
                taken.append(self._waiting.popleft())
                size += len(taken[-1].payload) + MESSAGE_BYTES
            self._bytes -= size
            self._changed.notify_all()
            return taken

    def _quiet(self) -> bool:
        """Whether a run that has `quiet_s` is over. Raises SourceUnavailable when the broker has not been there in time."""
        with self._changed:
            if self._spec.quiet_s is None or self._waiting:
                return False
            if self._heard is not None:
                return time.monotonic() - self._heard >= self._spec.quiet_s
        if self._away_s() < self._spec.connect_timeout_s:
            return False
        raise self._unanswered()

    def _away_s(self) -> float:
        """For how long the broker has not let us in; 0 while it has."""
        with self._changed:
            return time.monotonic() - self._away if self._heard is None else 0.0

    def _unanswered(self) -> SourceUnavailable:
        return SourceUnavailable(self._why, where=self._where, remedy=SEE)

    def _ended(self) -> bool:
        return self._closed or self._trouble is not None

    def _fail(self, error: DatongError) -> None:
        with self._changed:
            self._trouble = self._trouble or error
            self._changed.notify_all()

    def _connected(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        assert isinstance(client, BrokerClient)
        if client.refused(reason):
            self._why = f"the broker refuses: {reason.getName()}"
            log.warning("the broker refuses", connector=self._context.task, reason=reason.getName())
            return
        wanted = frozenset(self._spec.topics)
        self._why = NO_ANSWER
        with self._changed:
            self._window.connected(session=flags.session_present)
            known = self._subscribed if flags.session_present else frozenset()
            self._subscribed = known & wanted
            if not wanted - known:
                self._heard = time.monotonic()
        if known - wanted:
            client.unsubscribe(sorted(known - wanted))
        if wanted - known:
            _code, mid = client.subscribe([(topic, QOS) for topic in sorted(wanted - known)])
            self._asked[mid] = wanted - known

    def _granted(
        self, _client: Client, _data: Any, mid: int, reasons: Sequence[ReasonCode], _more: Properties | None
    ) -> None:
        """The broker's answer to a subscription; without it, it is asked for again on the next connection."""
        if any(reason.is_failure for reason in reasons):
            self._fail(
                AnswerRefused(
                    "the broker refuses a subscription",
                    where=self._where,
                    remedy="let its operator allow this user the filters of `topics`; then resume",
                )
            )
            return
        with self._changed:
            self._subscribed |= self._asked.pop(mid, frozenset())
            self._heard = time.monotonic()

    def _arrived(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        """Waits while too much waits already: then the broker's window fills, and it waits too."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._fail(AnswerRefused("the broker sends a topic that is not UTF-8", where=self._where))
            return
        payload = bytes(message.payload)
        empty = not payload or (message.retain and self._spec.retained == "skip")
        digest = digest_of(topic, payload)
        with self._changed:
            self._changed.wait_for(lambda: self._ended() or self._bytes < MOST_WAITING)
            self._heard = time.monotonic()
            if self._ended():
                return
            number = self._window.arrived(message.mid if message.qos else 0, digest, dup=message.dup, empty=empty)
            if number is not None and not empty:
                one = _Message(number=number, topic=topic, payload=payload, digest=digest, retained=message.retain)
                self._waiting.append(one)
                self._bytes += len(payload) + MESSAGE_BYTES
                self._changed.notify_all()
            self._tell()

    def _tell(self) -> None:
        """Acknowledge what is due; a broker that does not hear it sends the message again."""
        for mid in self._window.due():
            if self._client is not None:
                self._client.ack(mid, QOS)

    def _broken(self) -> None:
        with self._changed:
            if self._heard is not None:
                self._heard, self._away = None, time.monotonic()
            self._window.disconnected()

    def _disconnected(
        self, client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._broken()
        if not self._closed:
            log.warning("the connection broke", connector=self._context.task, reason=reason.getName())
            self._wait(client)

    def _not_connected(self, client: Client, _data: Any) -> None:
        log.warning("the broker does not answer", connector=self._context.task)
        self._wait(client)

    def _wait(self, client: Client) -> None:
        assert isinstance(client, BrokerClient)
        client.set_wait()

    def _batch(self, messages: Sequence[_Message], last: int) -> Batch:
        rows: list[Row] = []
        numbers: list[int] = []
        ids: list[bytes] = []
        failures: list[ReadFailure] = []
        for message in messages:
            try:
                found = self._rows(message)
            except Bad as bad:
                raw = message.payload[:MAX_QUOTED]
                failures.append(ReadFailure(row=message.number, reason=str(bad), raw=raw))
                continue
            rows += found
            numbers += [message.number] * len(found)
            ids += [self._id(message, row, index) for index, row in enumerate(found)]
        topics = {message.topic for message in messages}
        with self._changed:
            window = self._window.position(last)
            subscribed = sorted(self._subscribed)
        value = {"series": self._series, "number": last, "window": window, "topics": subscribed}
        return Batch(
            records=record_batch(rows, self._context.columns),
            position=SourceCheckpoint(value=value),
            origin=next(iter(topics)) if len(topics) == 1 else f"{len(topics)} topics" if topics else "",
            rows=np.array(numbers, np.int64),
            failures=failures,
            ids=pa.array(ids, pa.binary()),
        )

    def _rows(self, message: _Message) -> list[Row]:
        """An object, each of an array of them, or a single value in the column `value`. Raises Bad."""
        if len(message.payload) > MAX_ROW:
            raise Bad("TOO_LARGE")
        try:
            found = parse(message.payload.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise Bad("BAD_ENCODING") from None
        items = found if isinstance(found, list) else [found if isinstance(found, dict) else {VALUE: found}]
        if not items or found is None or not all(isinstance(item, dict) for item in items):
            raise Bad("BAD_JSON")
        levels = dict(zip(self._spec.levels, message.topic.split("/"), strict=False))
        levels.pop("", None)
        extra: Row = {**levels, TOPIC: message.topic, RETAINED: "true" if message.retained else "false"}
        return [{**flatten(item), **extra} for item in items]

    def _id(self, message: _Message, row: Row, index: int) -> bytes:
        """What names a reading: what the device says, or its content where a broker keeps it, or its place in what came."""
        if self._spec.identity:
            return "\0".join(
                f"+{value}" if value is not None else "-" for value in map(row.get, self._spec.identity)
            ).encode()
        place = f"{message.topic}\0{message.digest}" if message.retained else f"{self._series}\0{message.number}"
        return f"{place}\0{index}".encode()

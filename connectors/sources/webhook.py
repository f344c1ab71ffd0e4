"""Source `webhook`: signed records that departments send by HTTP (class C: nobody can be asked for them again).

A sender is answered when its records are durable, and sends again until it is. So the id of each body and the body's digest
are remembered in the same append as its records: what comes again is known by them, over restarts and other workers (G4, F26).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event

import numpy as np
import pyarrow as pa

from connectors.context import SourceContext
from connectors.sources.objects import BYTES_AT_ONCE, ROWS_AT_ONCE, Bad, Row, flatten, parse, record_batch
from connectors.sources.push_specs import WebhookSpec
from connectors.sources.signatures import Signed, Verifier
from hub.errors import (
    ConfigurationInvalid,
    Conflict,
    DatongError,
    LimitExceeded,
    PushRefused,
    RateExceeded,
    SourceUnavailable,
)
from hub.model import Batch, Finding, Receipt, Report, SourceCheckpoint, Stream, Submission

IDLE_S = 0.5  # between two signs of life
STOP_S = 0.1  # how late `stop` may be seen
GATHER_S = 0.03  # what comes in so short a time is appended together
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
ID, TIMESTAMP = "@webhook-id", "@webhook-timestamp"  # columns beside the record's own
ENDED = "the connector stopped before this was durable"
TOO_MUCH = {"TOO_DEEP": "is nested too deep", "TOO_LARGE": "has too many members"}
BAD = {
    "BAD_JSON": "is not JSON",
    "BAD_ENCODING": "is not UTF-8",
    "DUPLICATE_MEMBER": "has a member twice in one object",
    "NOT_A_NUMBER": "has NaN or Infinity, which are not JSON",
}


@dataclass(frozen=True, kw_only=True)
class _Body:
    """What one request brought."""

    id: str
    digest: bytes
    rows: Sequence[Row]
    size: int
    number: int  # in the order of acceptance, over all runs
    pending: Future[Receipt]


class WebhookSource:
    """One connector's door. `receive` runs in the threads of requests, the rest in those of the run."""

    replayable = False
    repeats = True

    def __init__(
        self,
        spec: WebhookSpec,
        context: SourceContext,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        if context.mode == "snapshot":
            raise ConfigurationInvalid(
                "what is pushed is never the whole", where="publish.mode", remedy="use mode append or upsert"
            )
        self._spec, self._context, self._clock, self._ticks = spec, context, clock, ticks
        self._verifier: Verifier | None = None
        self._changed = threading.Condition()
        self._waiting: deque[_Body] = deque()  # accepted, not in a batch yet
        self._open: dict[str, _Body] = {}  # accepted, not durable yet; in order
        self._number = 0
        self._taking = self._closed = False
        self._allowance, self._counted = max(spec.per_second, 1.0), ticks()

    @property
    def max_bytes(self) -> int:
        """See `hub.ports.Door.max_bytes`."""
        return self._spec.body_bytes

    def check(self) -> Report:
        """Are there keys? What may come cannot be seen beforehand."""
        try:
            self._keys()
        except DatongError as error:
            return Report(findings=[Finding(name="keys", ok=False, detail=error.statement, remedy=error.remedy)])
        detail = f"{len(self._spec.keys)}; send to /api/v1/intake/{self._context.task}"
        return Report(findings=[Finding(name="keys", ok=True, detail=detail)])

    def discover(self) -> list[Stream]:
        """The columns that are declared. Raises SourceUnavailable when none are."""
        if not self._spec.columns:
            raise SourceUnavailable(
                "what will be pushed is not known before it comes",
                where="source.columns",
                remedy="name its columns there",
            )
        names = (*self._spec.columns, ID, TIMESTAMP)
        return [
            Stream(name=f"/api/v1/intake/{self._context.task}", columns=pa.schema([(n, pa.string()) for n in names]))
        ]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """What is pushed from now on, until `stop`. A body is whole in one batch, in the order of acceptance."""
        intake, self._verifier = self._context.running(), self._keys()
        last = self._number = int(after.value["received"]) if after is not None else 0
        with self._changed:
            self._taking = not self._closed
        intake.open(self._context.task, self)
        try:
            while not stop.is_set() and not self._closed:
                bodies = self._take(stop)
                last = bodies[-1].number if bodies else last
                yield self._batch(bodies, last)
        finally:
            self.close()

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """Answer all up to there."""
        durable = int(position.value["received"])
        with self._changed:
            done = [body for body in self._open.values() if body.number <= durable]
            for body in done:
                del self._open[body.id]
        for body in done:
            body.pending.set_result(Receipt(records=len(body.rows)))

    def close(self) -> None:
        """Take nothing more; whoever waits is told to send again."""
        if self._context.intake is not None:
            self._context.intake.close(self._context.task, self)
        with self._changed:
            self._closed, self._taking = True, False
            left = list(self._open.values())
            self._open.clear()
            self._waiting.clear()
            self._changed.notify_all()
        for body in left:
            body.pending.set_exception(SourceUnavailable(ENDED, remedy="send it again with the same id"))

    def receive(self, submission: Submission) -> Future[Receipt]:
        """See `hub.ports.Door.receive`."""
        if self._verifier is None:
            raise SourceUnavailable("the connector does not run yet", remedy="send it again in a while")
        signed = self._verifier.verify(submission.headers, submission.body, self._clock())
        rows = self._rows(submission, signed)
        digest = hashlib.blake2b(submission.body, digest_size=16).digest()
        with self._changed:  # of one id, only one gets past this at a time
            if not self._taking:
                raise SourceUnavailable(ENDED, remedy="send it again in a while")
            return self._known(signed.id, digest, rows) or self._accept(signed.id, digest, rows, len(submission.body))

    def _known(self, name: str, digest: bytes, rows: Sequence[Row]) -> Future[Receipt] | None:
        """What came before under this id. Raises Conflict when that was another body."""
        before = self._open.get(name)
        if before is not None:
            met, same = True, before.digest == digest
        else:
            met, same = self._context.remembered(_names(name, digest))
        if not met:
            return None
        if not same:
            raise Conflict(
                "this webhook-id was used for another body in the last 72 hours",
                remedy="give each body an id of its own",
            )
        if before is not None:
            return before.pending
        again: Future[Receipt] = Future()
        again.set_result(Receipt(records=len(rows), again=True))
        return again

    def _accept(self, name: str, digest: bytes, rows: Sequence[Row], size: int) -> Future[Receipt]:
        if len(self._open) >= self._spec.waiting:
            raise RateExceeded("too much waits for the log already", remedy="send it again in a while")
        self._spend()
        self._number += 1
        body = _Body(id=name, digest=digest, rows=rows, size=size, number=self._number, pending=Future())
        body.pending.set_running_or_notify_cancel()  # nobody cancels it: several may wait for it
        self._open[name] = body
        self._waiting.append(body)
        self._changed.notify_all()
        return body.pending

    def _spend(self) -> None:
        """One body of the allowance, which holds what a second brings. Raises RateExceeded."""
        now, most = self._ticks(), max(self._spec.per_second, 1.0)
        self._allowance = min(most, self._allowance + (now - self._counted) * self._spec.per_second)
        self._counted = now
        if self._allowance < 1:
            raise RateExceeded(
                f"more than {self._spec.per_second:g} bodies a second", remedy="send several records in one body"
            )
        self._allowance -= 1

    def _take(self, stop: Event) -> list[_Body]:
        """What waits, and what comes within a moment; nothing when nothing comes for a while."""
        deadline = time.monotonic() + IDLE_S
        with self._changed:
            while not self._waiting and not self._closed and not stop.is_set() and time.monotonic() < deadline:
                self._changed.wait(STOP_S)
            if self._waiting:
                self._changed.wait_for(lambda: self._closed, GATHER_S)
            taken: list[_Body] = []
            rows = size = 0
            while self._waiting and (not taken or (rows < ROWS_AT_ONCE and size < BYTES_AT_ONCE)):
                taken.append(self._waiting.popleft())
                rows, size = rows + len(taken[-1].rows), size + taken[-1].size
            return taken

    def _batch(self, bodies: Sequence[_Body], last: int) -> Batch:
        rows = [row for body in bodies for row in body.rows]
        numbers = [number for body in bodies for number in range(1, len(body.rows) + 1)]
        ids = [_row_id(body.id, index) for body in bodies for index in range(len(body.rows))]
        return Batch(
            records=record_batch(rows, self._context.columns),
            position=SourceCheckpoint(value={"received": last}),
            origin=bodies[0].id if len(bodies) == 1 else f"{len(bodies)} bodies" if bodies else "",
            rows=np.array(numbers, np.int64),
            ids=pa.array(ids, pa.binary()),
            remember=[name for body in bodies for name in _names(body.id, body.digest)],
        )

    def _rows(self, submission: Submission, signed: Signed) -> list[Row]:
        """Raises PushRefused, LimitExceeded."""
        media = submission.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            text = submission.body.decode("utf-8-sig")
            found = [parse(line) for line in text.split("\n") if line.strip()] if media in LINES else parse(text)
            items = found if isinstance(found, list) else [found]
            if not items or not all(isinstance(item, dict) for item in items):
                raise PushRefused(
                    "the body holds no records",
                    remedy="send an object, an array of objects, or NDJSON by its media type",
                )
            if len(items) > self._spec.records:
                raise LimitExceeded(
                    f"more than {self._spec.records:,} records in one body", remedy="send fewer at once"
                )
            extra: Row = {ID: signed.id, TIMESTAMP: signed.timestamp}
            return [{**flatten(item), **extra} for item in items]
        except UnicodeDecodeError:
            raise PushRefused(f"the body {BAD['BAD_ENCODING']}", remedy="send UTF-8") from None
        except Bad as bad:
            reason = str(bad)
            if reason in TOO_MUCH:
                raise LimitExceeded(f"a record {TOO_MUCH[reason]}", remedy="send flatter records") from None
            raise PushRefused(f"the body {BAD[reason]}", remedy="send JSON as RFC 8259 has it") from None

    def _keys(self) -> Verifier:
        return Verifier([self._context.secret(key) for key in self._spec.keys])


def _names(name: str, digest: bytes) -> tuple[bytes, bytes]:
    """What is remembered of a body: that its id was used, and for what."""
    return name.encode(), name.encode() + b"\0" + digest


def _row_id(name: str, index: int) -> bytes:
    return b"%s\0%d" % (name.encode(), index)

"""Read a topic as a subscribing agency: records as dicts, at least once, from where the group's last commit stands."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

import httpx

from hub.client.http import READER_HEADER, GroupApi, Retrying
from hub.errors import Conflict, OffsetOutOfRange

Row = dict[str, Any]
FOLLOW_WAIT_MS = 5_000  # how long the hub holds a request while there is nothing new
HTTP_TIMEOUT = 60.0  # seconds
MAX_RECORDS = 1_000  # per batch


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Records that were deleted by retention before this group read them: `from_offset` … `earliest` - 1."""

    partition: int
    from_offset: int
    earliest: int


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The grant's fields or row filter changed: what follows starts again at the earliest record."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One answer of the hub."""

    records: list[Row]  # each with `_offset` and `_partition`; on keyed topics `_op`: upsert or delete
    positions: Mapping[int, int]  # what a commit of the whole batch stores
    gaps: tuple[Gap, ...]
    reset: bool
    lag: int  # offsets from here to the end of the topic
    schema_id: int  # of the records, in the hub's registry
    grant: str


class Options(TypedDict, total=False):
    """What may be said besides where to read."""

    follow: bool  # wait for new records for ever instead of ending at the end of the topic
    from_beginning: bool  # move the cursor to the earliest record first
    max_records: int  # per batch
    auto_commit: bool  # commit each batch when the next is asked for, and the rest on leaving without error
    grant: str  # which one, when several grants allow this topic
    client: httpx.Client  # to use instead of a new one; it keeps its own base URL, headers are added per request
    retrying: Retrying


def subscribe(url: str, topic: str, token: str, group: str = "default", **options: Unpack[Options]) -> Subscription:
    """A subscription to use as a context manager. Nothing is sent before it is entered."""
    return Subscription(url, topic, token, group, options)


class Subscription:
    """One reader of one group. Iterating it gives records; it is not thread-safe.

    Entering and every later step raise GroupBusy while another reader holds the group, NotAuthenticated, NotFound when
    there is no such topic for this agency, SourceUnavailable when the hub does not answer.
    """

    def __init__(self, url: str, topic: str, token: str, group: str, options: Options) -> None:
        self._options = options
        self._auto_commit = options.get("auto_commit", True)
        self._own = "client" not in options
        self._client = options["client"] if "client" in options else httpx.Client(base_url=url, timeout=HTTP_TIMEOUT)
        headers = {"Authorization": f"Bearer {token}", READER_HEADER: str(uuid.uuid4())}
        self._api = GroupApi(self._client, headers, (topic, group), options.get("retrying", Retrying()))
        self._pending: dict[int, int] = {}  # handed out and not yet committed
        self._committed: Mapping[int, int] = {}
        self._told: set[Gap | Reset] = set()  # raised by `__iter__` since the last commit
        self.lag = 0
        """Offsets to the end of the topic, as of the hub's last answer."""

    def __enter__(self) -> Subscription:
        if self._options.get("from_beginning"):
            self.seek("earliest")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._auto_commit:
                    self.commit()
                self._api.leave()
        finally:
            if self._own:
                self._client.close()

    def __iter__(self) -> Iterator[Row]:
        """Records. A gap raises OffsetOutOfRange and a reset Conflict, each once: iterating again goes on behind it.
        `items` gives them as values instead."""
        for item in self.items():
            if isinstance(item, dict):
                yield item
            elif item not in self._told:
                self._told.add(item)
                raise _as_error(item)

    def items(self, limit: int | None = None) -> Iterator[Row | Gap | Reset]:
        """Records, at most `limit`, with gaps and resets where they are."""
        left = limit
        for batch in self._batches(limit) if limit is None or limit > 0 else ():
            self._pending = {}
            if batch.reset:
                yield Reset()
            yield from batch.gaps
            for record in batch.records[:left]:
                self._pending[record["_partition"]] = record["_offset"] + 1
                yield record
            if left is not None:
                left -= len(batch.records)
                if left <= 0:
                    return
            if self._auto_commit or not self._pending:
                self._commit(batch.positions)

    def batches(self) -> Iterator[Batch]:
        """Whole answers. Asking for the next one commits the last. With `auto_commit` off, `commit` must come first:
        the hub repeats a batch until it is committed. Forgetting it raises Conflict."""
        return self._batches(None)

    def commit(self) -> None:
        """Store what was handed out so far as read. Raises Conflict when the grant changed meanwhile."""
        if self._pending:
            self._commit(self._pending)

    def seek(self, to: Literal["earliest", "latest"] | Mapping[int, int]) -> None:
        """Move the group's cursor; takes effect with the next batch. Raises OffsetOutOfRange."""
        answer = self._api.seek(to)
        self._pending, self._committed = {}, {}
        self.lag = int(answer.get("lag", self.lag))

    def _batches(self, room: int | None) -> Iterator[Batch]:
        while True:
            batch = self._fetch(room)
            if batch.records or batch.gaps or batch.reset:
                self._pending = dict(batch.positions)
                yield batch
                if self._pending and not self._auto_commit:
                    raise Conflict(
                        "the last batch was not committed", remedy="call commit() before asking for the next"
                    )
                self.commit()
            else:
                self._commit(batch.positions)
                if not batch.lag and not self._options.get("follow"):
                    return

    def _fetch(self, room: int | None) -> Batch:
        most = self._options.get("max_records", MAX_RECORDS)
        params = {"max_records": most if room is None else min(most, room)}
        params["timeout_ms"] = FOLLOW_WAIT_MS if self._options.get("follow") else 0
        grant = self._options.get("grant")
        batch = _batch(self._api.records(params if grant is None else {**params, "grant": grant}))
        self.lag = batch.lag
        return batch

    def _commit(self, positions: Mapping[int, int]) -> None:
        if positions != self._committed:
            answer = self._api.commit(positions)
            self._committed = dict(positions)
            self.lag = int(answer.get("lag", self.lag))
        self._pending = {}
        self._told.clear()


def _batch(answer: Mapping[str, Any]) -> Batch:
    gaps = (Gap(partition=g["partition"], from_offset=g["from"], earliest=g["earliest"]) for g in answer["gaps"])
    return Batch(
        records=answer["records"],
        positions={int(partition): position for partition, position in answer["positions"].items()},
        gaps=tuple(gaps),
        reset=answer["reset"],
        lag=answer["lag"],
        schema_id=answer["schema_id"],
        grant=answer["grant"],
    )


def _as_error(item: Gap | Reset) -> OffsetOutOfRange | Conflict:
    if isinstance(item, Reset):
        return Conflict("the grant changed: what follows starts again at the earliest record", remedy="iterate again")
    lost = f"offsets {item.from_offset} to {item.earliest - 1} of partition {item.partition}"
    return OffsetOutOfRange(f"{lost} were deleted before they were read", earliest=item.earliest)

"""Read a topic as a subscribing agency, at least once, from where the group's last commit stands: records as dicts, as Arrow
tables, or answers as they come."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import unquote

import httpx

from hub.client.http import READER_HEADER, GroupApi, Retrying, bearer
from hub.errors import Conflict, DatongError, OffsetOutOfRange

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
T = TypeVar("T", bound="Told")
JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
FOLLOW_WAIT_MS = 5_000  # how long the hub holds a request while there is nothing new
HTTP_TIMEOUT = 60.0  # seconds
MAX_RECORDS = 1_000  # per batch of dicts
MAX_COLUMNS = 10_000  # per batch in other forms


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
class Told:
    """What the hub says of the records in an answer."""

    positions: Mapping[int, int]  # what a commit of the whole answer stores
    count: int  # records
    gaps: tuple[Gap, ...]
    reset: bool
    lag: int  # offsets from here to the end of the topic
    schema_id: int  # of the records, in the hub's registry
    grant: str


@dataclass(frozen=True, kw_only=True)
class Batch(Told):
    """One answer of the hub."""

    records: list[Row]  # each with `_offset` and `_partition`; on keyed topics `_op`: upsert or delete


@dataclass(frozen=True, kw_only=True)
class ArrowBatch(Told):
    """One answer of the hub, in columns."""

    records: pa.Table  # columns `_offset` and `_partition`, on keyed topics `_op`, then the grant's fields


@dataclass(frozen=True, kw_only=True)
class Answer(Told):
    """One answer of the hub as it came."""

    content: bytes


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
        headers = {"Authorization": bearer(token), READER_HEADER: str(uuid.uuid4())}
        self._options = options
        self._auto_commit = options.get("auto_commit", True)
        self._own = "client" not in options
        self._client = options["client"] if "client" in options else httpx.Client(base_url=url, timeout=HTTP_TIMEOUT)
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
            if kind is None and self._auto_commit:
                self.commit()
        finally:
            with contextlib.suppress(DatongError):  # it runs out by itself after a minute
                self._api.leave()
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
        for batch in self._rounds(self._rows, limit):
            self._pending = {}
            if batch.reset:
                yield Reset()
            yield from batch.gaps
            for record in batch.records:
                self._pending[record["_partition"]] = record["_offset"] + 1
                yield record
            if self._auto_commit or not self._pending:
                self._commit(batch.positions)

    def batches(self) -> Iterator[Batch]:
        """Whole answers. Asking for the next one commits the last. With `auto_commit` off, `commit` must come first:
        the hub repeats a batch until it is committed. Forgetting it raises Conflict."""
        return self._rounds(self._rows, None)

    def arrow(self, limit: int | None = None) -> Iterator[ArrowBatch]:
        """Whole answers as Arrow tables, as they travel; committed as those of `batches`. Needs pyarrow."""
        return self._rounds(self._table, limit)

    def answers(self, media_type: str, limit: int | None = None) -> Iterator[Answer]:
        """Whole answers in any form that the hub has, as they came; committed as those of `batches`. The first one comes
        though it may have no records: an Arrow stream or a container file without records still has its schema."""
        return self._rounds(lambda room: self._raw(media_type, room), limit, first=True)

    def commit(self) -> None:
        """Store what was handed out so far as read. Raises Conflict when the grant changed meanwhile."""
        if self._pending:
            self._commit(self._pending)

    def seek(self, to: Literal["earliest", "latest"] | Mapping[int, int]) -> None:
        """Move the group's cursor; takes effect with the next batch. Raises OffsetOutOfRange."""
        answer = self._api.seek(to)
        self._pending, self._committed = {}, {}
        self.lag = int(answer.get("lag", self.lag))

    def _rounds(self, fetch: Callable[[int | None], T], limit: int | None, *, first: bool = False) -> Iterator[T]:
        """Answers that say something, of at most `limit` records together."""
        left = limit
        while left is None or left > 0:
            told = fetch(left)
            self.lag = told.lag
            if told.count or told.gaps or told.reset or first:
                self._pending = dict(told.positions)
                yield told
                if self._pending and not self._auto_commit:
                    raise Conflict(
                        "the last batch was not committed", remedy="call commit() before asking for the next"
                    )
                self.commit()
            else:
                self._commit(told.positions)
            first = False
            if not told.count and not told.lag and not self._options.get("follow"):
                return
            if left is not None:
                left -= told.count

    def _rows(self, room: int | None) -> Batch:
        response = self._fetch(JSON, room, MAX_RECORDS)
        return Batch(records=response.json()["records"], **_told(response))

    def _table(self, room: int | None) -> ArrowBatch:
        import pyarrow as pa

        response = self._fetch(ARROW, room, MAX_COLUMNS)
        return ArrowBatch(records=pa.ipc.open_stream(response.content).read_all(), **_told(response))

    def _raw(self, media_type: str, room: int | None) -> Answer:
        response = self._fetch(media_type, room, MAX_COLUMNS)
        return Answer(content=response.content, **_told(response))

    def _fetch(self, media_type: str, room: int | None, usual: int) -> httpx.Response:
        most = self._options.get("max_records", usual)
        params: dict[str, str | int] = {"max_records": most if room is None else min(most, room)}
        params["timeout_ms"] = FOLLOW_WAIT_MS if self._options.get("follow") else 0
        if "grant" in self._options:
            params["grant"] = self._options["grant"]
        return self._api.records(params, media_type)

    def _commit(self, positions: Mapping[int, int]) -> None:
        if positions != self._committed:
            answer = self._api.commit(positions)
            self._committed = dict(positions)
            self.lag = int(answer.get("lag", self.lag))
        self._pending = {}
        self._told.clear()


def _told(response: httpx.Response) -> dict[str, Any]:
    """What stands in the headers of an answer of any form."""

    def of(name: str) -> Any:
        return json.loads(response.headers[f"X-Datong-{name}"])

    gaps = (Gap(partition=g["partition"], from_offset=g["from"], earliest=g["earliest"]) for g in of("Gaps"))
    return {
        "positions": {int(partition): position for partition, position in of("Positions").items()},
        "count": of("Records"),
        "gaps": tuple(gaps),
        "reset": of("Reset"),
        "lag": of("Lag"),
        "schema_id": of("Schema-Id"),
        "grant": unquote(response.headers["X-Datong-Grant"]),
    }


def _as_error(item: Gap | Reset) -> OffsetOutOfRange | Conflict:
    if isinstance(item, Reset):
        return Conflict("the grant changed: what follows starts again at the earliest record", remedy="iterate again")
    lost = f"offsets {item.from_offset} to {item.earliest - 1} of partition {item.partition}"
    return OffsetOutOfRange(f"{lost} were deleted before they were read", earliest=item.earliest)

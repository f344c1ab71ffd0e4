"""Which messages a broker has given, which are durable, and which may be acknowledged: QoS 1 made exact (F25).

A broker sends a message again, under the same packet identifier and marked DUP, until it has the acknowledgement (MQTT 5
section 4.4). Acknowledgements leave in the order of arrival (section 4.6), so what may come again is among the last messages:
their identifiers and digests are part of the source's position, and what comes again after a crash is known by them. Equal
readings that were sent twice come without DUP, and are two.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGEST_BYTES = 8  # of one of a few hundred messages


@dataclass
class _Seen:
    number: int  # in the order of arrival, over all runs
    mid: int  # packet identifier; 0 = QoS 0, which nobody acknowledges
    digest: str
    connection: int  # the one on which it came last: only there it may be acknowledged
    empty: bool  # holds no row, so no append carries it


class Window:
    """Pure: neither clock nor network. Not thread-safe."""

    def __init__(self, keep: int, number: int = 0, entries: Sequence[Sequence[Any]] = ()) -> None:
        """`number` and `entries` as `position` gave them with the last append."""
        self._keep = keep
        self.number = self._durable = self._settled = number
        self._seen: OrderedDict[int, _Seen] = OrderedDict(
            (int(mid), _Seen(number=number, mid=int(mid), digest=str(digest), connection=0, empty=False))
            for mid, digest in entries
        )
        self._open: deque[_Seen] = deque()
        self._due: list[int] = []
        self._connection = 0

    def connected(self, *, session: bool) -> None:
        """A connection stands. Without a session the broker begins anew: its identifiers mean other messages."""
        self.disconnected()
        if not session:
            self._seen.clear()

    def disconnected(self) -> None:
        """What was not acknowledged comes again."""
        self._connection += 1
        self._due.clear()

    def arrived(self, mid: int, digest: str, *, dup: bool, empty: bool) -> int | None:
        """The number of a message; None: it was here before, and is acknowledged when it is durable."""
        before = self._seen.get(mid) if mid and dup else None
        if before is not None and before.digest == digest:
            before.connection = self._connection
            if before.number <= self._settled:
                self._due.append(mid)
            return None
        self.number += 1
        seen = _Seen(number=self.number, mid=mid, digest=digest, connection=self._connection, empty=empty)
        self._open.append(seen)
        if mid:
            self._seen[mid] = seen
            self._seen.move_to_end(mid)
        self._settle()
        return self.number

    def durable(self, number: int) -> None:
        """All messages up to this one are."""
        self._durable = max(self._durable, number)
        self._settle()

    def due(self) -> list[int]:
        """Packet identifiers to acknowledge now, in order; each is told once."""
        due, self._due = self._due, []
        return due

    def position(self, number: int) -> list[list[Any]]:
        """What to keep of the messages up to this one."""
        return [[seen.mid, seen.digest] for seen in self._seen.values() if seen.number <= number][-self._keep :]

    def _settle(self) -> None:
        while self._open and (self._open[0].empty or self._open[0].number <= self._durable):
            seen = self._open.popleft()
            self._settled = seen.number
            if seen.mid and seen.connection == self._connection:
                self._due.append(seen.mid)
        while len(self._seen) > self._keep and next(iter(self._seen.values())).number <= self._settled:
            self._seen.popitem(last=False)


def digest_of(topic: str, payload: bytes) -> str:
    """Of a message."""
    return hashlib.blake2b(topic.encode() + b"\0" + payload, digest_size=DIGEST_BYTES).hexdigest()

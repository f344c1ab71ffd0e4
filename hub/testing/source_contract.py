"""What every kind of source promises (hub/ports.py), as tests: subclass `SourceContract` and give it your source.

    class TestMyKind(SourceContract):
        rows = 5_000

        @pytest.fixture
        def make(self, tmp_path):
            prepare(tmp_path, self.rows)          # exactly so many rows, each with an own value in `identifier`
            def build(mode="upsert", *, columns=None):
                context = SourceContext(task="t", root=tmp_path, mode=mode, columns=columns)
                return MySource(MySpec(kind="mine", ...), context)
            return build

Needs pytest. A kind that passes can be trusted by the pipeline: nothing lost, positions that hold, an end to everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from hub.errors import Retry
from hub.model import Batch
from hub.ports import Source

Make = Callable[..., Source]


class SourceContract:
    """Tests for one kind. `make` is a fixture of the subclass: it builds a fresh source on the same prepared system."""

    rows = 25_000
    """Rows that the prepared system has; more than a few thousand, so that there is more than one batch."""

    identifier = "id"
    """A column with another value in each row."""

    def test_check_and_discover_change_nothing_and_name_columns(self, make: Make) -> None:
        source = make()
        assert source.check().ok
        (stream,) = source.discover()
        assert self.identifier in stream.columns.names
        assert isinstance(source.replayable, bool)
        assert isinstance(source.repeats, bool)
        source.close()

    def test_all_rows_once_in_batches_of_a_bounded_size(self, make: Make) -> None:
        batches = list(make().batches(None, Event()))
        assert sum(b.records.num_rows for b in batches) == self.rows
        assert max(b.records.num_rows for b in batches) <= 30_000
        assert max(b.records.nbytes for b in batches) <= 8 * 1024 * 1024
        ids = [str(i) for b in batches for i in b.records.column(self.identifier).to_pylist()]
        assert len(set(ids)) == self.rows

    def test_going_on_from_any_checkpoint_loses_nothing(self, make: Make) -> None:
        """A source that can be read again exactly gives the rest; another one may give rows again, never too few."""
        source = make()
        seen: set[str] = set()
        count = 0
        for batch in source.batches(None, Event()):
            count += batch.records.num_rows
            seen.update(str(i) for i in batch.records.column(self.identifier).to_pylist())
            rest = [str(i) for b in make().batches(batch.position, Event()) for i in self._ids(b)]
            assert len(seen.union(rest)) == self.rows
            assert count + len(rest) == self.rows or not source.replayable

    def test_R13_only_the_wanted_columns_are_delivered_and_all_are_named(self, make: Make) -> None:
        source = make(columns=frozenset({self.identifier}))
        batch = next(iter(source.batches(None, Event())))
        assert batch.records.schema.names == [self.identifier]
        assert set(batch.columns) == set(source.discover()[0].columns.names)

    def test_acknowledge_and_close_may_be_repeated(self, make: Make) -> None:
        source = make()
        batch = next(iter(source.batches(None, Event())))
        source.acknowledge(batch.position)
        source.acknowledge(batch.position)
        source.close()
        source.close()

    def test_stop_ends_soon_and_without_completeness(self, make: Make) -> None:
        stop = Event()
        found = []
        for batch in make("snapshot").batches(None, stop):
            found.append(batch)
            stop.set()
        assert len(found) <= 2
        assert not any(b.complete for b in found)

    def test_close_from_another_thread(self, make: Make) -> None:
        source = make()
        iterator = iter(source.batches(None, Event()))
        next(iterator)
        closer = threading.Thread(target=source.close)
        closer.start()
        closer.join(10)
        assert not closer.is_alive()
        deadline = time.monotonic() + 30
        with suppress(Retry):  # it ends, or says that it could not go on
            for _batch in iterator:
                assert time.monotonic() < deadline

    def test_a_snapshot_says_when_it_is_complete(self, make: Make) -> None:
        batches = list(make("snapshot").batches(None, Event()))
        assert [b.complete for b in batches] == [False] * (len(batches) - 1) + [True]

    def _ids(self, batch: Batch) -> list[Any]:
        return batch.records.column(self.identifier).to_pylist() if batch.records.num_rows else []

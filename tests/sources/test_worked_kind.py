"""The worked kind of docs/how-to/write-a-source.md passes the acceptance kit, as a third party's would."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from connectors.context import SourceContext
from examples.kinds import fixed_width
from examples.kinds.fixed_width import FixedWidthSource, FixedWidthSpec
from hub.model import Mode
from hub.testing import SourceContract
from hub.testing.source_contract import Make


class TestFixedWidth(SourceContract):
    rows = 25_000

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        (tmp_path / "f.txt").write_text("".join(f"{i:08}{'x' * 20}\n" for i in range(self.rows)))

        def build(mode: Mode = "upsert", *, columns: frozenset[str] | None = None) -> FixedWidthSource:
            spec = FixedWidthSpec(kind="fixed_width", path="f.txt", columns={"id": 8, "name": 20})
            return FixedWidthSource(spec, SourceContext(task="t", root=tmp_path, mode=mode, columns=columns))

        return build


def test_a_bad_line_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(b"1 a\n22b\ntoo long\n\xff\xfex\n3 c\n")
    spec = FixedWidthSpec(kind="fixed_width", path="f.txt", columns={"id": 2, "name": 1})
    (batch,) = FixedWidthSource(spec, SourceContext(task="t", root=tmp_path, mode="append")).batches(None, Event())
    assert batch.records.to_pylist() == [{"id": "1", "name": "a"}, {"id": "22", "name": "b"}, {"id": "3", "name": "c"}]
    assert [(f.row, f.reason) for f in batch.failures] == [(3, "COLUMN_COUNT"), (4, "BAD_ENCODING")]


def test_it_is_as_short_as_the_page_says() -> None:
    lines = Path(fixed_width.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120

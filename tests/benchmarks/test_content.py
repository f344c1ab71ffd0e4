"""The benchmark compares like with like: the hub and the row-by-row way log the same. Never how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pipeline, subjects, workload
from benchmarks.subjects import Bench, Measured

ROWS = 20_000


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("workload") / "extract.csv"
    workload.write_rows(made, ROWS)
    return made


@pytest.mark.parametrize("sink", ["sqlite", "null"])
def test_the_hub_and_the_row_by_row_way_log_the_same(sink: str, extract: Path, tmp_path: Path) -> None:
    bench = Bench.of(sink, tmp_path, lambda _rows: extract, peers={})
    content = pipeline.check_content(bench, ROWS)
    assert content["equal"]
    assert content["accepted"] + content["rejected"] == ROWS
    assert 0.003 < content["rejected"] / ROWS < 0.008


def test_other_content_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One record less on one side, or the same number with another hash."""
    same = Measured(rows=9, wall_s=1, cpu_s=1, rss_mb=1, accepted=8, rejected=1, hash="aa")
    bench = Bench.of("null", tmp_path, lambda _rows: tmp_path, peers={})
    for other in ({"accepted": 7}, {"rejected": 2}, {"hash": "ab"}):
        different = Measured(**{**same.__dict__, **other})
        monkeypatch.setattr(subjects, "hub", lambda *_a, **_k: same)
        monkeypatch.setattr(subjects, "rows_tuned", lambda *_a, made=different, **_k: made)
        with pytest.raises(pipeline.ContentDiffers):
            pipeline.check_content(bench, 9)


def test_the_workload_is_the_same_for_the_same_seed(extract: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.csv"
    workload.write_rows(again, ROWS)
    assert again.read_bytes() == extract.read_bytes()
    assert 140 < extract.stat().st_size / ROWS < 152

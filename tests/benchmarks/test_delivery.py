"""The benchmark of deliveries compares like with like: every form and the row-by-row way say the same. Never how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import delivery
from benchmarks.pipeline import ContentDiffers
from benchmarks.rounds import Measured, Outcome

ROWS = 5_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return delivery.publish(tmp_path_factory.mktemp("delivery") / "project", ROWS)


def test_every_form_and_the_row_by_row_way_say_the_same(project: Path) -> None:
    content = delivery.check_content(project)
    assert content["equal"]
    assert 0.2 < content["delivered"] / ROWS < 0.5


def test_other_content_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One record less in one form, or the same number with another hash, or nothing at all."""
    same = {"delivered": 8, "hash": "a"}
    every = {name: same for name in delivery.ABOUT}  # noqa: C420
    nothing = {name: {"delivered": 0, "hash": "a"} for name in every}
    less, different = {"delivered": 7, "hash": "a"}, {"delivered": 8, "hash": "b"}
    for said in ({**every, "csv": less}, {**every, "answers-ndjson": different}, nothing):
        monkeypatch.setattr(delivery, "tallies", lambda _project, said=said: said)
        with pytest.raises(ContentDiffers):
            delivery.check_content(tmp_path)


def test_the_ratios_are_of_the_cpu_time_of_each_record_read() -> None:
    def ran(rows: int, cpu_s: float) -> Measured:
        return Measured(rows=rows, wall_s=9.0, cpu_s=cpu_s, rss_mb=1.0, accepted=50, rejected=50, bytes_out=500)

    runs = {name: [ran(100, 1.0), ran(100, 2.0), ran(100, 30.0)] for name in delivery.ABOUT}
    runs[delivery.REFERENCE] = [ran(50, 10.0), ran(50, 10.0), ran(50, 90.0)]
    found = delivery.report(100, 3, {"equal": True}, Outcome(runs=runs))
    assert found["ratios"]["vs_rows"] == found["ratios"]["answers_vs_rows"] == 10.0
    assert found["us_per_record"] == 90_000.0

"""docs/benchmarks.md is what the kept results say, and says which goals they meet."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.charts import Bar, bars, flame
from benchmarks.goals import GOALS, MEANINGS
from benchmarks.pipeline import Options, report
from benchmarks.rounds import Measured, Outcome, interleave

HELD = page.rendered()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", HELD)
def test_a_file_is_what_the_results_give(name: str) -> None:
    assert (page.DOCS / name).read_text(encoding="utf-8") == HELD[name], "run `python3 dev.py bench report`"


def test_no_chart_is_left_without_its_result() -> None:
    charts = {f"benchmarks/{file.name}" for file in (page.DOCS / "benchmarks").glob("*.svg")}
    assert charts == HELD.keys() - {"benchmarks.md"}


def test_every_goal_has_a_meaning_and_a_section() -> None:
    assert [goal.figure for goal in GOALS if goal.figure not in MEANINGS] == []
    assert {goal.result for goal in GOALS} <= page.TITLES.keys()


def measured(us: float, rows: int = 1000) -> Measured:
    seconds = us * rows / 1e6
    return Measured(rows=rows, wall_s=seconds, cpu_s=seconds, rss_mb=100, accepted=rows - 5, rejected=5)


def outcome(**us: float) -> Outcome:
    names = {"rows_tuned": "rows-tuned", "start_up": "start-up", "ten": "hub, ten times the rows"}
    return Outcome(runs={names.get(name, name): [measured(value)] * 3 for name, value in us.items()})


def result(found: Outcome, **changes: Any) -> Mapping[str, Any]:
    options = Options(**{"rows": 1000, "sink": "kafka", **changes})
    return report(options, {"rows": 9, "accepted": 8, "rejected": 1, "hash": "ab", "equal": True}, found)


def test_ratios_are_the_others_time_by_the_hubs_and_what_lacks_says_why() -> None:
    found = result(outcome(hub=4.0, rows_tuned=40.0, bytewax=24.0, quixstreams=20.0, start_up=1.0))
    assert found["ratios"]["vs_rows_tuned"] == 10
    assert found["ratios"]["vs_best_python_peer"] == 5
    assert found["ratios"]["vs_best_python_peer_running"] == round(20 / 3, 3)
    for missing in ("vs_confluent_produce", "two_cores", "memory_10x", "cost_10x", "cpu_vs_warm_connect"):
        assert found["ratios"][missing] is None
        assert found["reasons"][missing]
    assert not {"vs_rows_tuned", "vs_best_python_peer"} & found["reasons"].keys()


def test_a_page_says_what_is_met_missed_and_not_done(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    found = outcome(hub=4.0, rows_tuned=39.0, bytewax=24.0, start_up=1.0, ten=4.1)
    found.failures["pathway"] = "not\ninstalled"
    made = dict(result(found))
    made["machine"] = {**made["machine"], "load": 1.0}
    file = page.keep(made, tmp_path)
    assert file == tmp_path / "benchmarks/pipeline-kafka.json"
    text = page.rendered(tmp_path)["benchmarks.md"]
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "| 9.75 | **missed** |" in next(line for name, line in lines.items() if "row by row]" in name)
    assert "| 6 | met |" in next(line for name, line in lines.items() if "fastest Python peer]" in name)
    assert "| – | not measured |" in next(line for name, line in lines.items() if "ready bytes]" in name)
    assert "rejects only counted" in lines["bytewax"]
    assert "- **pathway** gave no figure: not installed" in text
    assert "8 accepted and 1 rejected of 9 rows" in text


@pytest.mark.parametrize(("load", "rounds", "doubted"), [(1.9, 3, False), (9.0, 3, True), (1.9, 1, True)])
def test_figures_of_a_busy_machine_or_of_few_rounds_are_called_preliminary(
    load: float, rounds: int, doubted: bool, tmp_path: Path
) -> None:
    (tmp_path / "benchmarks").mkdir()
    made = {**result(outcome(hub=4.0, rows_tuned=4.0, start_up=1.0)), "rounds": rounds}
    made["machine"] = {**made["machine"], "load": load, "cores": 2}
    page.keep(made, tmp_path)
    text = page.rendered(tmp_path)["benchmarks.md"]
    assert ("Preliminary" in text) is doubted
    assert ("**missed**, preliminary" in text) is doubted


def test_charts_are_removed_with_their_results(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    file = page.keep(result(outcome(hub=4.0, start_up=1.0)), tmp_path)
    chart = file.with_suffix(".svg")
    assert chart in page.write(tmp_path)
    assert chart.exists()
    file.unlink()
    page.write(tmp_path)
    assert not chart.exists()


def test_bars_are_as_long_as_their_values() -> None:
    drawn = ET.fromstring(bars("A & B", "µs", [Bar(name="<fast>", wall=2, cpu=1), Bar(name="slow", wall=8, cpu=4)]))
    widths = [float(r.get("width", 0)) for r in drawn.iter(f"{SVG}rect") if r.get("height") == "11"]
    assert [round(width / widths[1], 1) for width in widths] == [2, 1, 8, 4]
    assert "<fast>" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_frames_are_as_wide_as_their_samples_and_stand_on_their_callers() -> None:
    calls = {"hub|run": [90, {"arrow|arrow": [60, {}], "hub|loop": [30, {}]}], "python|other": [10, {}]}
    drawn = ET.fromstring(flame("where", calls))
    frames = {}
    for group in drawn.iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        frames[title.text] = (float(rect.get("width", 0)) + 0.4, float(rect.get("y", 0)))
    assert {name: round(width / 12) for name, (width, _y) in frames.items()} == {
        "run 90.0%": 90,
        "arrow 60.0%": 60,
        "loop 30.0%": 30,
        "other 10.0%": 10,
    }
    assert frames["arrow 60.0%"][1] < frames["run 90.0%"][1] == frames["other 10.0%"][1]


def test_a_subject_that_fails_is_left_out_with_its_last_words() -> None:
    from benchmarks.measure import SubjectFailed

    calls: list[str] = []

    def fails() -> Measured:
        calls.append("fails")
        raise SubjectFailed("no broker")

    found = interleave({"good": lambda: measured(1), "bad": fails, "many": lambda: {"many, cold": measured(2)}}, 3)
    assert calls == ["fails"]
    assert found.failures == {"bad": "no broker"}
    assert {name: len(runs) for name, runs in found.runs.items()} == {"good": 3, "many, cold": 3}
    with pytest.raises(SubjectFailed):
        interleave({"bad": fails}, 1, required=["bad"])


def test_a_kept_result_is_whole_json(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    made = result(outcome(hub=4.0, start_up=1.0), sink="sqlite")
    assert json.loads(page.keep(made, tmp_path).read_text(encoding="utf-8")) == made

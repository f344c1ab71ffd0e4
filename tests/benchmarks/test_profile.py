"""A profile gives each sample to the library, the kernel call or the Python function in which it was taken."""

from __future__ import annotations

import pytest

from benchmarks import profile
from benchmarks.measure import SubjectFailed

START = "0x7f00 (libc.so.6);main (python3.11);_run (hub/cli/main.py:10);execute (hub/pipeline/task.py:99)"
SAMPLES = {
    f"{START};apply (hub/mapping/evaluate.py:40) 10": ("hub", "apply (hub/mapping/evaluate.py)"),
    f"{START};apply (hub/mapping/evaluate.py:41);PyDict_GetItem (python3.11) 5": (
        "hub",
        "apply (hub/mapping/evaluate.py)",
    ),
    f"{START};call (pyarrow/compute.py:9);arrow::compute::Take (libarrow.so.2600);memmove (libc.so.6) 40": (
        "arrow",
        "arrow",
    ),
    f"{START};sum (numpy/_core/_methods.py:49);reduce (numpy/_core/_multiarray_umath.so) 20": ("numpy", "numpy"),
    f"{START};_sqlite_step (_sqlite3.cpython-311.so);sqlite3_step (libsqlite3.so.0);fdatasync (libc.so.6) 8": (
        "kernel",
        "fdatasync",
    ),
    f"{START};compress (lz4/block/_block.cpython-311.so) 7": ("lz4", "lz4"),
    f"{START};loads (/usr/lib/python3.11/json/__init__.py:299) 10": ("python", "loads (json/__init__.py)"),
}


@pytest.mark.parametrize("line", SAMPLES)
def test_a_sample_belongs_to_its_innermost_frame_that_is_told_apart(line: str) -> None:
    frames = profile.told_apart(line.rpartition(" ")[0].split(";"))
    assert (frames[-1].layer, frames[-1].name) == SAMPLES[line]
    assert frames[0].name == "_run (hub/cli/main.py)"


def test_shares_are_of_all_samples_and_lines_of_a_function_count_together() -> None:
    found = profile.report(1000, "sqlite", SAMPLES)
    assert found["samples"] == 100
    assert found["layers"] == {
        "arrow": 0.4,
        "numpy": 0.2,
        "hub": 0.15,
        "python": 0.1,
        "kernel": 0.08,
        "lz4": 0.07,
    }
    assert found["ratios"]["largest_python_share"] == 0.15
    assert found["functions"][0] == {"function": "apply (hub/mapping/evaluate.py)", "share": 0.15}
    assert {name: samples for name, (samples, _calls) in found["stacks"].items()} == {"hub|_run (hub/cli/main.py)": 100}


def test_imports_are_a_layer_and_what_calls_the_hub_is_left_out() -> None:
    lines = [
        "_bootstrap (threading.py:1);wrapper (typer/main.py:9);run (hub/app.py:3);step (pkg/a.py:1) 3",
        "run (hub/app.py:3);_load (<frozen importlib._bootstrap>:9);<module> (pyarrow/__init__.py:1) 7",
    ]
    found = profile.report(1, "kafka", lines)
    assert found["layers"] == {"imports": 0.7, "python": 0.3}
    calls = {"imports|imports": [7, {}], "python|step (pkg/a.py)": [3, {}]}
    assert found["stacks"] == {"hub|run (hub/app.py)": [10, calls]}
    assert found["functions"] == [{"function": "step (pkg/a.py)", "share": 0.3}]


def test_a_thread_that_waits_takes_no_time() -> None:
    waits = [
        "wait (threading.py:3);acquire (python3.11);do_futex_wait (libc.so.6) 900",
        "run (hub/app.py:3);select (selectors.py:9);epoll_wait (libc.so.6) 90",
        "run (hub/app.py:3);Condition.wait (threading.py:9);0x7f01 (libc.so.6) 90",
    ]
    found = profile.report(1, "kafka", [*waits, "run (hub/app.py:3);_digest (blake2b-ref.c:9) 10"])
    assert found["samples"] == 10
    assert found["layers"] == {"hashes": 1.0}


def test_rare_stacks_are_cut_short_and_none_is_lost() -> None:
    a, b, c, d, e = (profile.Seen("hub", name) for name in "abcde")
    stacks = {(a, b, c): 2, (a, b, d): 9, (a,): 1, (e,): 1}
    assert profile.cut(stacks, 5) == {(a, b): 2, (a, b, d): 9, (a,): 1, (e,): 1}


def test_a_profile_without_samples_is_an_error() -> None:
    with pytest.raises(SubjectFailed):
        profile.report(1000, "sqlite", [])

"""The registry's benchmark measures what it says: every request it times must succeed. Speed is never tested."""

from __future__ import annotations

import os

import pytest

from benchmarks.registry import Options, registry


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="figures are for Linux")
def test_every_figure_is_there() -> None:
    found = registry(Options(subjects=6, small=3, requests=60, connections=2))
    assert found["start"]["schemas"] == 30
    for name in ("register_small", "register_large", "by_id_cold", "by_id_warm"):
        assert set(found[name]["ms"]) == {"median", "p99", "max"}
    assert found["peak_rss_mb"] > 0

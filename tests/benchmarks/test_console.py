"""The console's benchmark measures what it says: every page it times must be shown. Speed is never tested."""

from __future__ import annotations

import os

import pytest

from deploy.services import ServiceMissing
from hub.console.views import PAGES
from tests.support.requirements import unavailable


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="figures are for Linux")
def test_S20_every_figure_is_there() -> None:
    from benchmarks.console import Options, console

    small = Options(
        topics=3, connectors=2, viewers=2, seconds=1.5, rounds=1, requests=5, trickling=3, idle=3, patience=0.5
    )
    try:
        found = console(small)
    except ServiceMissing as missing:
        unavailable("browser", str(missing))
    assert set(found["pages"]) >= {page.path for page in PAGES if page.template and "{" not in page.path}
    for one in found["pages"].values():
        assert one["paint_ms"] > 0
        assert 0 < one["bytes"]["html"] <= 100_000
    assert found["overview"]["html_bytes"] > 1_000
    assert found["viewers"]["bytes_per_viewer_second"] > 0
    assert found["hostile"]["accepted"] == 6

"""`python -m benchmarks.small PROJECT CONNECTOR`: milliseconds that one small batch takes to be normalised and encoded.

The batch comes from the connector's source and goes through the code of a run and of a preview (one executor). What is
done once per set of columns (compiling the mapping) is done before; a preview of 10 rows, which does it too, is given
beside it."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from hub.builder import draft, open_source
from hub.mapping.program import columns_used
from hub.model import Batch
from hub.pipeline.normalise import Normaliser
from hub.pipeline.preview import preview
from hub.project import read_catalogue
from hub.settings import load_settings

SIZES = (1, 10, 100, 1000)
TIMES, WARM_UP, PREVIEWS = 200, 20, 10
PREVIEWED = 10


def piece(batch: Batch, start: int, rows: int) -> Batch:
    """Some rows of a batch, as a source that has only these would deliver them."""
    return Batch(
        records=batch.records.slice(start, rows),
        position=batch.position,
        origin=batch.origin,
        rows=batch.rows[start : start + rows],
    )


def timed(do: Callable[[int], Any], times: int) -> dict[str, float]:
    """Medians in ms of so many calls."""
    wall, cpu = [], []
    for number in range(times):
        before = time.perf_counter(), time.process_time()
        do(number)
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    return {"wall_ms": statistics.median(wall) * 1000, "cpu_ms": statistics.median(cpu) * 1000}


def measure(project: Path, connector: str) -> dict[str, Any]:
    """Every size, and the preview."""
    loaded = load_settings(project)
    catalogue = read_catalogue(loaded)
    spec = catalogue.connectors[connector]
    plan = draft(spec, catalogue, loaded.settings, schema_id=1)
    columns = frozenset(columns_used(plan.mapping))

    def source() -> Any:
        return open_source(spec, loaded.settings, columns=columns)

    batch = next(b for b in source().batches(None, Event()) if b.read)
    normaliser, found, counted = Normaliser(plan), {}, {"accepted": 0, "rejected": 0}
    for rows in SIZES:
        places = max(1, batch.records.num_rows // rows)

        def apply(number: int, rows: int = rows, places: int = places) -> None:
            good = normaliser.apply(piece(batch, number % places * rows, rows))
            counted["accepted"] += len(good.values)
            counted["rejected"] += len(good.rejections)

        timed(apply, WARM_UP)
        found[f"{rows:,} rows" if rows > 1 else "1 row"] = {"rows": rows, **timed(apply, TIMES)}
    found[f"preview of {PREVIEWED} rows"] = {
        "rows": PREVIEWED,
        **timed(lambda _number: preview(plan, source(), PREVIEWED), PREVIEWS),
    }
    return {"fields": len(plan.record.fields), "sizes": found, **counted}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))

"""What the demo does: make a project from examples/italy, run its connectors, and read one topic as two agencies."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from hub.cli.output import Output
from hub.cli.runs import TOTALS, print_runs, run_connectors, worst
from hub.cli.session import Api

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.settings import Loaded

SHOWN = 3  # records of each subscriber's view that are printed


@dataclass(frozen=True, kw_only=True)
class View:
    """What one agency got of one topic."""

    agency: str
    topic: str
    purpose: str
    records: int
    sample: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What happened."""

    runs: list[dict[str, Any]]
    topics: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    views: list[View]

    @property
    def exit_code(self) -> int:
        """0 when every connector completed."""
        return worst(self.runs)

    @property
    def summary(self) -> dict[str, Any]:
        """The document of `--json`."""
        reasons: Counter[tuple[str, str]] = Counter()
        for case in self.cases:
            reasons[case["topic"], case["reason"]] += case["count"]
        return {
            "connectors": [{"name": r["connector"], **{t: r["totals"][t] for t in TOTALS}} for r in self.runs],
            "topics": [{"name": t["topic"], "records": t["records"]} for t in self.topics],
            "quarantine": [
                {"topic": topic, "reason": reason, "count": count} for (topic, reason), count in sorted(reasons.items())
            ],
            "subscribers": [{"agency": v.agency, "topic": v.topic, "records": v.records} for v in self.views],
        }


def make_project(directory: Path, out: Output, example: Path | None = None) -> None:
    """Copy the example and build the departmental database; of one that is there, copy what is newer in the example."""
    from examples.italy import departmental

    example = example or Path(departmental.__file__).parent
    known = (directory / "datong.yaml").exists()
    if not known:
        out.note(f"making the demo's project in {directory}")
    added = 0
    for source in _files(example):
        target = directory / source.relative_to(example)
        new = not target.exists()
        if new or source.stat().st_mtime > target.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            added += new
            if not new:
                out.note(f"{target}: copied again, for it changed in the example")
    if known and added:
        out.note(f"{directory}: files of the example that were not here yet: {added}")
    departmental.ensure(directory)


def _files(example: Path) -> list[Path]:
    """What makes the project: not the code that made the example."""
    found = (p for p in example.rglob("*") if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts)
    return sorted(found)


def run_demo(hub: Hub, loaded: Loaded, out: Output, without: Collection[str] = ()) -> Demonstration:
    """Run the connectors through the hub's own API, those `without` their system aside, then subscribe as each agency."""
    from hub.cli.serving import _shown

    url = f"http://{_shown(loaded)}"
    headers = {"Authorization": f"Bearer {hub.operator_token()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60.0, trust_env=False) as client:
        api = Api(client, local=False)
        names = [c["name"] for c in api.get("/connectors")["connectors"] if c["name"] not in without]
        silent = {hub.catalogue.connectors[name].publish.topic for name in without if name in hub.catalogue.connectors}
        runs = run_connectors(api, out, names)
        views = [_view(hub, api, url, name) for name in sorted(hub.catalogue.grants)]
        return Demonstration(
            runs=runs,
            topics=[t for t in api.get("/topics")["topics"] if t["records"] or t["topic"] not in silent],
            cases=api.get("/quarantine")["cases"],
            views=views,
        )


def _view(hub: Hub, api: Api, url: str, grant_name: str) -> View:
    """Everything one grant gives, read from the start by the agency's own client and token."""
    from hub.client import subscribe

    grant = hub.catalogue.grants[grant_name]
    token = api.post("/tokens", {"agency": grant.agency, "days": 1})
    sample: list[dict[str, Any]] = []
    count = 0
    try:
        with subscribe(url, grant.topic, token["token"], group="demo", from_beginning=True) as subscription:
            for record in subscription:
                count += 1
                if len(sample) < SHOWN:
                    sample.append(record)
    finally:
        api.delete(f"/tokens/{token['id']}")
    return View(agency=grant.agency, topic=grant.topic, purpose=grant.purpose, records=count, sample=sample)


def show(out: Output, result: Demonstration) -> None:
    """The result for a person."""
    out.line("Connectors: departmental systems → normalised records", style="bold")
    print_runs(out, result.runs)
    out.line()
    out.line("Quarantine: every row that could not be published, and why", style="bold")
    rows = [[c["topic"], c["reason"], c["path"], c["count"]] for c in result.cases]
    out.table(rows, ["topic", "reason", "field", "rows>"])
    out.line()
    out.line("Subscribers: each agency gets exactly the fields and rows of its grant", style="bold")
    for view in result.views:
        out.line(f"{view.agency}: {view.records:,} records of {view.topic}, for: {view.purpose}")
        if view.sample:
            columns = [c for c in view.sample[0] if not c.startswith("_")]
            out.table([[_cell(r[c]) for c in columns] for r in view.sample], columns)
        out.line()


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(str(v) for v in value.values() if v is not None)
    return str(value) if isinstance(value, int) else value

"""A city library's hub with its console: branches whose names are personal, and a subscriber."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.api.test_api import TOPIC
from tests.api.test_shared import HOOK, Served
from tests.support.console import Console, form_token, serving
from tests.support.projects import make_project

__all__ = ["TOPIC", "Library", "library_of"]

GROUP = "city-planning.planning-branches.g"
CANARY = "Name of"  # of every branch; a field that is personal
EVIL = "<script>alert(1)</script>"
MAP = {
    "map": "branches",
    "title": {"en": "Branches", "zh": "分馆"},
    "boundaries": "regions.geojson",
    "key": "code",
    "label": "name",
    "topic": TOPIC,
    "field": "district",
}


@dataclass
class Library:
    """The hub, seen by people and by its API."""

    console: Console
    served: Served

    def post(self, client: httpx.Client, path: str, **fields: str) -> httpx.Response:
        """A form of that person's session."""
        return client.post(f"/console{path}", data={"token": form_token(client), **fields})

    def push(self, **more: object) -> None:
        """Declare a subscription that the hub pushes as the group `g`; nobody is there to take it."""
        self.served.edit("subscriptions.d/g.yaml", subscription="g", grant="planning-branches", sink=HOOK, **more)

    def map(self) -> None:
        """Declare a map of three regions, one of which nothing is known of."""
        square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
        regions = [
            {"type": "Feature", "properties": {"code": code, "name": name}, "geometry": square}
            for code, name in (("North", "North"), ("South", f"South {EVIL}"), ("Isle", "Isle"))
        ]
        (self.console.project / "regions.geojson").write_text(
            json.dumps({"type": "FeatureCollection", "features": regions})
        )
        self.served.edit("maps.d/branches.yaml", **MAP)


@contextmanager
def library_of(root: Path) -> Iterator[Library]:
    """Serve one."""
    make_project(root)
    (root / "datong.yaml").write_text("deletions: {max_share: 1}\n")
    path = root / "schemas/culture/branch.avsc"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["fields"][1]["classification"] = "personal"
    path.write_text(json.dumps(schema), encoding="utf-8")
    (root / "secrets.d").mkdir(mode=0o700)
    (root / "secrets.d/KEY").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    (root / "secrets.d/KEY").chmod(0o600)
    with (
        serving(root) as console,
        httpx.Client(base_url=console.url, headers=console.key, timeout=60, trust_env=False) as api,
    ):
        yield Library(console, Served(root, console.hub, api))

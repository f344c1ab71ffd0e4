"""The demo's connectors run and its grants read, through the hub's own API."""

from __future__ import annotations

import httpx

from hub.client import subscribe
from tests.support.console import Console


def run(console: Console, name: str) -> dict[str, object]:
    """One run of a connector, to its end."""
    runs = f"{console.url}/api/v1/connectors/{name}/runs"
    with httpx.Client(headers=console.key, timeout=60, trust_env=False) as client:
        started = client.post(runs, json={}).json()
        while True:
            found: dict[str, object] = client.get(f"{runs}/{started['run']}", params={"wait_ms": 1000}).json()
            if found["state"] != "running":
                return found


def publish_and_read(console: Console, group: str = "school-planning") -> None:
    """Everything that is configured: each connector once, then each grant to its end by a group of this name."""
    for name in sorted(console.hub.catalogue.connectors):
        assert run(console, name)["state"] == "completed", name
    for grant in console.hub.catalogue.grants.values():
        token = httpx.post(
            f"{console.url}/api/v1/tokens",
            json={"agency": grant.agency, "days": 1},
            headers=console.key,
            timeout=60,
            trust_env=False,
        ).json()["token"]
        with subscribe(console.url, grant.topic, token, group=group, from_beginning=True) as subscription:
            for _ in subscription:
                pass

"""A project of agencies that write markup wherever they may write anything (S18)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import yaml

from hub.cli import templates
from tests.support import projects
from tests.support.console import Console
from tests.support.demo import run

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover=alert(1) x='",
    "javascript:alert(1)",
    "{{7*7}}{% raw %}",
    "</textarea></title></style><script>alert(1)</script>",
    "<svg onload=alert(1)><a href=javascript:alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "&lt;b&gt; ${alert(1)}",
    "\u202egnp.exe\u2066 \u200f",  # turns the direction of what follows it
)
TOPIC = "city-library.culture.branch.v1"
BRANCHES = "city-library-branches"
MADE = (
    "img[src=x], svg[onload], script:not([src]), iframe, [onerror], [onmouseover], [onload], a[href^='javascript:' i]"
)
SHOWN_ON = {  # where what was written stands, once there is such a page; by the beginning of its path
    "mistake": "/health",
    "agency": "/flow",
    "connector": "/connectors/{",
    "topic": "/topics/{",
    "schema": "/topics/{",
    "purpose": "/topics/{",
}


def marked(where: str) -> str:
    """Every payload, with a word to know it again by."""
    return f"planted-{where} " + " ".join(PAYLOADS)


def make_project(directory: Path) -> Path:
    """What `datong init` makes, with payloads in it."""
    return projects.make_project(directory, _planted())


def _planted() -> dict[str, str]:
    def both(where: str) -> dict[str, str]:
        return {"en": marked(where), "zh": f"文 {marked(where)}"}

    agencies = [{"id": name, "name": both("agency")} for name in ("city-library", "city-planning")]
    topic = yaml.safe_load(templates.TOPIC_YAML) | {"title": both("topic"), "description": both("topic")}
    connector = yaml.safe_load(templates.CONNECTOR_YAML) | {"description": both("connector")}
    grant = yaml.safe_load(templates.GRANT_YAML) | {"purpose": marked("purpose")}
    schema: dict[str, Any] = json.loads(templates.SCHEMA) | {"doc": marked("schema"), "doc_zh": marked("schema")}
    for field in schema["fields"]:
        field |= {"doc": marked("schema"), "doc_zh": marked("schema")}
    cells = [
        f'"p{n}","{p.replace(chr(34), chr(34) * 2)}",North,"{p.replace(chr(34), chr(34) * 2)}",'
        for n, p in enumerate(PAYLOADS)
    ]
    files = {
        "agencies.yaml": {"agencies": agencies},
        "topics.d/branch.yaml": topic,
        f"connectors.d/{BRANCHES}.yaml": connector,
        "grants.d/planning.yaml": grant,
        "connectors.d/broken.yaml": {**connector, "connector": "broken", marked("mistake"): marked("mistake")},
    }
    return {
        **{name: yaml.safe_dump(data, allow_unicode=True) for name, data in files.items()},
        "schemas/culture/branch.avsc": json.dumps(schema, ensure_ascii=False),
        "data/branches.csv": templates.DATA_CSV + "\n".join(cells) + "\n",
    }


def publish_and_read(console: Console) -> None:
    """Run the connector, whose bad rows go to quarantine, and read by groups of every name that is taken."""
    found = run(console, BRANCHES)
    assert found["totals"]["quarantined"] > len(PAYLOADS), found  # type: ignore[index]
    with httpx.Client(base_url=f"{console.url}/api/v1", timeout=60, trust_env=False) as client:
        asked = client.post("/tokens", json={"agency": "city-planning"}, headers=console.key)
        reader = {"Authorization": f"Bearer {asked.json()['token']}"}
        for group in ("plain", *PAYLOADS):
            client.get(f"/topics/{TOPIC}/consumers/{quote(group, safe='')}/records", headers=reader)

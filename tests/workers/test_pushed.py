"""Pushes where several processes share the work: one takes them, and who takes over knows what was taken (G4, G7, F26)."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.foreign import foreign_messages
from tests.support.kafka import fresh
from tests.support.nodes import TOPIC, Node, Site, number_of
from tests.support.push import Sender, secret

CONNECTOR = """\
connector: {name}
agency: city
source: {{kind: webhook, keys: ["${{secret:KEY}}"]}}
schedule: continuous
publish:
  topic: city.{name}.number.v1
  schema: number.avsc
  mode: append
  fields: {{n: to_int(n), text: text}}
"""


def declare(project: Path) -> str:
    name = fresh("pushed")
    (project / "secrets.d").mkdir()
    (project / "secrets.d/KEY").write_text(secret())
    (project / "secrets.d/KEY").chmod(0o600)
    (project / f"topics.d/{name}.yaml").write_text(TOPIC.format(name=name))
    (project / f"connectors.d/{name}.yaml").write_text(CONNECTOR.format(name=name))
    return name


def send(node: Node, name: str, number: int, identity: str) -> httpx.Response:
    with httpx.Client(base_url=node.url, timeout=60, trust_env=False) as client:
        return Sender(client, f"/api/v1/intake/{name}").send({"n": number, "text": "x"}, identity)


def taken(nodes: list[Node], name: str, number: int, identity: str) -> tuple[Node, httpx.Response]:
    """As a balancer does it: the next one on 503, until one takes it."""
    deadline = time.monotonic() + 120
    while True:
        for node in nodes:
            answer = send(node, name, number, identity)
            if answer.status_code != 503:
                return node, answer
            assert answer.headers["retry-after"]
        assert time.monotonic() < deadline, [n.said() for n in nodes]
        time.sleep(0.1)


@pytest.mark.long
def test_G4_G7_F26_the_worker_with_the_lease_takes_a_push_and_its_successor_knows_it(place: Site) -> None:
    name = declare(place.project)
    api, *workers = (place.start(role) for role in ("api", "worker", "worker"))
    owner, answer = taken([api, *workers], name, 0, "msg_0")
    assert (answer.status_code, answer.json()) == (200, {"records": 1, "again": False})
    assert owner in workers
    other = next(node for node in workers if node is not owner)
    for node in (api, other):
        refused = send(node, name, 1, "msg_1")
        assert (refused.status_code, "another process" in refused.json()["detail"]) == (503, True)
    for number in range(1, 20):
        assert send(owner, name, number, f"msg_{number}").status_code == 200
    owner.send(signal.SIGKILL)
    heir, again = taken([other], name, 7, "msg_7")
    assert (heir, again.json()) == (other, {"records": 1, "again": True})
    assert send(other, name, 8, "msg_7").status_code == 409
    assert send(other, name, 20, "msg_20").json() == {"records": 1, "again": False}
    messages = foreign_messages(place.kafka, f"city.{name}.number.v1", timeout_s=60)
    assert sorted(number_of(m.value()) for m in messages) == list(range(21))
    assert json.loads(place.row(name).job)["run"]

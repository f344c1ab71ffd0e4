"""A hub that serves its console on a real socket, and people who use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from hub.app import Hub
from hub.cli.listening import start
from hub.cli.serving import make_server
from hub.settings import load_settings
from tests.support.ports import free_port

PASSWORD = "correct horse battery"
ROLES = {"vera": "viewer", "olaf": "operator", "anna": "administrator"}
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@dataclass
class Console:
    """A hub and its console."""

    hub: Hub
    project: Path
    url: str
    key: dict[str, str]  # of the operator, for the API

    def browser(self, **headers: str) -> httpx.Client:
        """Somebody who keeps cookies and does not follow redirects."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    @contextmanager
    def as_(self, name: str, **headers: str) -> Iterator[httpx.Client]:
        """One of the people, logged in."""
        with self.browser(**headers) as client:
            answer = client.post("/console/log-in", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            yield client

    def api(self, path: str) -> httpx.Response:
        """What the API says of it."""
        return httpx.get(f"{self.url}/api/v1{path}", headers=self.key, timeout=60, trust_env=False)


def form_token(client: httpx.Client) -> str:
    """What the forms of a session carry."""
    found = TOKEN.search(client.get("/console/health").text)
    assert found is not None
    return found[1]


@contextmanager
def serving(project: Path, prepare: Callable[[Hub], None] = lambda _hub: None, **env: str) -> Iterator[Console]:
    """Serve the console of a project, with people of every role."""
    port = free_port()
    loaded = load_settings(project, env={"DATONG_HTTP__PORT": str(port), "DATONG_REGISTRY__PORT": "0", **env})
    with Hub.open(loaded) as hub:
        hub.watch.start()
        for name, role in ROLES.items():
            if not any(person["name"] == name for person in hub.people.listed()):
                hub.people.add(name, role, PASSWORD)
        prepare(hub)
        server = make_server(hub, loaded)
        thread = start(server, "http.port")
        key = {"Authorization": f"Bearer {hub.operator_token()}"}
        try:
            yield Console(hub=hub, project=project, url=f"http://127.0.0.1:{port}", key=key)
        finally:
            server.should_exit = True
            thread.join(30)

"""The demo's hub, which has run and was read, and a browser in front of it: one of each for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from hub.cli.demonstration import make_project
from hub.cli.output import Output
from tests.support.browser import Tabs, addresses, session_of, shown_pages, the_browser
from tests.support.console import Console, serving
from tests.support.demo import publish_and_read
from tests.support.fault_server import FaultServer, answer
from tests.watch.test_notify import declare

AWAY = ("it-dpc-regions", "it-lom-sensors")  # whose systems would have to be started


@dataclass(frozen=True)
class Demo:
    """A hub that is served, and where its pages are."""

    console: Console
    cookie: str  # of an administrator's session
    addresses: dict[str, str]  # of each page, by its path

    def of(self, path: str) -> str:
        """A page's address."""
        assert path in self.addresses, f"no link leads from the Overview to {path}"
        return self.addresses[path]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed before tests of other folders: while it is open, none of them could run an event loop."""
    with the_browser() as made:
        yield made


@pytest.fixture(scope="package")
def tabs(browser: Browser) -> Iterator[Tabs]:
    with ExitStack() as held:
        yield Tabs(browser, held)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project with everything published and read, at rest: to be served, or copied and changed."""
    project = tmp_path_factory.mktemp("demo") / "p"
    make_project(project, Output(as_json=True))
    for name in AWAY:
        (project / f"connectors.d/{name}.yaml").unlink()
    with serving(project) as console:
        publish_and_read(console)
    return project


@pytest.fixture(scope="package")
def demo(published: Path) -> Iterator[Demo]:
    with serving(published) as console:
        with console.as_("anna") as client:
            found = addresses(client, shown_pages())
        yield Demo(console, session_of(console, "anna"), found)


@pytest.fixture(scope="package")
def hook() -> Iterator[FaultServer]:
    server = FaultServer(lambda _request: answer({}))
    yield server
    server.close()


@pytest.fixture(scope="package")
def own(published: Path, hook: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The same for tests that change it; a web address is told of alerts."""
    project = tmp_path_factory.mktemp("own") / "p"
    shutil.copytree(published, project)
    declare(project, "night-desk", {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"})
    with serving(project, DATONG_OUTBOUND__ALLOW=f'["127.0.0.1:{hook.port}"]') as console:
        with console.as_("anna") as client:
            found = addresses(client, shown_pages())
        yield Demo(console, session_of(console, "anna"), found)

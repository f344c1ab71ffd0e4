"""Pictures of the console for README.md and README.zh.md: `python3 docs/screenshots.py` in the environment of dev.py.

The demo's project is published into a temporary folder. Then the city's requests change all the time, and the ministry
delivers a file whose postcodes its mapping does not expect, so that there is something to see. Pages are taken in English
and Chinese, light, or dark too.
"""

from __future__ import annotations

import argparse
import csv
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402 # the path comes first
from playwright.sync_api import Browser  # noqa: E402

from deploy.services.chromium import chromium  # noqa: E402
from hub.app import Hub  # noqa: E402
from hub.cli.demonstration import make_project, run_demo  # noqa: E402
from hub.cli.listening import start  # noqa: E402
from hub.cli.output import Output  # noqa: E402
from hub.cli.serving import make_server  # noqa: E402
from hub.people import DEMO_NAME, DEMO_PASSWORD  # noqa: E402
from hub.settings import load_settings  # noqa: E402

FOLDER = ROOT / "docs" / "console"
SIZE = (1440, 900)
LOCALES = {"en": "en-US", "zh": "zh-CN"}
AWAY = ("it-dpc-regions", "it-lom-sensors")  # whose systems would have to be started
SAMPLES_S = 12  # of what flows, before a picture is taken
SCHOOLS = "data/mim/scuole-paritarie-{}.csv"
MORE = "UPDATE richieste SET Categoria = Categoria || '.', updated_at = '2026-12-31' WHERE Id % 97 = ?"
DRAWN = """() => document.readyState === "complete" &&
  [...document.querySelectorAll("[data-chart]")].every((one) => one.querySelector("svg, canvas"))"""


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="append", metavar="NAME=/console/…", help="another page instead, may repeat")
    parser.add_argument("--to", type=Path, default=FOLDER)
    parser.add_argument("--dark", action="store_true", help="in dark colours as well")
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder) / "demo") as (url, case), chromium() as browser:
        pages = dict(one.split("=", 1) for one in chosen.page or ())
        pages = pages or {"overview": "/console/", "quarantine": f"/console/quarantine/{case}"}
        for language in LOCALES:
            for colours in ("light", "dark") if chosen.dark else ("light",):
                for file in take(browser, url, pages, chosen.to, language, colours):
                    print(f"{os.path.relpath(file, ROOT)}: {file.stat().st_size:,} bytes")
    return 0


@contextmanager
def demo(project: Path) -> Iterator[tuple[str, str]]:
    """The demo, served, while one of its connectors publishes again and again; its address, and the largest case."""
    out = Output(as_json=True)
    make_project(project, out)
    for name in AWAY:
        (project / f"connectors.d/{name}.yaml").unlink()
    loaded = load_settings(project, env={"DATONG_HTTP__PORT": "8099", "DATONG_REGISTRY__PORT": "0"})
    with Hub.open(loaded) as hub:
        hub.watch.start()
        hub.people.ensure_demo()
        server = make_server(hub, loaded)
        thread = start(server, "http.port")
        over = threading.Event()
        try:
            run_demo(hub, loaded, out)
            _spoil(project)
            again = threading.Thread(target=_flow, args=(hub, project, over))
            again.start()
            time.sleep(SAMPLES_S)
            yield "http://127.0.0.1:8099", hub.quarantine.cases()[0]["case"]
        finally:
            over.set()
            server.should_exit = True
            thread.join(30)


def _spoil(project: Path) -> None:
    """Two regions write their postcodes with the country before them."""
    with (project / SCHOOLS.format("2023-24")).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    region, postcode = header.index("REGIONE"), header.index("CAPSCUOLA")
    for row in rows:
        row[postcode] = f"I-{row[postcode]}" if row[region] in ("LOMBARDIA", "VENETO") else row[postcode]
    with (project / SCHOOLS.format("2024-25")).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _flow(hub: Hub, project: Path, over: threading.Event) -> None:
    url, headers = "http://127.0.0.1:8099/api/v1", {"Authorization": f"Bearer {hub.operator_token()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        client.post("/connectors/it-mim-schools/runs", json={})
        for number in range(97):
            with closing(sqlite3.connect(project / "data/alessandria/requests.db")) as database:
                database.execute(MORE, (number,))
                database.commit()
            client.post("/connectors/it-alessandria-requests/runs", json={})
            if over.wait(1.0):
                return


def take(
    browser: Browser, url: str, pages: dict[str, str], folder: Path, language: str, colours: str
) -> Iterator[Path]:
    """One picture of each page."""
    context = browser.new_context(
        locale=LOCALES[language],
        color_scheme="dark" if colours == "dark" else "light",
        viewport={"width": SIZE[0], "height": SIZE[1]},
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{url}/console/log-in")
    page.locator("input[name=name]").fill(DEMO_NAME)
    page.locator("input[name=password]").fill(DEMO_PASSWORD)
    with page.expect_navigation():
        page.locator("input[name=password]").press("Enter")
    for name, path in pages.items():
        page.goto(f"{url}{path}")
        page.wait_for_function(DRAWN)
        file = folder / f"{name}-{language}-{colours}.png"
        page.screenshot(path=file)
        yield file
    context.close()


if __name__ == "__main__":
    sys.exit(main())

"""The Chromium of the system, driven by Playwright: for tests of the console, its benchmark and the README's pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from deploy.services import ServiceMissing

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = (  # only the pages under test are asked for, and nothing needs a display
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program() -> str:
    """Where it is. Raises ServiceMissing."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise ServiceMissing("chromium is not installed (Debian: apt-get install chromium fonts-noto-cjk)")


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser without a window. While it is open, this thread has a running event loop: asyncio.run() fails in it."""
    executable = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()

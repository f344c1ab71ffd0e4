"""A person's browser before the console: what it met on a page, and what the page looks like to who is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request

from deploy.services import ServiceMissing, chromium
from hub.console.edge import SESSION
from hub.console.pages import Page as ConsolePage
from hub.console.views import PAGES
from tests.support.console import PASSWORD, Console
from tests.support.requirements import unavailable

LOCALES = {"en": "en-US", "zh": "zh-CN"}
WAIT_MS = 60_000.0
HREF = re.compile(r'\shref="(/console/[^"#]*)"')
WATCHING = """
window.__refused = []; window.__alerts = [];
document.addEventListener("securitypolicyviolation", (e) => window.__refused.push(`${e.violatedDirective} ${e.blockedURI}`));
window.alert = (text) => window.__alerts.push(`${text}`);
"""
SETTLED = """() => document.readyState === "complete"
  && [...document.querySelectorAll("[data-chart]")].every((one) => one.querySelector("svg, canvas, table"))"""


@contextmanager
def the_browser() -> Iterator[Browser]:
    """Skip, or fail where TEST_REQUIRE names `browser`, when there is none."""
    try:
        with chromium.chromium() as browser:
            yield browser
    except ServiceMissing as missing:
        unavailable("browser", str(missing))


@dataclass
class Seen:
    """What a browser met: each list is empty on a page that is well."""

    console: list[str] = field(default_factory=list)  # errors and warnings
    errors: list[str] = field(default_factory=list)  # uncaught
    foreign: list[str] = field(default_factory=list)  # requests to other origins
    dialogs: list[str] = field(default_factory=list)  # but questions, when it answers them
    questions: list[str] = field(default_factory=list)
    answer: bool | None = None  # to every question; None: nothing should ask

    def forget(self) -> None:
        """What was met so far."""
        for many in (self.console, self.errors, self.foreign, self.dialogs, self.questions):
            many.clear()
        self.answer = None

    def watch(self, page: Page, origin: str) -> None:
        """From now on."""

        def asked(request: Request) -> None:
            if not request.url.startswith((f"{origin}/", "data:", "blob:")):
                self.foreign.append(request.url)

        def opened(dialog: Dialog) -> None:
            expected = dialog.type == "confirm" and self.answer is not None
            (self.questions if expected else self.dialogs).append(dialog.message)
            if self.answer:
                dialog.accept()
            else:
                dialog.dismiss()

        page.on("console", lambda m: self.console.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", asked)
        page.on("dialog", opened)


@dataclass
class Visitor:
    """One context of the browser: somebody's cookies, language, width and colours."""

    context: BrowserContext
    console: Console
    seen: Seen = field(default_factory=Seen)

    def page(self) -> Page:
        """A new page, watched."""
        page = self.context.new_page()
        page.set_default_timeout(WAIT_MS)
        self.seen.watch(page, self.console.url)
        return page

    def open(self, path: str, page: Page | None = None) -> tuple[Page, int, bytes]:
        """Go to a path and wait until all is drawn; the status and the HTML as it came."""
        page = page or self.page()
        answer = page.goto(f"{self.console.url}{path}", wait_until="load")
        assert answer is not None
        if not page.evaluate(SETTLED):
            page.wait_for_function(SETTLED)
        return page, answer.status, answer.body()

    def complaints(self, page: Page) -> dict[str, list[str]]:
        """All that is wrong with what happened so far."""
        found = {
            "console": self.seen.console,
            "errors": self.seen.errors,
            "other origins": self.seen.foreign,
            "dialogs": self.seen.dialogs,
            "refused by the policy": page.evaluate("window.__refused"),
            "alerts": page.evaluate("window.__alerts"),
        }
        return {what: many for what, many in found.items() if many}


@contextmanager
def visiting(
    browser: Browser, console: Console, cookie: str, *, language: str = "en", width: int = 1440, **more: Any
) -> Iterator[Visitor]:
    """A context of a person who is logged in by a session's cookie; none when it is empty."""
    context = browser.new_context(
        locale=LOCALES[language], viewport={"width": width, "height": 900}, reduced_motion="reduce", **more
    )
    context.add_init_script(WATCHING)
    if cookie:
        context.add_cookies([{"name": SESSION, "value": cookie, "domain": "127.0.0.1", "path": "/console/"}])
    try:
        yield Visitor(context=context, console=console)
    finally:
        context.close()


class Tabs:
    """Tabs in which one test goes on after the other. A new one costs two seconds of CPU: a process of its own, which compiles
    the charts' script anew."""

    def __init__(self, browser: Browser, held: ExitStack) -> None:
        self._browser, self._held = browser, held
        self._open: dict[str, tuple[Visitor, Page]] = {}

    @contextmanager
    def of(self, who: str, console: Console, cookie: str, **more: Any) -> Iterator[tuple[Visitor, Page]]:
        """The tab of somebody, who is as `visiting` makes them at first, and has met nothing yet."""
        if who not in self._open:
            visitor = self._held.enter_context(visiting(self._browser, console, cookie, **more))
            self._open[who] = (visitor, visitor.page())
        visitor, page = self._open[who]
        visitor.seen.forget()
        try:
            yield visitor, page
        finally:
            page.goto("about:blank")  # which follows nothing


def session_of(console: Console, name: str) -> str:
    """The cookie of a new session."""
    with console.as_(name) as client:
        return client.cookies[SESSION]


def type_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Log in as a person does."""
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    with page.expect_navigation(wait_until="commit"):
        page.locator("input[name=password]").press("Enter")


def shown_pages() -> tuple[ConsolePage, ...]:
    """The pages people see, without those that are JSON alone."""
    return tuple(page for page in PAGES if page.template)


def pattern(path: str) -> re.Pattern[str]:
    """What a page's address looks like."""
    parts = ["[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/")]
    return re.compile("/console" + "/".join(parts))


def addresses(client: httpx.Client, pages: Iterable[ConsolePage]) -> dict[str, str]:
    """A real address of each page, by its path: the first link to it that somebody who begins at the Overview meets."""
    wanted = {page.path: pattern(page.path) for page in pages}
    order = sorted(wanted, key=lambda path: path.count("{"))  # /topics/new is itself, before it is a topic
    found: dict[str, str] = {}
    waiting, met = ["/console/"], {"/console/"}
    while waiting and len(found) < len(wanted):
        link = waiting.pop(0)
        matching = [path for path in order if wanted[path].fullmatch(urlsplit(link).path)]
        path = matching[0] if matching else None
        if path is None or path in found:
            continue
        answer = client.get(link)
        assert answer.status_code == 200, f"a link leads to {unquote(link)}, which answers {answer.status_code}"
        found[path] = link
        for href in HREF.findall(answer.text):
            if (ahead := href.replace("&amp;", "&")) not in met and "/static/" not in ahead and not _switch(ahead):
                met.add(ahead)
                waiting.append(ahead)
    return found


def _switch(link: str) -> bool:
    return bool(re.search(r"[?&](language|theme)=", link))

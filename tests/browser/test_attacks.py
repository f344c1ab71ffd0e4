"""What others wrote is text and never markup (S18); pages of other sites reach nothing (S19)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Shown

from hub.console.edge import SAID, SESSION
from hub.console.texts import LANGUAGES
from tests.browser.conftest import Demo
from tests.support import hostile
from tests.support.browser import Visitor, addresses, session_of, shown_pages, type_in, visiting
from tests.support.console import PASSWORD, serving

EVERYTHING = """() => [document.title, document.body.textContent,
  ...[...document.querySelectorAll("input, textarea")].map((one) => one.value)].join("\\n")"""


@pytest.fixture(scope="module")
def hub_of_payloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with serving(hostile.make_project(tmp_path_factory.mktemp("hostile") / "p")) as console:
        hostile.publish_and_read(console)
        with console.as_("anna") as client:
            found = addresses(client, shown_pages())
        yield Demo(console, session_of(console, "anna"), found)


def text_of(visitor: Visitor, page: Shown, path: str) -> str:
    """All text of a page on which nothing ran, and no element was made of what others wrote."""
    shown, _, _ = visitor.open(path, page)
    made = shown.locator(hostile.MADE).evaluate_all("(all) => all.map((one) => one.outerHTML.slice(0, 200))")
    assert made == [], path
    # of a page that is not there the browser tells its own console
    assert {k: v for k, v in visitor.complaints(shown).items() if k != "console"} == {}, path
    text: str = shown.evaluate(EVERYTHING)
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_S18_what_others_wrote_is_shown_as_they_wrote_it(
    browser: Browser, hub_of_payloads: Demo, language: str
) -> None:
    demo = hub_of_payloads
    with visiting(browser, demo.console, demo.cookie, language=language) as visitor:
        page = visitor.page()
        shown = {path: text_of(visitor, page, address) for path, address in demo.addresses.items()}
        assert "/health" in shown
    for where, begins in hostile.SHOWN_ON.items():
        texts = [text for path, text in shown.items() if path.startswith(begins)]
        assert not texts or any(hostile.marked(where) in text for text in texts), f"{where} on {begins}"
    assert not any("49{% raw %}" in text for text in shown.values())


def test_S18_what_is_asked_for_is_shown_as_it_was_asked(browser: Browser, hub_of_payloads: Demo) -> None:
    demo = hub_of_payloads
    names = [quote(" ".join(p for p in hostile.PAYLOADS if ("/" in p) == slash), safe="") for slash in (True, False)]
    with visiting(browser, demo.console, demo.cookie) as visitor:
        page = visitor.page()
        for name in names:
            text_of(visitor, page, f"/console/health?x={name}&{name}=1&language={name}&theme={name}")
            text_of(visitor, page, f"/console/nothing/{name}")
            for path in (page.path for page in shown_pages() if "{" in page.path):
                address = "/".join(name if "{" in part else part for part in path.split("/"))
                text_of(visitor, page, f"/console{address}")
        for said in (["people_added", {"name": "<img src=x onerror=alert(1)>"}], ["<script>alert(1)</script>", {}]):
            cookie = quote(json.dumps(said))
            visitor.context.add_cookies([{"name": SAID, "value": cookie, "domain": "127.0.0.1", "path": "/console/"}])
            text_of(visitor, page, "/console/health")


def test_S18_what_is_typed_is_shown_as_it_was_typed(browser: Browser, hub_of_payloads: Demo) -> None:
    demo = hub_of_payloads
    with visiting(browser, demo.console, demo.cookie) as visitor:
        page = visitor.open("/console/people")[0]
        for payload in hostile.PAYLOADS:
            page.locator("form.fields input[name=name]").fill(payload)
            page.locator("form.fields input[name=password]").fill(PASSWORD)
            with page.expect_navigation():
                page.locator("form.fields button").click()
            assert page.locator("form.fields input[name=name]").input_value() == payload
            assert page.locator(hostile.MADE).count() == 0
            found = visitor.complaints(page)
            assert found.pop("console", []) == [] or "422" in visitor.seen.console[0]
            assert found == {}
    assert len(demo.console.api("/people").json()["people"]) == 3


@contextmanager
def another_site(body: str) -> Iterator[int]:
    """A page of somebody else, on a port of its own."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# `localhost` is another site, to which a browser gives no cookie of ours; the same name with another port is another origin
# of the same site, to which it does.
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_S19_no_page_of_another_origin_frames_the_console(browser: Browser, demo: Demo, host: str) -> None:
    frames = "".join(f"<iframe src='{demo.console.url}{path}'></iframe>" for path in ("/console/", "/console/log-in"))
    with another_site(frames) as port, visiting(browser, demo.console, demo.cookie) as visitor:
        page = visitor.context.new_page()
        page.goto(f"http://{host}:{port}/", wait_until="load")
        page.wait_for_function("() => document.querySelectorAll('iframe').length === 2")
        inside = [frame for frame in page.frames if frame is not page.main_frame]
        assert [frame.url.partition(":")[0] for frame in inside] == ["chrome-error", "chrome-error"]
        assert not any("Datong" in frame.content() for frame in inside)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/console/people/add", "/console/log-out", "/console/log-in"])
def test_S19_a_form_of_another_origin_does_nothing(browser: Browser, demo: Demo, host: str, path: str) -> None:
    cookie = session_of(demo.console, "anna")
    fields = {"token": "0" * 64, "name": "vera", "role": "administrator", "password": PASSWORD}
    inputs = "".join(f"<input name={name} value='{value}'>" for name, value in fields.items())
    form = f"<form method=post action='{demo.console.url}{path}'>{inputs}<button>Win</button></form>"
    before = demo.console.api("/people").json()
    with another_site(form) as port, visiting(browser, demo.console, cookie) as visitor:
        page = visitor.context.new_page()
        page.goto(f"http://{host}:{port}/")
        with page.expect_navigation() as went:
            page.locator("button").click()
        assert went.value is not None
        assert went.value.status == 403
        assert demo.console.api("/people").json() == before
        kept = {one["name"]: one.get("value") for one in visitor.context.cookies()}
        assert kept[SESSION] == cookie, "the session is as it was"
        assert visitor.open("/console/people")[1] == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_S19_a_script_of_another_origin_reads_nothing(browser: Browser, demo: Demo, host: str) -> None:
    read = """async ([url, ...paths]) => {
      const got = [];
      for (const path of paths) for (const credentials of ["include", "omit"])
        try { got.push((await (await fetch(url + path, {credentials})).text()).slice(0, 50)); } catch { got.push(null); }
      return got;
    }"""
    paths = ["/console/", "/console/health.json", "/api/v1/topics", "/console/live"]
    with another_site("<p>Hello") as port, visiting(browser, demo.console, demo.cookie) as visitor:
        page = visitor.context.new_page()
        page.goto(f"http://{host}:{port}/")
        assert page.evaluate(read, [demo.console.url, *paths]) == [None] * 8


def test_S19_cookies_are_for_the_hub_alone_and_no_script_sees_them(browser: Browser, demo: Demo) -> None:
    with visiting(browser, demo.console, "") as visitor:
        page = visitor.open("/console/log-in?language=en&theme=dark")[0]
        type_in(page, "anna")
        cookies = visitor.context.cookies()
        assert {one["name"] for one in cookies} == {SESSION, "datong_language", "datong_theme"}
        for one in cookies:
            assert one.get("httpOnly"), one["name"]
            assert one.get("sameSite") == "Lax", one["name"]
            assert one.get("path") == "/console/", one["name"]
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


@pytest.mark.parametrize(
    "ahead",
    ["//evil.example/", "/\\evil.example", "javascript:alert(1)"],
)
def test_S19_logging_in_leads_nowhere_else(browser: Browser, demo: Demo, ahead: str) -> None:
    with visiting(browser, demo.console, "") as visitor:
        page = visitor.open(f"/console/log-in?next={quote(ahead, safe='')}")[0]
        type_in(page, "vera")
        assert page.url == f"{demo.console.url}/console/"
        assert visitor.complaints(page) == {}

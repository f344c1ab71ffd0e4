"""Every page there is, in both languages, on a telephone and on a desk: well, in its own language, and complete by itself."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from hub.console.pages import Page
from hub.console.texts import LANGUAGES, texts
from hub.console.views import PAGES
from tests.browser.conftest import Demo
from tests.support.browser import HREF, Tabs, pattern, shown_pages, visiting
from tests.support.language import FOREIGN_WORDS

WIDTHS = (390, 1440)  # pixels of CSS: a telephone and a desk
AREAS = [
    key.removeprefix("common.areas.") for key in texts("en") if key.startswith("common.areas.")
]  # some are to come
HEAVIEST = 100_000  # bytes of HTML
OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > wide + 1)
    .slice(0, 5).map((one) => one.outerHTML.slice(0, 120));
}"""
OUTLINE = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)], ids = all("[id]").map((one) => one.id);
  return {
    headings: all("h1").length, mains: all("main").length, lang: document.documentElement.lang, title: document.title,
    twice: ids.filter((id, n) => ids.indexOf(id) !== n),
  };
}"""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", shown_pages(), ids=lambda page: page.path)
def test_a_page_is_well(tabs: Tabs, demo: Demo, page: Page, language: str) -> None:
    with tabs.of(f"reader {language}", demo.console, demo.cookie, language=language) as (visitor, shown):
        for width in WIDTHS:
            shown.set_viewport_size({"width": width, "height": 900})
            _, status, html = visitor.open(demo.of(page.path), shown)
            assert status == 200
            assert len(html) <= HEAVIEST
            outline = {"headings": 1, "mains": 1, "lang": {"en": "en", "zh": "zh-CN"}[language], "twice": []}
            assert shown.evaluate(OUTLINE) == outline | {"title": shown.title()}
            assert shown.title().strip(" ·")
            assert shown.evaluate(OVERFLOW) == [], f"wider than {width} pixels"
            assert shown.evaluate(FOREIGN_WORDS) == [], "of the other language"
        assert visitor.complaints(shown) == {}


def test_every_link_leads_somewhere(demo: Demo) -> None:
    known = [pattern(page.path) for page in PAGES]
    coming = set(AREAS) - {page.path.split("/")[1] for page in PAGES}
    with demo.console.as_("anna") as client:
        links = {
            link.replace("&amp;", "&")
            for address in demo.addresses.values()
            for link in HREF.findall(client.get(address).text)
            if "/static/" not in link
        }
        links = {link for link in links if urlsplit(link).path.split("/")[2] not in coming}
        assert [link for link in links if not any(p.fullmatch(urlsplit(link).path) for p in known)] == []
        tried: Counter[str] = Counter()
        for link in sorted(links):
            kind = next(p.pattern for p in known if p.fullmatch(urlsplit(link).path))
            if (tried := tried + Counter([kind]))[kind] <= 5:  # of each page; the topics of a hub are all alike
                assert client.get(link).status_code == 200, link


def test_the_page_to_log_in_at_and_the_page_of_an_error_are_well_too(browser: Browser, demo: Demo) -> None:
    for cookie, path, wanted in (("", "/console/log-in", 200), (demo.cookie, "/console/nothing-here", 404)):
        for language in LANGUAGES:
            with visiting(browser, demo.console, cookie, language=language) as visitor:
                shown = visitor.page()
                for width in WIDTHS:
                    shown.set_viewport_size({"width": width, "height": 900})
                    assert visitor.open(path, shown)[1] == wanted
                    assert shown.evaluate(OVERFLOW) == []
                    assert shown.evaluate(FOREIGN_WORDS) == [], path
                    assert not visitor.seen.errors


@pytest.mark.parametrize(
    ("lang", "body", "foreign"),
    [
        ("zh-CN", "<p>Failed.</p><p>ok</p><p>CSV 12 kB</p><p>it-bz.school.v1</p>", ["Failed."]),
        ("zh-CN", "<p>模式 Avro</p><code>name</code><b translate=no>anna</b><p lang=en>It is full.</p>", []),
        (
            "zh-CN",
            "<p title='Change it' lang=zh-CN>配色</p><i title='Sure?'></i>",
            ["title: Change it", "title: Sure?"],
        ),
        ("en", "<p>学校</p><a lang=zh-CN>中文</a><code>名</code><img alt='图'>", ["学校", "alt: 图"]),
    ],
)
def test_the_rule_of_languages_finds_what_it_says(browser: Browser, lang: str, body: str, foreign: list[str]) -> None:
    page = browser.new_page()
    try:
        page.set_content(f"<!doctype html><html lang={lang}><title></title><body>{body}")
        assert page.evaluate(FOREIGN_WORDS) == foreign
    finally:
        page.close()


def test_the_switches_stand_above_what_is_below_and_not_at_the_windows_edge(browser: Browser, demo: Demo) -> None:
    ends = """() => [".switches", ".scroll"].map((one) => {
      const box = document.querySelector(one).getBoundingClientRect();
      return document.documentElement.clientWidth - box.right;
    })"""
    with visiting(browser, demo.console, demo.cookie) as visitor:
        shown = visitor.page()
        for width in (*WIDTHS, 2200):
            shown.set_viewport_size({"width": width, "height": 900})
            visitor.open("/console/topics", shown)
            free, below = shown.evaluate(ends)
            assert free == pytest.approx(below, abs=1), width
            assert free >= 12, width

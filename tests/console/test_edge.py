"""The console's edge: rights, forms of other sites, open redirects, headers, switches, twins (S19, S8, S13)."""

from __future__ import annotations

import pytest

from hub.console import assets
from hub.console.edge import HOME, LOG_IN_BYTES, SAID, safe_path
from hub.console.views import ACTIONS
from hub.console.views import PAGES as ALL
from tests.support.console import Console, form_token

RANK = {"viewer": "vera", "operator": "olaf", "administrator": "anna"}
ORDER = list(RANK)
PAGES = [page for page in ALL if page.template]


def filled(path: str) -> str:
    """A path with names that nothing has."""
    return "/".join("nothing-here" if part.startswith("{") else part for part in path.split("/"))


def test_S8_every_page_and_twin_wants_somebody_who_is_logged_in(console: Console) -> None:
    with console.browser() as nobody:
        for page in PAGES:
            path = f"/console{filled(page.path)}"
            answer = nobody.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/console/log-in?next=")
            twin = nobody.get(f"{path.rstrip('/') if page.path != '/' else '/console/overview'}.json")
            assert (twin.status_code, twin.json()["code"]) == (401, "NotAuthenticated")
        for action in ACTIONS:
            answer = nobody.post(f"/console{filled(action.path)}", data={"token": "0" * 64})
            assert answer.headers["location"].startswith("/console/log-in"), action.path


def test_S8_a_role_does_what_it_may_and_no_more(console: Console) -> None:
    for role, name in RANK.items():
        with console.as_(name) as client:
            token = form_token(client)
            for page in PAGES:
                may = ORDER.index(role) >= ORDER.index(page.role)
                code = client.get(f"/console{filled(page.path)}").status_code
                assert (code != 403) == may, (page.path, role)
            for action in ACTIONS:
                if ORDER.index(role) < ORDER.index(action.role):
                    refused = client.post(f"/console{filled(action.path)}", data={"token": token})
                    assert refused.status_code == 403, (action.path, role)


def test_S19_a_form_without_the_sessions_token_or_of_another_site_does_nothing(console: Console) -> None:
    with console.as_("anna") as client, console.as_("anna") as other:
        for action in ACTIONS:
            path = f"/console{filled(action.path)}"
            for token in ("", "0" * 64, form_token(other)):
                refused = client.post(path, data={"token": token})
                assert (refused.status_code, "not of this session" in refused.text) == (403, True), action.path
            foreign = client.post(path, data={"token": form_token(client)}, headers={"Origin": "https://evil.example"})
            assert (foreign.status_code, foreign.json()["code"]) == (403, "OriginRefused")
            assert client.get(path).status_code in (404, 405), "nothing is done by looking"


@pytest.mark.parametrize(
    "path",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/console//evil.example", "/console/\\evil", "/api/v1",
     "javascript:alert(1)", "/console/\r\nSet-Cookie: a=b", "/console", "", "/console/../api", "https:/console/",
     "//[", "/console/["],
)  # fmt: skip
def test_S19_no_link_leads_out_of_the_console(console: Console, path: str) -> None:
    assert safe_path(path) in (HOME, "/console/[", "/console/../api"), "a browser makes the latter /api on this host"
    with console.as_("vera") as client:
        assert client.get("/console/log-in", params={"next": path}).headers["location"].startswith("/console/")


def test_an_address_that_is_no_page_is_answered_with_one(console: Console) -> None:
    with console.as_("vera", **{"Accept-Language": "zh"}) as client:
        lost = client.get("/console/no/such-page")
        assert (lost.status_code, "没有找到。" in lost.text, 'href="/console/topics"' in lost.text) == (404, True, True)
        assert client.get("/api/v1/no/such-page").json()["code"] == "NotFound", "what programs ask for stays JSON"
    with console.browser() as nobody:
        lost = nobody.get("/console/no/such-page")
        assert (lost.status_code, 'href="/console/topics"' in lost.text) == (404, False)


def test_a_form_or_cookie_that_no_page_made_is_refused_in_words(console: Console) -> None:
    with console.as_("vera") as client:
        for path in ("/console/health/read-again", "/console/log-out"):
            refused = client.post(path, data={"token": "é"})
            assert (refused.status_code, "not of this session" in refused.text) == (403, True), path
        client.cookies.set(SAID, "[" * 40_000, path="/console/", domain="127.0.0.1")
        assert client.get("/console/health").status_code == 200
    with console.browser() as nobody:
        assert nobody.post("/console/log-in", data={"name": "vera", "next": "x" * LOG_IN_BYTES}).status_code == 413


def test_names_that_nobody_has_are_not_remembered(console: Console) -> None:
    with console.browser() as client:
        before = assets._read.cache_info().currsize
        for number in range(20):
            assert client.get(f"/console/static/0/none-{number}.css").status_code == 404
        assert assets._read.cache_info().currsize == before


def test_S19_pages_are_not_framed_cached_or_scripted(console: Console) -> None:
    with console.as_("vera") as client:
        for page in PAGES:
            if page.role != "viewer" or "{" in page.path:
                continue
            answer = client.get(f"/console{page.path}")
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self';" in policy
            assert ("'unsafe-inline'" in policy) == page.charts
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer.headers
            assert "<script>" not in answer.text
            assert " on" not in answer.text.replace(" one", "").split("<body>")[0]
            assert len(answer.content) <= 100_000


def test_twins_have_what_pages_show_for_sessions_and_the_operators_token(console: Console) -> None:
    with console.as_("vera") as client:
        shown = client.get("/console/health.json").json()
        assert shown["checks"] == {"log": True, "store": True}
        assert client.get("/console/people.json").status_code == 403
    with console.browser(**console.key) as script:
        assert script.get("/console/health.json").json()["settings"] == shown["settings"]
        assert [p["name"] for p in script.get("/console/people.json").json()["people"]] == ["anna", "olaf", "vera"]
        assert script.get("/console/people").status_code == 303, "a page is for a session"
    with console.browser(Authorization="Bearer dtg.0.0") as stranger:
        assert stranger.get("/console/health.json").status_code == 401


def test_the_switches_are_kept_and_lead_back_to_the_same_page(console: Console) -> None:
    with console.as_("vera") as client:
        client.headers["Accept-Language"] = "de;q=0.9, zh-CN;q=0.5, en;q=0.1"
        assert '<html lang="zh-CN" data-theme="auto">' in client.get("/console/health").text
        page = client.get("/console/health?x=1&language=en").text
        assert '<html lang="en"' in page
        assert 'href="/console/health?x=1&amp;language=zh"' in page
        client.get("/console/health?theme=dark")
        assert '<html lang="en" data-theme="dark">' in client.get("/console/health").text
        client.get("/console/health?language=xx&theme=<script>")
        assert '<html lang="en" data-theme="dark">' in client.get("/console/health").text


def test_files_are_kept_for_good_and_found_by_what_is_in_them(console: Console) -> None:
    with console.browser() as client:
        page = client.get("/console/log-in").text
        path = next(part for part in page.split('"') if part.endswith("/console.css"))
        answer = client.get(path)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
        assert plain.text == answer.text
        for wrong in (path.replace("console.css", "no.css"), "/console/static/0000/console.css",
                      "/console/static/0/..%2F..%2Fapp.py"):  # fmt: skip
            assert client.get(wrong).status_code == 404


def test_an_action_says_what_it_did_once(console: Console) -> None:
    with console.as_("anna") as client:
        form = {"token": form_token(client), "name": "new.one", "role": "viewer", "password": "a long enough one"}
        done = client.post("/console/people/add", data=form)
        assert (done.status_code, done.headers["location"]) == (303, "/console/people")
        assert "new.one may log in." in client.get("/console/people").text
        assert "new.one may log in." not in client.get("/console/people").text
        again = client.post("/console/people/add", data=form)
        assert (again.status_code, 'value="new.one"' in again.text) == (422, True)
        assert "a long enough one" not in again.text
        assert console.api("/people").json()["people"][1]["name"] == "new.one"
        client.post("/console/people/new.one/role", data={"token": form["token"], "role": "operator"})
        assert console.api("/people").json()["people"][1]["role"] == "operator"
        client.post("/console/people/new.one/remove", data={"token": form["token"]})
        assert len(console.api("/people").json()["people"]) == 3
        assert client.post("/console/people/anna/remove", data={"token": form["token"]}).status_code == 409
        own_role = client.post("/console/people/anna/role", data={"token": form["token"], "role": "viewer"})
        assert own_role.status_code == 409, "nobody would be left to mend it"

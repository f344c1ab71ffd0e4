"""From a request to a page and back: session, language, rights, forms, headers. No page knows of any of it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import URL

from hub.api.guard import bearer
from hub.api.hosts import LOOPBACK, hostname
from hub.api.problems import from_error, status_of
from hub.app import Hub
from hub.console.pages import Action, Asked, Page, Shown, trouble
from hub.console.render import THEMES, Look, render
from hub.console.texts import LANGUAGES, Texts, chosen
from hub.errors import DatongError, LimitExceeded, NotAuthenticated, NotFound, NotGranted
from hub.logs import audit_logger
from hub.people import Person, form_token
from hub.store.people import Role

HOME, LOG_IN = "/console/", "/console/log-in"
SESSION, LANGUAGE, THEME, SAID = "datong_session", "datong_language", "datong_theme", "datong_said"
FOLLOWS = "datong-follows"  # a header of requests that a page makes by itself
YEAR_S = 365 * 24 * 3600
MOST_FIELDS = 200  # of a form
LOG_IN_BYTES = 16 * 1024
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What is known of a request before any page is."""

    hub: Hub
    request: Request
    look: Look
    form: Mapping[str, str]

    @property
    def session(self) -> str:
        """The secret of the cookie, or nothing."""
        return self.request.cookies.get(SESSION, "")

    def require_own_form(self, person: Person) -> None:
        """Raises NotGranted unless the form carries the session's own token (S19)."""
        if not hmac.compare_digest(self.form.get("token", "").encode(), person.token.encode()):
            raise NotGranted("the form is not of this session", rule="form_token")

    def asked(self, person: Person) -> Asked:
        """The request as pages see it."""
        return Asked(
            hub=self.hub,
            person=person,
            language=self.look.texts.language,
            path=self.request.path_params,
            query=self.request.query_params,
            form=self.form,
        )


Handler = Callable[[Visit], Response]


def endpoint(hub: Hub, handle: Handler, most: int | None = None) -> Callable[[Request], Any]:
    """An endpoint that works in a thread, keeps the switches, and answers errors with a page. `most`: bytes of a form, where
    nobody need be known to send one."""

    async def answer(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if most is not None and len(body) > most:
                raise LimitExceeded(f"this form has at most {most:,} bytes")
        return await run_in_threadpool(_answer, hub, request, bytes(body), handle)

    return answer


def page(hub: Hub, made: Page) -> Callable[[Request], Any]:
    """A page as HTML."""

    def handle(visit: Visit) -> Response:
        person = _person(visit)
        person.require(made.role)
        values = made.show(visit.asked(person))
        said = visit.request.cookies.get(SAID, "")
        response = html(made.template, _of(visit, made, said), values)
        if said:
            response.delete_cookie(SAID, path=HOME)
        return response

    return endpoint(hub, handle)


def twin(hub: Hub, made: Page) -> Callable[[Request], Any]:
    """What a page shows, as JSON: to a session, the operator's token or a person's. Errors are problem details."""

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(handle, request)

    def handle(request: Request) -> Response:
        try:
            person = _holder(hub, request)
            if person is None:
                raise NotAuthenticated("nobody is logged in", remedy="log in, or send the operator's bearer token")
            person.require(made.role)
            visit = Visit(hub=hub, request=request, look=_look(request, person), form={})
            headers = {"Cache-Control": f"private, max-age={made.kept_s}"} if made.kept_s else None
            return JSONResponse(made.show(visit.asked(person)), headers=headers)
        except DatongError as error:
            return from_error(error)

    return answer


def action(hub: Hub, made: Action) -> Callable[[Request], Any]:
    """What a posted form does: only with the session's own token in it (S19), and only for who may."""

    def handle(visit: Visit) -> Response:
        person = _person(visit)
        visit.require_own_form(person)
        person.require(made.role)
        done = made.act(visit.asked(person))
        if isinstance(done, Shown):
            return html(done.page.template, _of(visit, done.page, ""), done.values, done.status)
        audit_logger("datong.console").info(done.said, by=person.name, **visit.request.path_params)
        response = RedirectResponse(done.to, status_code=303)
        _keep(response, visit.request, SAID, quote(json.dumps([done.said, dict(done.about), done.well])), None)
        return response

    return endpoint(hub, handle)


def log_in_form(visit: Visit) -> Response:
    """The page to log in at; whoever is logged in goes on."""
    ahead = safe_path(visit.request.query_params.get("next", HOME))
    if visit.look.person is not None:
        return RedirectResponse(ahead, status_code=303)
    return _log_in_page(visit, ahead)


def log_in(visit: Visit) -> Response:
    """A new session for a right password; any the browser brought along ends (S27)."""
    ahead = safe_path(visit.form.get("next", HOME))
    name = visit.form.get("name", "")
    if not _private(visit.request):
        return _log_in_page(visit, ahead, failed="log_in.not_private", status=403)
    client = visit.request.client.host if visit.request.client else ""
    try:
        session = visit.hub.people.log_in(name, visit.form.get("password", ""), client, loopback=_local(visit.request))
    except DatongError as error:
        audit_logger("datong.console").info("log_in_refused", address=client, why=error.code)
        failed = "log_in.wrong" if isinstance(error, NotAuthenticated) else "log_in.wait"
        return _log_in_page(visit, ahead, failed=failed, status=status_of(error))
    visit.hub.people.log_out(visit.session)
    audit_logger("datong.console").info("logged_in", by=name)
    response = RedirectResponse(ahead, status_code=303)
    _keep(response, visit.request, SESSION, session, None)
    return response


def log_out(visit: Visit) -> Response:
    """End the session, with its own form only."""
    if visit.look.person is not None:
        visit.require_own_form(visit.look.person)
    visit.hub.people.log_out(visit.session)
    response = RedirectResponse(LOG_IN, status_code=303)
    response.delete_cookie(SESSION, path=HOME)
    return response


def nothing(_visit: Visit) -> Response:
    """An address that is none of the console's: a person gets a page in their language."""
    raise NotFound("the console has no such page", remedy="take it from the navigation")


def html(template: str, look: Look, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page with its headers."""
    response = HTMLResponse(render(template, look, values), status_code=status)
    styles = " 'unsafe-inline'" if look.charts else ""  # plotly sets styles of its own (S18)
    response.headers["Content-Security-Policy"] = POLICY.format(styles=styles)
    response.headers["Referrer-Policy"] = "same-origin"  # without any, a form's Origin would be null
    response.headers["X-Frame-Options"] = "DENY"
    return response


def safe_path(path: str) -> str:
    """A path of the console, whatever was asked for (S19: no open redirect)."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return HOME
    inside = path.startswith(HOME) and not parts.scheme and not parts.netloc and "\\" not in path and "//" not in path
    return path if inside and path.isprintable() else HOME


def _answer(hub: Hub, request: Request, body: bytes, handle: Handler) -> Response:
    look, form = _look(request, None), _fields(body) if request.method == "POST" else {}
    try:
        look = replace(look, person=session_of(hub, request, touch=FOLLOWS not in request.headers))
        response = handle(Visit(hub=hub, request=request, look=look, form=form))
    except _LoggedOut:
        response = RedirectResponse(f"{LOG_IN}?next={quote(look.path)}", status_code=303)
    except DatongError as error:
        values = trouble(error)
        response = html("error.html", look, values, status_of(error))
    for name, known in ((LANGUAGE, LANGUAGES), (THEME, THEMES)):
        given = request.query_params.get(name.removeprefix("datong_"), "")
        if given in known:
            _keep(response, request, name, given, YEAR_S)
    return response


class _LoggedOut(Exception):
    """Nobody is logged in."""


def _person(visit: Visit) -> Person:
    if visit.look.person is None:
        raise _LoggedOut
    return visit.look.person


def session_of(hub: Hub, request: Request, *, touch: bool) -> Person | None:
    """Who is logged in. `touch`: somebody is at work; a page that follows by itself is nobody (S27)."""
    session = request.cookies.get(SESSION)
    return hub.people.whose(session, touch=touch) if session else None


def _holder(hub: Hub, request: Request) -> Person | None:
    if "authorization" not in request.headers:
        return session_of(hub, request, touch=FOLLOWS not in request.headers)
    caller = hub.authenticate(bearer(request))
    if caller.role == "agency":
        raise NotGranted("only an operator may do this", rule="operator_only")
    return Person(name=caller.by, role=cast(Role, caller.rank), token=form_token(caller.token_id))


def _look(request: Request, person: Person | None) -> Look:
    query, cookies = request.query_params, request.cookies
    language = chosen(query.get("language"), cookies.get(LANGUAGE), request.headers.get("accept-language", ""))
    themes = [theme for theme in (query.get("theme"), cookies.get(THEME)) if theme in THEMES]
    page = request.url if request.method in ("GET", "HEAD") else _came_from(request)
    kept = [(name, value) for name, value in parse_qsl(page.query) if name not in ("language", "theme")]
    return Look(
        texts=Texts(language),
        theme=themes[0] if themes else THEMES[0],
        person=person,
        path=quote(page.path) + (f"?{urlencode(kept)}" if kept else ""),
    )


def _came_from(request: Request) -> URL:
    """The page that a form was on: where the switches of the answer lead."""
    try:
        came_from = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return URL(HOME)
    return URL(safe_path(f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path))


def _of(visit: Visit, made: Page, said: str) -> Look:
    told, well = _said(said, visit.look.texts)
    return replace(visit.look, area=made.area, charts=made.charts, said=told, said_well=well)


def _said(kept: str, t: Texts) -> tuple[str, bool]:
    """What the last action did, and whether well. The cookie is the browser's to change: at worst it is told nothing."""
    try:
        key, about, well = json.loads(unquote(kept))
        return t(f"said.{key}", **about), well is True
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return "", True


def _log_in_page(visit: Visit, ahead: str, *, failed: str = "", status: int = 200) -> Response:
    values = {"next": ahead, "failed": failed, "demo": visit.hub.people.has_demo and _local(visit.request)}
    return html("log_in.html", visit.look, values, status)


def _local(request: Request) -> bool:
    """From this machine, to an address that only this machine reaches."""
    client = request.client.host if request.client else ""
    return client in LOOPBACK and hostname(request.headers.get("host", "")) in LOOPBACK


def _private(request: Request) -> bool:
    """May a password travel this way? Over TLS, or within this machine."""
    return request.url.scheme == "https" or _local(request)


def _keep(response: Response, request: Request, name: str, value: str, for_s: int | None) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=for_s, path=HOME, secure=secure, httponly=True, samesite="lax")


def _fields(body: bytes) -> dict[str, str]:
    """A form's fields, the last of each name."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:  # no UTF-8, or too many fields
        return {}

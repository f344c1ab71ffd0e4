"""One page of a web service, whole or not at all: tries, waits, redirects, and what each bad answer means (F13)."""

from __future__ import annotations

import base64
import email.utils
import random
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import structlog

from connectors.context import SourceContext
from connectors.outbound import TargetRefused
from connectors.sources.rest_specs import Auth, RestSpec
from hub.errors import AnswerRefused, ConfigurationInvalid, FileRefused, SourceUnavailable

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524})
NOT_ALLOWED = frozenset({401, 403, 407})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
FIRST_WAIT_S = 0.5
TOLD_S = 5.0  # a wait that somebody who looks on would wonder about
TOKEN_EARLY_S = 60.0
TOKEN_LIFETIME_S = 300.0
Result = TypeVar("Result")
log = structlog.get_logger("datong.rest")
JSON_TYPES = ("application/json", "text/json", "application/geo+json", "application/problem+json")


@dataclass(frozen=True, kw_only=True)
class Page:
    """An answer with 200, its whole body unpacked."""

    url: str  # where it came from in the end
    body: bytes
    link: str  # the header `Link`


class Missing(Exception):
    """The service answered 404."""


class _Passing(Exception):
    """Worth another try; `wait_s` when the service said how long. `busy`: it did answer, by that it cannot now."""

    def __init__(self, reason: str, wait_s: float | None = None, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.busy = wait_s, busy


class Answers:
    """Asks for pages. One thread uses it, except `close`."""

    def __init__(self, spec: RestSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        ca_file = context.certificate(spec.ca_file)
        try:
            self._client = context.outbound.client(timeout_s=spec.timeout_s, ca_file=ca_file)
        except OSError as error:
            raise ConfigurationInvalid(
                "the certificate file cannot be read", where="source.ca_file", remedy="a PEM file below the files root"
            ) from error
        self._closed = threading.Event()
        self._token, self._token_until = "", 0.0
        self._hosts = {_host(spec.url), *(_with_port(h, spec.url) for h in spec.redirects_to)}

    def close(self) -> None:
        """From any thread; what is under way ends."""
        self._closed.set()
        self._client.close()

    def page(
        self, url: str, parameters: Mapping[str, str], stop: threading.Event, parse: Callable[[Page], Result]
    ) -> Result:
        """What `parse` makes of a page, after as many tries as it takes. Raises SourceUnavailable, AnswerRefused, Missing.

        `parse` raises FileRefused or ValueError for a page that is not whole: it is asked for again."""
        wait = FIRST_WAIT_S
        for number in range(1, self._spec.tries + 1):
            try:
                page = self._parsed(self._once(url, parameters), parse)
            except _Passing as problem:
                away = SourceUnavailable(
                    str(problem), where=_where(url), remedy="the run is tried again later by itself"
                )
                if number == self._spec.tries or stop.is_set() or self._closed.is_set():
                    raise away from None
                asked = problem.wait_s if problem.wait_s is not None else wait * random.SystemRandom().uniform(0.5, 1.0)
                asked = min(asked, self._spec.wait_most_s)
                if asked >= TOLD_S or number > 1 or not problem.busy:  # who is busy once has not gone away
                    self._context.away(away)
                if asked >= TOLD_S:
                    log.warning(
                        "the service is asked again later", where=_where(url), why=str(problem), seconds=round(asked)
                    )
                stop.wait(asked)
                wait = min(wait * 2, self._spec.wait_most_s)
            else:
                self._context.away(None)
                return page
        raise AssertionError

    def _parsed(self, page: Page, parse: Callable[[Page], Result]) -> Result:
        try:
            return parse(page)
        except FileRefused as problem:
            raise _Passing(f"a page {problem.message}") from None
        except ValueError:
            raise _Passing("a page is not valid JSON") from None

    def _once(self, url: str, parameters: Mapping[str, str]) -> Page:
        deadline = time.monotonic() + self._spec.page_timeout_s
        here, query = url, {**self._secrets(self._spec.parameters), **parameters}
        for _hop in range(MOST_REDIRECTS + 1):
            answer = self._ask(here, query, deadline)
            if isinstance(answer, Page):
                return answer
            here, query = self._redirected(here, answer), {}
        raise AnswerRefused("redirects lead in a circle, or too far", where=_where(url))

    def _ask(self, url: str, query: Mapping[str, str], deadline: float) -> Page | str:
        """A page, or where it has moved to."""
        try:
            with self._client.stream("GET", url, params=_merged(url, query), headers=self._headers(url)) as response:
                return self._judge(response, url, deadline)
        except TargetRefused as refused:
            raise AnswerRefused(refused.message, where=refused.where, remedy=refused.remedy) from None
        except httpx.HTTPError as error:
            raise self._translated(error, url) from None
        except RuntimeError:  # the client was closed from another thread
            raise SourceUnavailable("the source was closed", where=_where(url)) from None

    def _judge(self, response: httpx.Response, url: str, deadline: float) -> Page | str:
        status = response.status_code
        if status in REDIRECTS:
            return str(response.headers.get("location", ""))
        if status in AGAIN:
            raise _Passing(
                f"the service answers {status}", _retry_after(response.headers.get("retry-after")), busy=True
            )
        if status in NOT_ALLOWED:
            self._token_until = 0.0
            raise AnswerRefused(
                f"the service refuses the log-in ({status})", where=_where(url), remedy="check `auth` and its secret"
            )
        if status == 404:
            raise Missing
        if status != 200:
            raise AnswerRefused(
                f"the service answers {status}", where=_where(url), remedy="check address and parameters"
            )
        body = self._body(response, url, deadline)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body.lstrip()[:1] == b"<" or (
            kind and kind not in JSON_TYPES and not kind.endswith("+json") and "html" in kind
        ):
            raise AnswerRefused(
                f"CONTENT_TYPE: the service answers 200 with {kind or 'a page'} that is not JSON",
                where=_where(url),
                remedy="a log-in page or a proxy may stand in between: open the address in a browser on this machine",
            )
        return Page(url=url, body=body, link=response.headers.get("link", ""))

    def _body(self, response: httpx.Response, url: str, deadline: float) -> bytes:
        """All of it, unpacked within bounds; a body that is cut off is worth another try, never a part of a page."""
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("identity", "", "gzip", "x-gzip"):
            raise AnswerRefused(f"the service packs its answer by `{packed[:30]}`", where=_where(url))
        parts = self._parts(response, url, deadline)
        return b"".join(self._bounded(_gunzip(parts) if packed.endswith("gzip") else parts, url))

    def _parts(self, response: httpx.Response, url: str, deadline: float) -> Iterator[bytes]:
        for part in response.iter_raw():
            yield part
            if time.monotonic() > deadline:
                raise _Passing(f"the page took longer than {self._spec.page_timeout_s:g} s")
            if self._closed.is_set():
                raise SourceUnavailable("the source was closed", where=_where(url))

    def _bounded(self, parts: Iterator[bytes], url: str) -> Iterator[bytes]:
        size = 0
        for part in parts:
            size += len(part)
            if size > self._spec.page_bytes:
                raise AnswerRefused(
                    f"a page is larger than {self._spec.page_bytes:,} bytes",
                    where=_where(url),
                    remedy="ask for smaller pages, or raise `page_bytes`",
                )
            yield part

    def _redirected(self, url: str, location: str) -> str:
        """Raises AnswerRefused for a target that the connector does not name."""
        target = str(httpx.URL(url).join(location)) if location else ""
        self.check_host(target)
        if url.startswith("https:") and not target.startswith("https:"):
            raise AnswerRefused("a redirect leads from HTTPS to HTTP", where=_where(url))
        return target

    def check_host(self, url: str) -> None:
        """Raises AnswerRefused unless the connector may go there."""
        if not url.startswith(("http://", "https://")) or _host(url) not in self._hosts:
            raise AnswerRefused(
                "a redirect or next page leads to another host",
                where=_where(url),
                remedy="if that is right, name the host under `redirects_to`",
            )

    def _translated(self, error: httpx.HTTPError, url: str) -> Exception:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return AnswerRefused(
                    f"the service's certificate is not trusted ({cause.verify_message})",
                    where=_where(url),
                    remedy="the service's operator renews it, or `ca_file` names its authority",
                )
            cause = cause.__cause__ or cause.__context__
        return _Passing(f"the service did not answer as it should ({type(error).__name__})")

    def _headers(self, url: str) -> dict[str, str]:
        """With the log-in, which goes to the address's own host only."""
        made = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "datong"}
        if _host(url) == _host(self._spec.url):
            made |= self._secrets(self._spec.headers)
            if self._spec.auth is not None:
                made |= self._log_in(self._spec.auth)
        return made

    def _log_in(self, auth: Auth) -> dict[str, str]:
        secret = self._context.secret(auth.secret)
        if auth.by == "header":
            return {auth.name: secret}
        if auth.by == "basic":
            pair = f"{self._context.secret(auth.user)}:{secret}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        if auth.by == "bearer":
            return {"Authorization": f"Bearer {secret}"}
        return {"Authorization": f"Bearer {self._fresh_token(auth, secret)}"}

    def _fresh_token(self, auth: Auth, secret: str) -> str:
        """Kept until shortly before it ends."""
        if time.monotonic() < self._token_until:
            return self._token
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        where = _where(auth.token_url)
        try:
            answer = self._client.post(auth.token_url, data=form, auth=(self._context.secret(auth.user), secret))
        except TargetRefused as refused:
            raise AnswerRefused(refused.message, where=refused.where, remedy=refused.remedy) from None
        except httpx.HTTPError as error:
            raise self._translated(error, auth.token_url) from None
        if answer.status_code in AGAIN:
            raise _Passing("the token service is busy", _retry_after(answer.headers.get("retry-after")), busy=True)
        try:
            found = answer.raise_for_status().json()
            self._token, lifetime = str(found["access_token"]), float(found.get("expires_in", TOKEN_LIFETIME_S))
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            raise AnswerRefused(
                f"the token service gives no token ({answer.status_code})", where=where, remedy="check `auth`"
            ) from None
        self._token_until = time.monotonic() + max(lifetime - TOKEN_EARLY_S, lifetime / 2)
        return self._token

    def _secrets(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: self._context.secret(value) for name, value in values.items()}


def _gunzip(parts: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        for part in parts:
            while part:
                made = inflate.decompress(part, 1 << 20)
                if made:
                    yield made
                part = inflate.unconsumed_tail
    except zlib.error:
        raise _Passing("the answer's gzip is damaged") from None
    if not inflate.eof:
        raise _Passing("the answer's gzip ends early")


def _merged(url: str, query: Mapping[str, str]) -> httpx.QueryParams:
    return httpx.QueryParams(urlsplit(url).query).merge(query)


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max((when - datetime.now(UTC)).total_seconds(), 0.0) if when.tzinfo else None


def _host(url: str) -> str:
    """`host:port`, lower case."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return ""
    return f"{(parts.hostname or '').lower()}:{port or (443 if parts.scheme == 'https' else 80)}"


def _with_port(host: str, url: str) -> str:
    """A host as named in the settings; without a port, that of the scheme."""
    return host.lower() if ":" in host else _host(f"{urlsplit(url).scheme}://{host}")


def _where(url: str) -> str:
    """An address without its query, which may hold secrets or persons."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"

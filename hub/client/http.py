"""The hub's HTTP API as a subscriber calls it: paths, retries, and answers that are errors as our own errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from hub.errors import (
    Conflict,
    DatongError,
    GroupBusy,
    LimitExceeded,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    NotGranted,
    OffsetOutOfRange,
    SourceUnavailable,
)

READER_HEADER = "X-Datong-Reader"
PASSING = (429, 502, 503, 504)  # statuses worth another try
ASK = "ask the hub's operator for one (`datong token issue`)"
LONGEST_WAIT = 30.0  # seconds between tries


@dataclass(frozen=True, kw_only=True)
class Retrying:
    """How often and how patiently a call is repeated. Every call here may be repeated without harm."""

    tries: int = 5
    first_wait_s: float = 0.5  # doubled each time


def bearer(token: str) -> str:
    """The header that shows a token. Raises NotAuthenticated for what cannot be one, before anything is sent."""
    if not token.strip():
        raise NotAuthenticated("the token is empty", remedy=f"{ASK}; is the variable or file it comes from set?")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise NotAuthenticated(
            "the token has blanks, line ends or characters that no token has",
            remedy=f"take it as it was given; or {ASK}",
        )
    return f"Bearer {token}"


class GroupApi:
    """The endpoints of one consumer group of one topic."""

    def __init__(
        self, client: httpx.Client, headers: Mapping[str, str], place: tuple[str, str], retrying: Retrying
    ) -> None:
        self._client, self._headers, self._retrying = client, dict(headers), retrying
        topic, group = (quote(name, safe="") for name in place)
        self._path = f"/api/v1/topics/{topic}/consumers/{group}"

    def records(self, params: Mapping[str, str | int], media_type: str) -> httpx.Response:
        """The batch after the last commit, in a form that the hub has. It comes again until it is committed."""
        headers = {"Accept": media_type}
        response = self._send("GET", "records", headers=headers, params=dict(params))
        if response.headers.get("content-type", "").partition(";")[0] != media_type:
            raise SourceUnavailable(
                f"the hub, or what stands before it, did not answer with {media_type}",
                remedy="is the URL the hub's, and the hub not older than this client?",
            )
        return response

    def commit(self, positions: Mapping[int, int]) -> dict[str, Any]:
        """Move the cursor to positions of an answer."""
        return _json(self._send("POST", "offsets", json={"positions": {str(p): at for p, at in positions.items()}}))

    def seek(self, to: str | Mapping[int, int]) -> dict[str, Any]:
        """Move the cursor: `earliest`, `latest`, or positions."""
        body = to if isinstance(to, str) else {str(p): at for p, at in to.items()}
        return _json(self._send("POST", "seek", json={"to": body}))

    def leave(self) -> None:
        """Let the group's next reader in. Tried once."""
        self._send("DELETE", "lease", tries=1)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, tries: int = 0, **arguments: Any
    ) -> httpx.Response:
        """A success; anything else raises."""
        everything = {**self._headers, **(headers or {})}
        wait = self._retrying.first_wait_s
        for left in reversed(range(tries or self._retrying.tries)):
            try:
                response = self._client.request(method, f"{self._path}/{path}", headers=everything, **arguments)
            except httpx.TransportError as error:
                if not left:
                    raise SourceUnavailable(
                        f"the hub does not answer ({type(error).__name__})",
                        remedy="is it running, and is the URL right?",
                    ) from error
            else:
                if response.status_code not in PASSING or not left:
                    return _success(response)
                wait = max(wait, _asked_wait(response))
            time.sleep(min(wait, LONGEST_WAIT))
            wait *= 2
        raise AssertionError("the last try returns or raises")


def _asked_wait(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


def _success(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    body = _json(response)
    detail = str(body.get("detail") or f"the hub answered {response.status_code}")
    remedy = str(body.get("remedy") or "")
    raise _error(response.status_code, str(body.get("code") or ""), detail, remedy)


def _error(status: int, code: str, detail: str, remedy: str) -> DatongError:
    if status == 403:
        return NotGranted(detail, rule="not_granted", remedy=remedy)
    if status == 410:
        return OffsetOutOfRange(detail, earliest=0)
    if status == 409:
        return (GroupBusy if code == "GroupBusy" else Conflict)(detail, remedy=remedy)
    if status in PASSING:
        return SourceUnavailable(detail, remedy=remedy or "try again later")
    if status == 406:
        return NotAcceptable(detail, remedy=remedy)
    kinds: Mapping[int, type[DatongError]] = {401: NotAuthenticated, 404: NotFound, 413: LimitExceeded}
    return kinds.get(status, DatongError)(detail, remedy=remedy)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = {}
    return body if isinstance(body, dict) else {}

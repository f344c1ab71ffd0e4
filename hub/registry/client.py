"""Calls to a registry over HTTP, ours or anybody's: paths, and answers that are errors as errors again (registry-api §1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from hub.errors import (
    ConfigurationInvalid,
    Conflict,
    DatongError,
    NotAuthenticated,
    NotFound,
    NotGranted,
    RegistryUnavailable,
    SchemaIncompatible,
    SchemaInvalid,
)
from hub.registry.model import Draft

ACCEPT = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"
TYPE = "application/vnd.schemaregistry.v1+json"
MAX_MESSAGE = 2_000  # characters of somebody else's answer that are shown
Answer = Any


class RegistryClient:
    """One registry. `http` has its base URL and credentials; every call may be repeated."""

    def __init__(self, http: httpx.Client, prefix: str = "") -> None:
        self._http, self._prefix = http, prefix

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Answer:
        """Raises NotFound, RegistryUnavailable, NotAuthenticated and so on, for all four verbs."""
        return self._call("GET", path, None, params)

    def post(self, path: str, body: Any, **params: Any) -> Answer:
        """The answer's JSON."""
        return self._call("POST", path, body, params)

    def put(self, path: str, body: Any, **params: Any) -> Answer:
        """The answer's JSON."""
        return self._call("PUT", path, body, params)

    def delete(self, path: str, **params: Any) -> Answer:
        """The answer's JSON."""
        return self._call("DELETE", path, None, params)

    def maybe(self, path: str, **params: Any) -> Answer:
        """A GET whose object may be missing, or unknown to that registry: None then."""
        try:
            return self.get(path, **params)
        except NotFound:
            return None

    def _call(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> Answer:
        sent = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in params.items() if v is not None}
        headers = {"Accept": ACCEPT, **({} if body is None else {"Content-Type": TYPE})}
        content = None if body is None else httpx.Request("POST", "http://x", json=body).read()
        try:
            response = self._http.request(
                method, f"{self._prefix}{path}", content=content, params=sent, headers=headers
            )
        except httpx.TransportError as error:
            raise RegistryUnavailable(f"the schema registry does not answer ({type(error).__name__})") from error
        if response.is_success:
            return _json(response)
        raise error_of(response)


class SplitClient(RegistryClient):
    """A registry, and a hub beside it that answers for people (`/-/…`)."""

    def __init__(self, http: httpx.Client, hub: RegistryClient) -> None:
        super().__init__(http)
        self._hub = hub

    def _call(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> Answer:
        if path.startswith("/-/"):
            return self._hub._call(method, path, body, params)
        return super()._call(method, path, body, params)


def error_of(response: httpx.Response) -> DatongError:
    """The error that a registry answered with."""
    status = response.status_code
    if status >= 500 or status in (408, 429):
        return RegistryUnavailable(f"the schema registry answered {status}")
    try:
        message = str(response.json()["message"])[:MAX_MESSAGE]
    except (ValueError, KeyError, TypeError):
        message = f"the schema registry answered {status}"
    if status == 403:
        return NotGranted(message, rule="registry")
    if status == 409:
        return SchemaIncompatible(message, incompatibilities=(message,))
    code = _code(response)
    kinds: Mapping[int, type[DatongError]] = {
        401: NotAuthenticated,
        404: NotFound,
        405: NotFound,
        42201: SchemaInvalid,
        42205: Conflict,
        42206: Conflict,
        42208: SchemaInvalid,
    }
    return kinds.get(code, kinds.get(status, ConfigurationInvalid))(message)


def subject_path(subject: str, rest: str = "") -> str:
    """`/subjects/<subject>/…` with the name encoded."""
    return f"/subjects/{quote(subject, safe='')}{rest}"


def body_of(draft: Draft) -> dict[str, Any]:
    """A schema as it is sent."""
    body: dict[str, Any] = {"schema": draft.text, "schemaType": "AVRO"}
    if draft.references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in draft.references]
    if draft.metadata is not None:
        body["metadata"] = draft.metadata
    if draft.rule_set is not None:
        body["ruleSet"] = draft.rule_set
    return body


def _code(response: httpx.Response) -> int:
    try:
        return int(response.json()["error_code"])
    except (ValueError, KeyError, TypeError):
        return response.status_code


def _json(response: httpx.Response) -> Answer:
    try:
        return response.json() if response.content else None
    except ValueError as error:
        raise RegistryUnavailable("the schema registry answered with something that is not JSON") from error

"""What handlers ask for: the desk, an operator behind a token, a body."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from hub.api.connect.answers import Refused
from hub.api.connect.desk import ConnectDesk
from hub.api.deps import hub_of
from hub.api.guard import bearer, require_operator
from hub.errors import NotAuthenticated
from hub.tokens import Caller

BASE = "connect.base"  # where the scope has what stands before the path: /connect, or nothing
ASK = "HTTP basic with the operator's token as the password, or Authorization: Bearer <token>"


def operator(request: Request) -> Caller:
    """Raises NotAuthenticated, or NotGranted unless an operator calls."""
    return require_operator(hub_of(request).authenticate(_token(request)))


def desk_of(request: Request, who: Annotated[Caller, Depends(operator)]) -> ConnectDesk:
    """The desk, for who asks."""
    return ConnectDesk(hub_of(request), who.by)


def _token(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return bearer(request)
    try:
        _user, _, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        password = ""
    if not 0 < len(password) <= 512:
        raise NotAuthenticated("this endpoint needs a password", remedy=ASK)
    return password


def location(request: Request, name: str) -> dict[str, str]:
    """The header that says where a new connector is; a whole URL, as Connect's."""
    host = request.headers["host"]
    return {"Location": f"{request.url.scheme}://{host}{request.scope[BASE]}/connectors/{name}"}


async def body_of(request: Request) -> Any:
    """The JSON of a body. Raises Refused."""
    try:
        return json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None


def _no_constant(_text: str) -> Any:
    raise ValueError("JSON has no such number")


def texts(given: object, *, nulls: bool = False) -> dict[str, str | None]:
    """A connector's flat configuration; numbers and truth values are taken as their texts. Raises Refused."""
    if not isinstance(given, Mapping):
        raise Refused(400, "a configuration is a JSON object of texts by name")
    made: dict[str, str | None] = {}
    for name, value in given.items():
        if isinstance(value, (dict, list)) or (value is None and not nulls):
            raise Refused(400, f"the value of `{name[:200]}` must be a text; lists are JSON within it")
        made[name] = value if value is None or isinstance(value, str) else json.dumps(value)
    return made


Body = Annotated[Any, Depends(body_of)]
DeskOf = Annotated[ConnectDesk, Depends(desk_of)]

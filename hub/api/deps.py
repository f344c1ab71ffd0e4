"""What handlers ask for: the hub, and the caller behind a bearer token."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from hub.api.guard import bearer, require_administrator, require_agency, require_operator
from hub.app import Hub
from hub.tokens import Caller


def hub_of(request: Request) -> Hub:
    """The hub that this application serves."""
    return cast(Hub, request.app.state.hub)


HubOf = Annotated[Hub, Depends(hub_of)]


def caller(request: Request, hub: HubOf) -> Caller:
    """Who calls. Raises NotAuthenticated."""
    return hub.authenticate(bearer(request))


def operator(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """Raises NotGranted unless an operator calls."""
    return require_operator(who)


def administrator(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """Raises NotGranted unless an administrator calls."""
    return require_administrator(who)


def agency(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """Raises NotGranted unless a subscribing agency calls."""
    return require_agency(who)


AgencyCaller = Annotated[Caller, Depends(agency)]
OperatorCaller = Annotated[Caller, Depends(operator)]

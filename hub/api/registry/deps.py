"""What handlers ask for: the registry, and who calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from hub.api.registry.by_id import ById
from hub.logs import audit_logger
from hub.registry import Registry
from hub.registry.access import Gate, Principal
from hub.registry.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything behind the HTTP API."""

    registry: Registry
    gate: Gate
    by_id: ById
    desk: Desk
    version: str
    healthy: Callable[[], bool]


async def service_of(request: Request) -> Service:
    """The service that this application serves."""
    return cast(Service, request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]


async def caller_of(request: Request, service: ServiceOf) -> Principal:
    """Who calls. Raises NotAuthenticated and NotGranted."""
    header = request.headers.get("authorization", "")
    known = service.gate.known(header)
    return known if known is not None else await run_in_threadpool(service.gate.admit, header)


CallerOf = Annotated[Principal, Depends(caller_of)]
AUTHENTICATED = [Depends(caller_of)]  # before anything else of a request is looked at


def audited(caller: Principal, action: str, subject: str | None, **facts: object) -> None:
    """A line for each change: who did what to which subject."""
    audit_logger("datong.registry").info(action, by=caller.name, subject=subject or "(all)", **facts)

"""How routers become part of an application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI


def take(app: FastAPI, router: APIRouter) -> None:
    """The router's routes, as it made them. `include_router` would make each of them a second time when one is first asked
    for, which costs a command that asks for one or two more than their answers."""
    app.router.routes.extend(router.routes)

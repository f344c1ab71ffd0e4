"""Levels and modes, of subjects and of all (registry-api §5 and §6)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from hub.api.registry import documented as doc
from hub.api.registry.answers import Json
from hub.api.registry.deps import AUTHENTICATED, CallerOf, Service, ServiceOf, audited
from hub.api.registry.requests import Body, BodyOf, Flag, SubjectOf, optional, true
from hub.registry.access import Principal
from hub.registry.errors import LevelInvalid, ModeInvalid
from hub.registry.model import Effective, check_subject, level_of, mode_of

LEVEL: dict[str, Any] = {"responses": doc.answers(doc.LEVEL)}
NEW_LEVEL: dict[str, Any] = {"responses": doc.answers(doc.NEW_LEVEL), "openapi_extra": doc.body(doc.NEW_LEVEL)}
MODE: dict[str, Any] = {"responses": doc.answers(doc.MODE)}
NEW_MODE: dict[str, Any] = {"responses": doc.answers(doc.MODE), "openapi_extra": doc.body(doc.NEW_MODE)}


def router() -> APIRouter:
    """Config and mode."""
    api = APIRouter(tags=["settings"], default_response_class=Json, dependencies=AUTHENTICATED)
    _global_level(api)
    _own_level(api)
    _global_mode(api)
    _own_mode(api)
    return api


def _global_level(api: APIRouter) -> None:
    @api.get("/config", **LEVEL)
    def level(service: ServiceOf) -> Json:
        """The global compatibility level."""
        return Json(_level(service.registry.settings.effective(None)))

    @api.put("/config", **NEW_LEVEL)
    def set_level(service: ServiceOf, caller: CallerOf, body: BodyOf) -> Json:
        """Change it; counts from the next request on."""
        return _set_level(service, caller, None, body)

    @api.delete("/config", **LEVEL)
    def clear_level(service: ServiceOf, caller: CallerOf) -> Json:
        """Back to BACKWARD."""
        return _clear_level(service, caller, None)


def _own_level(api: APIRouter) -> None:
    @api.get("/config/{subject}", **LEVEL)
    def level(service: ServiceOf, subject: SubjectOf, defaultToGlobal: Flag = "") -> Json:
        """A subject's own level."""
        if not true(defaultToGlobal):
            service.registry.settings.own_level(subject)
        return Json(_level(service.registry.settings.effective(subject)))

    @api.put("/config/{subject}", **NEW_LEVEL)
    def set_level(service: ServiceOf, caller: CallerOf, subject: SubjectOf, body: BodyOf) -> Json:
        """Change it; does not make the subject exist."""
        return _set_level(service, caller, subject, body)

    @api.delete("/config/{subject}", **LEVEL)
    def clear_level(service: ServiceOf, caller: CallerOf, subject: SubjectOf) -> Json:
        """Back to the global level."""
        return _clear_level(service, caller, subject)


def _global_mode(api: APIRouter) -> None:
    @api.get("/mode", **MODE)
    def mode(service: ServiceOf) -> Json:
        """The global mode."""
        return Json({"mode": service.registry.settings.effective(None).mode})

    @api.put("/mode", **NEW_MODE)
    def set_mode(service: ServiceOf, caller: CallerOf, body: BodyOf, force: Flag = "") -> Json:
        """Change it."""
        return _set_mode(service, caller, None, (body, true(force)))

    @api.delete("/mode", **MODE)
    def clear_mode(service: ServiceOf, caller: CallerOf) -> Json:
        """Back to READWRITE."""
        return _clear_mode(service, caller, None)


def _own_mode(api: APIRouter) -> None:
    @api.get("/mode/{subject}", **MODE)
    def mode(service: ServiceOf, subject: SubjectOf, defaultToGlobal: Flag = "") -> Json:
        """A subject's own mode."""
        settings = service.registry.settings
        return Json({"mode": settings.effective(subject).mode if true(defaultToGlobal) else settings.own_mode(subject)})

    @api.put("/mode/{subject}", **NEW_MODE)
    def set_mode(service: ServiceOf, caller: CallerOf, subject: SubjectOf, body: BodyOf, force: Flag = "") -> Json:
        """Change it."""
        return _set_mode(service, caller, subject, (body, true(force)))

    @api.delete("/mode/{subject}", **MODE)
    def clear_mode(service: ServiceOf, caller: CallerOf, subject: SubjectOf) -> Json:
        """Back to the global mode."""
        return _clear_mode(service, caller, subject)


def _level(found: Effective) -> dict[str, Any]:
    made: dict[str, Any] = {"compatibilityLevel": found.level}
    return {**made, "normalize": True} if found.normalise else made


def _set_level(service: Service, caller: Principal, subject: str | None, body: Body) -> Json:
    _may_set(caller, subject)
    normalise, named = optional(body, "normalize", bool), body.get("compatibility")
    if not (isinstance(named, str) or (named is None and normalise is not None)):
        raise LevelInvalid(named)
    level = None if named is None else level_of(named)
    service.registry.settings.set_level(subject, level, normalise)
    made = {k: v for k, v in (("compatibility", level), ("normalize", normalise)) if v is not None}
    audited(caller, "configured", subject, **made)
    return Json(made)


def _clear_level(service: Service, caller: Principal, subject: str | None) -> Json:
    caller.check_write(subject)
    old = service.registry.settings.clear_level(subject)
    audited(caller, "configured", subject, compatibility=None)
    return Json({"compatibilityLevel": old})


def _set_mode(service: Service, caller: Principal, subject: str | None, what: tuple[Body, bool]) -> Json:
    _may_set(caller, subject)
    body, force = what
    named = body.get("mode")
    if not isinstance(named, str):
        raise ModeInvalid(named)
    mode = mode_of(named)
    service.registry.settings.set_mode(subject, mode, force=force)
    audited(caller, "configured", subject, mode=mode, force=force)
    return Json({"mode": mode})


def _clear_mode(service: Service, caller: Principal, subject: str | None) -> Json:
    caller.check_write(subject)
    old = service.registry.settings.clear_mode(subject)
    audited(caller, "configured", subject, mode=None)
    return Json({"mode": old})


def _may_set(caller: Principal, subject: str | None) -> None:
    if subject is not None:
        check_subject(subject)
    caller.check_write(subject)

"""Errors as answers: one table from the error tree to HTTP status, RFC 9457 problem details everywhere."""

from __future__ import annotations

import json
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub import errors

STATUS: tuple[tuple[type[errors.DatongError], int], ...] = (  # the first that fits
    (errors.StorageFull, 507),
    (errors.RateExceeded, 429),
    (errors.Retry, 503),
    (errors.NotAuthenticated, 401),
    (errors.Denied, 403),
    (errors.LimitExceeded, 413),
    (errors.OffsetOutOfRange, 410),
    (errors.NotFound, 404),
    (errors.RevisionChanged, 412),
    (errors.Conflict, 409),
    (errors.SchemaIncompatible, 409),
    (errors.DirectoryInUse, 409),
    (errors.ConfigurationInvalid, 422),
    (errors.ExpressionInvalid, 422),
    (errors.SchemaInvalid, 422),
    (errors.NotAcceptable, 406),
    (errors.Reject, 422),
    (errors.DatongError, 500),
)
MEDIA_TYPE = "application/problem+json"
PATHS = "/api/v1/openapi.json has every path"
FRAMEWORK = {  # status → code, detail, remedy
    400: ("RequestInvalid", "the request cannot be read", PATHS),
    404: ("NotFound", "there is nothing at this path", PATHS),
    405: ("MethodNotAllowed", "this path does not take this method", PATHS),
}
EDGE = {  # codes that are no error of the hub's own tree
    "HostRefused": (421, "The Host header is none that this hub answers to: the setting `http.allowed_hosts`."),
    "OriginRefused": (403, "A page of another site sent the request."),
    "IdempotencyKeyInUse": (
        422,
        "The Idempotency-Key was another request's; 409 when its request is still being answered.",
    ),
    "RequestInvalid": (422, "The request does not fit the endpoint; 400 when it cannot be read at all."),
    "MethodNotAllowed": (405, "The path does not take this method."),
    "InternalError": (500, "A bug; the hub's log has its kind."),
}
log = structlog.get_logger("datong.api")


def status_of(error: errors.DatongError) -> int:
    """The HTTP status of an error of ours."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    remedy: str = "",
    mistakes: tuple[str, ...] = (),
    available: tuple[str, ...] = (),
) -> JSONResponse:
    """An answer with problem details. `code` is the error's class name, `remedy` the next step."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if remedy:
        body["remedy"] = remedy
    body |= {name: list(texts) for name, texts in (("mistakes", mistakes), ("available", available)) if texts}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status in (503, 429):
        headers["Retry-After"] = "2"
    return _Sound(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


class _Sound(JSONResponse):
    """JSON whatever was quoted: half of a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""

    def render(self, content: object) -> bytes:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def from_error(error: errors.DatongError) -> JSONResponse:
    """The answer for an error of ours."""
    mistakes = error.mistakes if isinstance(error, errors.ConfigurationInvalid) else ()
    if isinstance(error, errors.SchemaIncompatible):
        mistakes = error.incompatibilities
    return problem(
        status_of(error),
        error.code,
        error.statement,
        remedy=error.remedy,
        mistakes=mistakes,
        available=_available(error),
    )


def _available(error: errors.DatongError) -> tuple[str, ...]:
    return error.available if isinstance(error, errors.NotAcceptable) else ()


def install(app: FastAPI) -> None:
    """Answer every error with problem details; never a framework's body, never a library's text (R11)."""

    @app.exception_handler(errors.DatongError)
    async def ours(_request: Request, error: errors.DatongError) -> JSONResponse:
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        mistakes = tuple(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        return problem(422, "RequestInvalid", "the request does not fit this endpoint", mistakes=mistakes)

    @app.exception_handler(HTTPException)
    async def framework(_request: Request, error: HTTPException) -> JSONResponse:
        code, detail, remedy = FRAMEWORK.get(error.status_code) or (
            HTTPStatus(error.status_code).phrase.replace(" ", ""), HTTPStatus(error.status_code).description, ""
        )  # fmt: skip
        return problem(error.status_code, code, detail, remedy=remedy)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", path=request.url.path, error=type(error).__name__)
        return problem(500, "InternalError", "an unexpected error; the hub's log has its kind")

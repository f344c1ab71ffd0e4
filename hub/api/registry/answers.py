"""What the registry answers: compact JSON, and for every failure `{"error_code", "message"}` (registry-api §1)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hub import errors
from hub.api.registry.negotiation import V1
from hub.registry.errors import Break, EmptySchema, IncompatibleWithSubject

STORE_FAILED, STORE_BUSY = 50001, 50002
log = structlog.get_logger("datong.registry")


class Json(Response):
    """A JSON value. The edge says in which of the three types it leaves."""

    media_type = V1

    def render(self, content: Any) -> bytes:
        """ASCII alone: it reads the same whatever the client takes the encoding for."""
        return json.dumps(content, separators=(",", ":")).encode()


class BadRequest(errors.DatongError):
    """The request cannot be read: an HTTP status, with it as error code."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(f"HTTP {status} {HTTPStatus(status).phrase}" + (f": {why}" if why else ""))
        self.status = status


def failure(status: int, code: int, message: str) -> Json:
    """An answer for anything but success."""
    headers = {"WWW-Authenticate": 'Basic realm="datong", Bearer'} if status == 401 else {}
    return Json({"error_code": code, "message": message}, status_code=status, headers=headers)


def plain(status: int, why: str = "") -> Json:
    """A failure of the protocol: the error code is the status."""
    return failure(status, status, BadRequest(status, why).message)


def from_error(error: errors.DatongError) -> Json:
    """The answer for an error of ours: the one place that knows which code it has."""
    if isinstance(error, BadRequest):
        return failure(error.status, error.status, error.message)
    if isinstance(error, IncompatibleWithSubject):
        return failure(409, error.error_code, _incompatible(error))
    code = getattr(error, "error_code", None)
    if code is not None:
        return failure(code // 100, code, error.message)
    if isinstance(error, errors.SchemaInvalid):
        return failure(422, EmptySchema.error_code, invalid(error))
    for kind, status in ((errors.NotAuthenticated, 401), (errors.Denied, 403), (errors.LimitExceeded, 413)):
        if isinstance(error, kind):
            return failure(status, status, str(error))
    log.error("storage failed", error=error.code)
    busy = isinstance(error, errors.Retry) and not isinstance(error, errors.StorageFull)
    return failure(500, STORE_BUSY if busy else STORE_FAILED, str(error))


def invalid(error: errors.SchemaInvalid) -> str:
    """Why a schema is none, in the wording that clients know."""
    return error.message if isinstance(error, EmptySchema) else f"Invalid schema of type AVRO, details: {error}"


def explained(breaks: list[Break]) -> list[str]:
    """Sentences, the version named once for each."""
    return [f"version {b.version}: {b.reason}" for b in breaks]


def _incompatible(error: IncompatibleWithSubject) -> str:
    details = [f"{{errorType:'{b.reason.kind}', description:'{b.reason}'}}" for b in error.breaks]
    details += [f"{{oldSchemaVersion: {version}}}" for version in sorted({b.version for b in error.breaks})]
    details.append(f"{{compatibility: '{error.level}'}}")
    head = "Schema being registered is incompatible with an earlier schema for subject"
    return f'{head} "{error.subject}", details: [{", ".join(details)}]'


def install(app: FastAPI) -> None:
    """Answer every error in the registry's form; never a framework's body, never a library's text (R11)."""

    @app.exception_handler(errors.DatongError)
    async def ours(_request: Request, error: errors.DatongError) -> Response:
        return from_error(error)

    @app.exception_handler(HTTPException)
    async def framework(_request: Request, error: HTTPException) -> Response:
        answer = plain(error.status_code)
        answer.headers.update(error.headers or {})  # Allow, of a wrong method
        return answer

    @app.exception_handler(Exception)
    async def bug(_request: Request, error: Exception) -> Response:
        log.error("unexpected error", error=type(error).__name__)
        return failure(500, STORE_FAILED, "an unexpected error; the registry's log has its kind")

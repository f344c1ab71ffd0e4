"""Answers as Kafka Connect gives them: JSON, and errors as `{"error_code", "message"}`."""

from __future__ import annotations

import json
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hub import errors
from hub.api.problems import status_of

STATUS = {406: 400, 410: 409, 412: 409, 422: 400, 507: 503}  # what Connect's clients know of each
FRAMEWORK = {404: "HTTP 404 Not Found", 405: "HTTP 405 Method Not Allowed"}
log = structlog.get_logger("datong.connect")


class Refused(Exception):
    """A refusal in Connect's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Answer(Response):
    """JSON in ASCII: whatever a request held, its echo can be sent."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See starlette."""
        return json.dumps(content, separators=(",", ":")).encode()


def refusal(status: int, message: str) -> Answer:
    """An error."""
    headers = {"WWW-Authenticate": 'Basic realm="datong"'} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "2"
    return Answer({"error_code": status, "message": message}, status_code=status, headers=headers)


def from_guard(status: int, _code: str, message: str) -> Answer:
    """What the guard refuses."""
    return refusal(status, message)


def from_error(error: errors.DatongError) -> Answer:
    """An error of ours. A configuration's mistakes are listed as Connect lists them."""
    status = status_of(error)
    message = str(error)
    if isinstance(error, errors.ConfigurationInvalid):
        mistakes = error.mistakes or (str(error),)
        message = (
            f"Connector configuration is invalid and contains the following {len(mistakes)} error(s):\n"
            + "\n".join(mistakes)
            + "\nYou can also find the above list of errors at the endpoint "
            "`/connector-plugins/{connectorType}/config/validate`"
        )
    return refusal(STATUS.get(status, status), message)


def install(app: FastAPI) -> None:
    """Every error in Connect's form; never a framework's body, never a library's text (R11)."""

    @app.exception_handler(Refused)
    async def refused(_request: Request, error: Refused) -> Response:
        return refusal(error.status, error.message)

    @app.exception_handler(errors.DatongError)
    async def ours(_request: Request, error: errors.DatongError) -> Response:
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, _error: RequestValidationError) -> Response:
        return refusal(404, FRAMEWORK[404])  # only paths and queries are checked by the framework: a task's number

    @app.exception_handler(HTTPException)
    async def framework(_request: Request, error: HTTPException) -> Response:
        return refusal(error.status_code, FRAMEWORK.get(error.status_code, "the request cannot be read"))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.error("unexpected error", path=request.url.path, error=type(error).__name__)
        return refusal(500, "an unexpected error; the hub's log has its kind")

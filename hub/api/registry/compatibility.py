"""Would it be taken? (registry-api §4.) Nothing here registers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from hub.api.registry import documented as doc
from hub.api.registry.answers import Json, explained, invalid
from hub.api.registry.deps import AUTHENTICATED, Service, ServiceOf
from hub.api.registry.requests import Body, BodyOf, Flag, SubjectOf, VersionIn, draft_of, true
from hub.errors import SchemaInvalid
from hub.registry.errors import EmptySchema

PATH = "/compatibility/subjects/{subject}/versions"
ABOUT: dict[str, Any] = {"responses": doc.answers(doc.COMPATIBLE), "openapi_extra": doc.body(doc.DRAFT)}


def router() -> APIRouter:
    """Against one version, or against those that registering would look at."""
    api = APIRouter(tags=["compatibility"], default_response_class=Json, dependencies=AUTHENTICATED)

    @api.post(PATH, **ABOUT)
    def all_versions(
        service: ServiceOf,
        subject: SubjectOf,
        body: BodyOf,
        normalize: Flag = "",
        verbose: Flag = "",
    ) -> Json:
        """As registering would."""
        return _judged(service, subject, None, body, (normalize, true(verbose)))

    @api.post(f"{PATH}/{{version}}", **ABOUT)
    def one_version(
        service: ServiceOf,
        version: VersionIn,
        subject: SubjectOf,
        body: BodyOf,
        normalize: Flag = "",
        verbose: Flag = "",
    ) -> Json:
        """With that version alone, at the subject's level."""
        return _judged(service, subject, version, body, (normalize, true(verbose)))

    return api


def _judged(service: Service, subject: str, version: int | None, body: Body, how: tuple[str, bool]) -> Json:
    normalize, verbose = how
    try:
        messages = explained(service.registry.compare(subject, draft_of(body, normalize), version))
    except SchemaInvalid as error:
        if not verbose or isinstance(error, EmptySchema):
            raise
        messages = [invalid(error)]
    made: dict[str, Any] = {"is_compatible": not messages}
    return Json({**made, "messages": messages} if verbose else made)

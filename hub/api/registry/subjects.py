"""Subjects and their versions (registry-api §4)."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from hub.api.registry import documented as doc
from hub.api.registry.answers import Json
from hub.api.registry.by_id import shown
from hub.api.registry.deps import AUTHENTICATED, CallerOf, ServiceOf, audited
from hub.api.registry.requests import (
    BodyOf,
    Flag,
    PageOf,
    ShownBy,
    SubjectOf,
    VersionIn,
    draft_of,
    true,
    wanted_of,
)
from hub.registry.model import SchemaVersion, check_subject

PATH = "/subjects/{subject}/versions"


def router() -> APIRouter:
    """Reading, registering, looking up, deleting."""
    api = APIRouter(tags=["subjects"], default_response_class=Json, dependencies=AUTHENTICATED)
    _read(api)
    _read_version(api)
    _write(api)
    _delete(api)
    return api


def _read(api: APIRouter) -> None:
    @api.get("/subjects", responses=doc.answers(doc.listed(doc.STRING)))
    def subjects(
        service: ServiceOf,
        which: ShownBy,
        page: PageOf,
        subjectPrefix: str = "",
    ) -> Json:
        """Subjects, sorted."""
        return Json(service.registry.browse.subjects(subjectPrefix, which, page))

    @api.get(PATH, responses=doc.answers(doc.listed(doc.INTEGER)))
    def versions(service: ServiceOf, subject: SubjectOf, which: ShownBy, page: PageOf) -> Json:
        """Versions of a subject, ascending."""
        return Json(service.registry.browse.versions(subject, which, page))


def _read_version(api: APIRouter) -> None:
    @api.get(f"{PATH}/{{version}}", responses=doc.answers(doc.VERSION))
    def one(service: ServiceOf, version: VersionIn, subject: SubjectOf, deleted: Flag = "") -> Json:
        """One version with its schema."""
        return Json(versioned(service.registry.browse.version(subject, version, deleted=true(deleted))))

    @api.get(f"{PATH}/{{version}}/schema", responses=doc.answers(doc.ANY))
    def document(service: ServiceOf, version: VersionIn, subject: SubjectOf, deleted: Flag = "") -> Json:
        """The schema document itself."""
        found = service.registry.browse.version(subject, version, deleted=true(deleted))
        return Json(json.loads(found.schema.text))

    @api.get(f"{PATH}/{{version}}/referencedby", responses=doc.answers(doc.listed(doc.INTEGER)))
    def referenced_by(service: ServiceOf, version: VersionIn, subject: SubjectOf, which: ShownBy, page: PageOf) -> Json:
        """Ids of schemas that refer to this version."""
        return Json(page.of(service.registry.browse.referring(subject, version, deleted=which.deleted)))


def _write(api: APIRouter) -> None:
    @api.post(PATH, responses=doc.answers(doc.ID), openapi_extra=doc.body(doc.DRAFT))
    def register(service: ServiceOf, caller: CallerOf, subject: SubjectOf, body: BodyOf, normalize: Flag = "") -> Json:
        """Register a schema under a subject; the same schema has the same id everywhere."""
        check_subject(subject)
        caller.check_write(subject)
        made = service.registry.submit(subject, draft_of(body, normalize), wanted_of(body))
        if made.new:
            audited(caller, "registered", subject, id=made.id, version=made.version)
        return Json({"id": made.id})

    @api.post("/subjects/{subject}", responses=doc.answers(doc.VERSION), openapi_extra=doc.body(doc.DRAFT))
    def look_up(
        service: ServiceOf,
        subject: SubjectOf,
        body: BodyOf,
        normalize: Flag = "",
        deleted: Flag = "",
    ) -> Json:
        """Is this schema registered under the subject? Never registers."""
        found = service.registry.find(subject, draft_of(body, normalize), deleted=true(deleted))
        return Json(versioned(found))


def _delete(api: APIRouter) -> None:
    @api.delete(f"{PATH}/{{version}}", responses=doc.answers(doc.INTEGER))
    def version(
        service: ServiceOf, caller: CallerOf, version: VersionIn, subject: SubjectOf, permanent: Flag = ""
    ) -> Json:
        """Delete a version: softly, then with `permanent` for good."""
        caller.check_write(subject)
        gone = service.registry.removal.version(subject, version, permanent=true(permanent))
        audited(caller, "deleted", subject, version=gone, permanent=true(permanent))
        return Json(gone)

    @api.delete("/subjects/{subject}", responses=doc.answers(doc.listed(doc.INTEGER)))
    def subject(service: ServiceOf, caller: CallerOf, subject: SubjectOf, permanent: Flag = "") -> Json:
        """Delete all versions of a subject: softly, then with `permanent` for good."""
        caller.check_write(subject)
        gone = service.registry.removal.subject(subject, permanent=true(permanent))
        audited(caller, "deleted", subject, versions=gone, permanent=true(permanent))
        return Json(gone)


def versioned(found: SchemaVersion) -> dict[str, Any]:
    """A schema object (registry-api §2)."""
    made = {"subject": found.subject, "version": found.version, "id": found.schema.id, "guid": found.schema.guid}
    made |= shown(found.schema)
    if found.created_ms is not None:
        made["ts"] = found.created_ms
    if found.deleted:
        made["deleted"] = True
    return made

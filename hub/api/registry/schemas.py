"""Schemas by id, and all of them (registry-api §4)."""

from __future__ import annotations

import json

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from hub.api.registry import documented as doc
from hub.api.registry.answers import Json
from hub.api.registry.by_id import shown
from hub.api.registry.deps import AUTHENTICATED, ServiceOf
from hub.api.registry.negotiation import V1
from hub.api.registry.requests import DEFAULT_CONTEXT, Flag, IdOf, PageOf, ShownBy, true
from hub.api.registry.subjects import versioned

PATH = "/schemas/ids/{id}"
TYPES = ["AVRO"]


def router() -> APIRouter:
    """Reading by id, by guid, and lists."""
    api = APIRouter(tags=["schemas"], default_response_class=Json, dependencies=AUTHENTICATED)
    _lists(api)
    _by_id(api)
    _places(api)
    _by_guid(api)
    return api


def _lists(api: APIRouter) -> None:
    @api.get("/schemas", responses=doc.answers(doc.listed(doc.VERSION)))
    def schemas(
        service: ServiceOf,
        which: ShownBy,
        page: PageOf,
        subjectPrefix: str = "",
        latestOnly: Flag = "",
    ) -> Json:
        """Versions with their schemas, by subject and version."""
        found = service.registry.browse.schemas(subjectPrefix, which, page, latest=true(latestOnly))
        return Json([versioned(version) for version in found])

    @api.get("/schemas/types", responses=doc.answers(doc.listed(doc.STRING)))
    async def types() -> Json:
        """Kinds of schema."""
        return Json(TYPES)


def _by_id(api: APIRouter) -> None:
    @api.get(PATH, responses=doc.answers(doc.SCHEMA))
    async def by_id(
        service: ServiceOf,
        id: IdOf,
        subject: str = "",
        fetchMaxId: Flag = "",
    ) -> Response:
        """A schema: what every deserialiser asks for."""
        if subject or true(fetchMaxId):
            return await run_in_threadpool(_more, service, id, subject, true(fetchMaxId))
        ready = service.by_id.ready(id)
        return Response(ready or await run_in_threadpool(service.by_id.answer, id), media_type=V1)

    @api.get(f"{PATH}/schema", responses=doc.answers(doc.ANY))
    def document(service: ServiceOf, id: IdOf) -> Json:
        """The schema document itself."""
        return Json(json.loads(service.registry.shown(id).text))


def _more(service: ServiceOf, id: int, subject: str, max_id: bool) -> Json:
    """By id with what may be asked for besides."""
    made = shown(service.registry.shown(id))
    wanted = subject.removeprefix(DEFAULT_CONTEXT)
    versions = [v for s, v in service.registry.browse.places(id, deleted=True) if s == wanted]
    if versions:
        made |= {"subject": wanted, "version": versions[-1]}
    if max_id:
        made["maxId"] = service.registry.highest_id()
    return Json(made)


def _places(api: APIRouter) -> None:
    @api.get(f"{PATH}/subjects", responses=doc.answers(doc.listed(doc.STRING)))
    def subjects(service: ServiceOf, id: IdOf, which: ShownBy, page: PageOf) -> Json:
        """Subjects that have this schema."""
        places = service.registry.browse.places(id, deleted=which.deleted)
        return Json(page.of(sorted({subject for subject, _version in places})))

    @api.get(f"{PATH}/versions", responses=doc.answers(doc.listed(doc.PLACE)))
    def versions(service: ServiceOf, id: IdOf, which: ShownBy, page: PageOf) -> Json:
        """Subjects and versions that are this schema."""
        places = service.registry.browse.places(id, deleted=which.deleted)
        return Json([{"subject": subject, "version": version} for subject, version in page.of(places)])


def _by_guid(api: APIRouter) -> None:
    @api.get("/schemas/guids/{guid}", responses=doc.answers(doc.SCHEMA))
    def by_guid(service: ServiceOf, guid: str) -> Json:
        """A schema by the name that is the same in every registry of this kind."""
        return Json(shown(service.registry.by_guid(guid)))

    @api.get("/schemas/guids/{guid}/ids", responses=doc.answers(doc.listed(doc.ID)))
    def ids(service: ServiceOf, guid: str) -> Json:
        """Its id here."""
        return Json([{"context": ".", "id": service.registry.by_guid(guid).id}])

"""For people and for the console: differences in words, a try-out, who uses a subject. Not part of the foreign API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from hub.api.registry import documented as doc
from hub.api.registry.answers import BadRequest, Json
from hub.api.registry.deps import AUTHENTICATED, CallerOf, ServiceOf, audited
from hub.api.registry.requests import Body, BodyOf, draft_of, optional
from hub.registry.dump import Dump, settings_from_json, version_from_json
from hub.registry.model import version_of
from hub.registry.shown import difference, judgement, used

SUBJECT = Query(description="A subject.")
SUBSCRIPTION = doc.thing(
    {"agency": doc.STRING, "grant": doc.STRING, "fields": doc.listed(doc.STRING), "groups": doc.listed(doc.STRING)}
)
SENTENCE = doc.thing({"code": doc.STRING, "about": doc.thing({})})  # for words in another language
CHANGE = doc.thing(
    {
        "kind": doc.STRING,
        "path": doc.STRING,
        "text": doc.STRING,
        "what": SENTENCE,
        "new_reads_old": doc.BOOLEAN,
        "old_reads_new": doc.BOOLEAN,
    }
)
DIFFERENCE = doc.thing(
    {"subject": doc.STRING, "from": doc.INTEGER, "changes": doc.listed(CHANGE), "breaks": doc.listed(SUBSCRIPTION)}
)
REASON = doc.thing(
    {"version": doc.INTEGER, "kind": doc.STRING, "path": doc.STRING, "message": doc.STRING, "why": SENTENCE}
)
JUDGEMENT = doc.thing(
    {"subject": doc.STRING, "level": doc.STRING, "compatible": doc.BOOLEAN, "reasons": doc.listed(REASON)}
)
IMPORTED = doc.thing({"new": doc.INTEGER, "present": doc.INTEGER, "refused": doc.listed(doc.thing({}))})
USES = doc.thing(
    {"subject": doc.STRING, "connectors": doc.listed(doc.STRING), "subscriptions": doc.listed(SUBSCRIPTION)}
)


def router() -> APIRouter:
    """Under /-/, where no subject can be."""
    api = APIRouter(prefix="/-", tags=["people"], default_response_class=Json, dependencies=AUTHENTICATED)

    @api.get("/diff", responses=doc.answers(DIFFERENCE))
    def diff(
        service: ServiceOf,
        subject: Annotated[str, SUBJECT] = "",
        old: Annotated[str, Query(alias="from", description="A version; none: the one before.")] = "",
        new: Annotated[str, Query(alias="to", description="A version.")] = "latest",
    ) -> Json:
        """What changes between two versions, what that means for readers, and which subscriptions it breaks."""
        return Json(difference(service.desk.diff(subject, version_of(old) if old else None, version_of(new))))

    @api.post("/check", responses=doc.answers(JUDGEMENT), openapi_extra=doc.body(doc.DRAFT))
    def check(service: ServiceOf, body: BodyOf, subject: Annotated[str, SUBJECT] = "") -> Json:
        """Would this schema be taken, what would change, and whom would it break? Never registers."""
        return Json(judgement(service.desk.check(subject, draft_of(body, ""))))

    @api.get("/uses", responses=doc.answers(USES))
    def uses(service: ServiceOf, subject: Annotated[str, SUBJECT] = "") -> Json:
        """Who publishes with this subject and who reads it."""
        return Json(used(subject, service.desk.uses(subject)))

    return api


def importing() -> APIRouter:
    """Taking over another registry, into this hub's own."""
    api = APIRouter(prefix="/-", tags=["people"], default_response_class=Json, dependencies=AUTHENTICATED)
    about: dict[str, Any] = {"responses": doc.answers(IMPORTED), "openapi_extra": doc.body(doc.thing({}))}

    @api.post("/import", **about)
    def take(service: ServiceOf, caller: CallerOf, body: BodyOf) -> Json:
        """Take over versions and settings of another registry, numbers and all. For operators; may be repeated."""
        caller.check_write(None)
        found = service.registry.importer.take(_dump(body))
        audited(caller, "imported", None, new=found.new, present=found.present, refused=len(found.refused))
        return Json({"new": found.new, "present": found.present, "refused": [vars(r) for r in found.refused]})

    return api


def _dump(body: Body) -> Dump:
    try:
        return Dump(
            versions=tuple(version_from_json(v) for v in optional(body, "versions", list) or ()),
            settings=tuple(settings_from_json(s) for s in optional(body, "settings", list) or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadRequest(400, "not a list of versions or settings") from None

"""What the registry says of itself."""

from __future__ import annotations

from fastapi import APIRouter

from hub.api.registry import documented as doc
from hub.api.registry.answers import Json
from hub.api.registry.deps import AUTHENTICATED, ServiceOf

CLUSTERS = {"kafka-cluster": "datong", "schema-registry-cluster": "schema-registry"}


def router() -> APIRouter:
    """Root, contexts, metadata."""
    api = APIRouter(tags=["about"], default_response_class=Json, dependencies=AUTHENTICATED)

    @api.get("/", responses=doc.answers(doc.thing({})))
    async def root() -> Json:
        """It is there."""
        return Json({})

    @api.get("/contexts", responses=doc.answers(doc.listed(doc.STRING)))
    async def contexts() -> Json:
        """The default context alone."""
        return Json(["."])

    @api.get("/v1/metadata/id", responses=doc.answers(doc.thing({"id": doc.STRING, "scope": doc.thing({})})))
    async def cluster() -> Json:
        """Names of the cluster."""
        return Json({"scope": {"path": [], "clusters": CLUSTERS}, "id": ""})

    @api.get("/v1/metadata/version", responses=doc.answers(doc.thing({"version": doc.STRING, "commitId": doc.STRING})))
    async def version(service: ServiceOf) -> Json:
        """The hub's version."""
        return Json({"version": service.version, "commitId": ""})

    return api


def health() -> APIRouter:
    """Without authentication and without secrets."""
    api = APIRouter(default_response_class=Json)

    @api.get("/livez", include_in_schema=False)
    async def alive() -> Json:
        """The process answers."""
        return Json({"status": "ok"})

    @api.get("/readyz", include_in_schema=False)
    @api.get("/healthz", include_in_schema=False)
    def ready(service: ServiceOf) -> Json:
        """The store answers; 503 when it does not."""
        store = service.healthy()
        words = {True: "ok", False: "failing"}
        return Json({"status": words[store], "checks": {"store": words[store]}}, status_code=200 if store else 503)

    return api

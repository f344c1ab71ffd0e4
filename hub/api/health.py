"""Is it alive, is it ready, how is it doing: /livez, /readyz, /healthz, /metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from hub.api.deps import HubOf, operator


def router() -> APIRouter:
    """Health without authentication and without secrets; metrics for the operator's token."""
    api = APIRouter()

    @api.get("/livez")
    def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @api.get("/readyz")
    @api.get("/healthz")
    def readyz(hub: HubOf, response: Response) -> dict[str, Any]:
        """Log, store and supervisor work; 503 when one does not."""
        checks = hub.checks()
        ready = all(checks.values())
        response.status_code = 200 if ready else 503
        return {
            "status": "ok" if ready else "failing",
            "checks": {k: "ok" if v else "failing" for k, v in checks.items()},
        }

    @api.get("/metrics", dependencies=[Depends(operator)])
    def metrics(hub: HubOf) -> Response:
        """Prometheus text format."""
        body, media_type = hub.metrics.render()
        return Response(body, media_type=media_type)

    return api

"""What all views are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.app import Hub


class Part:
    """Reads the hub's parts; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def agency_name(self, agency: str) -> dict[str, str]:
        """Its names by language; empty for one that is not declared."""
        spec = self._hub.catalogue.agencies.get(agency)
        return spec.name.model_dump() if spec else {}

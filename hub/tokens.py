"""Bearer tokens of subscribing agencies, and of people: issued, listed and revoked by the operator; only hashes are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.catalogue.load import Catalogue
from hub.errors import NotFound
from hub.moments import iso
from hub.store.tokens import Tokens

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a valid token belongs to."""

    role: str  # "operator", "viewer" or "agency"
    agency: str  # empty for an operator
    token_id: str
    person: str = ""  # whose token it is; empty for an agency's, and for the hub's own
    rank: str = ""  # what a person may do; the hub's own token may all

    @property
    def by(self) -> str:
        """Who did it, for the record."""
        return self.person or self.agency or self.role


class TokenDesk:
    """The operator's side of `store.tokens`."""

    def __init__(self, tokens: Tokens, catalogue: Callable[[], Catalogue]) -> None:
        self._tokens, self._catalogue = tokens, catalogue

    def issue(self, agency: str, days: int) -> dict[str, Any]:
        """A new token for a declared agency; the only time its secret is seen. Raises NotFound."""
        if agency not in self._catalogue().agencies:
            raise NotFound(f"there is no agency {agency}", remedy="declare it in agencies.yaml")
        made = self._tokens.issue(agency, role="agency", lifetime_ms=days * DAY_MS)
        return {
            "id": made.id,
            "agency": agency,
            "token": made.secret,
            "expires": made.expires_ms and iso(made.expires_ms),
        }

    def issue_for(self, person: str, days: int) -> dict[str, Any]:
        """A new token of a person, who acts through it as what they are at that moment. Raises NotFound."""
        made = self._tokens.issue("", role="person", lifetime_ms=days * DAY_MS, person=person)
        return {
            "id": made.id,
            "person": person,
            "token": made.secret,
            "expires": made.expires_ms and iso(made.expires_ms),
        }

    def listed(self) -> list[dict[str, Any]]:
        """All tokens without secrets."""
        return [
            {
                "id": t.id,
                "agency": t.agency,
                "person": t.person,
                "created": iso(t.created_ms),
                "expires": t.expires_ms and iso(t.expires_ms),
                "revoked": t.revoked,
            }
            for t in self._tokens.listed()
        ]

    def revoke(self, token_id: str) -> None:
        """End a token now. Raises NotFound."""
        self._tokens.revoke(token_id)

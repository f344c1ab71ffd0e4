"""What a publisher allows an agency: which fields and rows of a topic, for which purpose, until when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One permission. It is looked at on every batch, so that narrowing or ending it works at once (G12)."""

    name: str
    agency: str  # that may read
    topic: str
    purpose: str
    fields: tuple[str, ...]  # of the topic; `address.street` is one field of a record
    where: str | None = None  # row filter over topic fields; NULL or a failure = not delivered (R10)
    filter_fields: tuple[str, ...] = ()  # what `where` names, nested fields dotted; it sees no others
    until: date | None = None  # last day on which it holds, in UTC; None = until withdrawn

    def __post_init__(self) -> None:
        if not (self.name and self.agency and self.topic and self.purpose):
            raise ValueError("a grant has a name, an agency, a topic and a purpose")
        if not self.fields or len(set(self.fields)) != len(self.fields):
            raise ValueError("a grant names at least one field, and none twice")
        if self.where is None and self.filter_fields:
            raise ValueError("only a row filter has filter fields")

    @property
    def selection(self) -> str:
        """16 hex characters that change with fields or row filter; then cursors read again (R24)."""
        return _digest([sorted(self.fields), self.where])

    @property
    def revision(self) -> str:
        """16 hex characters that change with anything in the grant."""
        until = None if self.until is None else self.until.isoformat()
        return _digest([self.name, self.agency, self.topic, self.purpose, sorted(self.fields), self.where, until])


def _digest(parts: list[object]) -> str:
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

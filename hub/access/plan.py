"""What a delivery under a grant looks like: fields, filter, and the one output schema (R23)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from hub.access.grants import Grant
from hub.access.project import project, schema_text
from hub.avro.types import Record

Sharing = Literal["unconditional", "conditional", "not shared"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What access must know of a topic."""

    topic: str
    schema: Record  # of its newest version
    key: tuple[str, ...] = ()  # key fields of a keyed (compacted) topic; empty for the others
    scope: tuple[str, ...] = ()  # the fields that row filters may use on a keyed topic (R19)
    sharing: Sharing = "conditional"

    @property
    def keyed(self) -> bool:
        """Records of keyed topics are upserts and deletes."""
        return bool(self.key)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A decision to deliver. Equal fingerprints deliver equal bytes for equal records."""

    grant: str
    agency: str
    topic: str
    purpose: str
    fields: tuple[str, ...]
    where: str | None
    schema: Record  # of what leaves the hub
    schema_text: str  # the same as JSON, self-contained
    filter_schema: Record | None  # what the row filter sees; None = no filter
    key: tuple[str, ...]  # empty: not a keyed topic
    selection: str  # fields and row filter: a cursor belongs to one (R24)
    fingerprint: str  # topic, fields, row filter, and the schemas of both

    @property
    def keyed(self) -> bool:
        """Deliveries of keyed topics say upsert or delete (R27)."""
        return bool(self.key)


def plan_of(grant: Grant, contract: Contract) -> Plan:
    """The plan of a grant that holds. Raises UnknownField when it names a field that the topic does not have."""
    schema = project(contract.schema, grant.fields)
    text = schema_text(schema)
    seen = None if grant.where is None else project(contract.schema, grant.filter_fields)
    parts = [contract.topic, grant.selection, text, "" if seen is None else schema_text(seen), *contract.key]
    return Plan(
        grant=grant.name,
        agency=grant.agency,
        topic=grant.topic,
        purpose=grant.purpose,
        fields=grant.fields,
        where=grant.where,
        schema=schema,
        schema_text=text,
        filter_schema=seen,
        key=contract.key,
        selection=grant.selection,
        fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16],
    )

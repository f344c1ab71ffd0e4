"""What a task needs to know before it reads its first row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from hub.avro import Record
from hub.mapping.codelists import CodeLists
from hub.mapping.program import MappingSpec
from hub.model import Mode, Topic


@dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """When a task stops by itself instead of going on doing damage (G8, R18)."""

    breaker_share: float = 0.05  # of the last `breaker_window` rows
    breaker_window: int = 1_000  # rows
    breaker_in_a_row: int = 100  # rows
    deletions_share: float = 0.10  # of the keys a topic had before the run


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """One connector, resolved: its mapping, the schema it writes and the topic it feeds."""

    connector: str  # also the task's name in the log
    agency: str
    topic: Topic
    mode: Mode
    key: tuple[str, ...]  # target fields; empty = no key
    scope: tuple[str, ...]  # target fields that row filters may use on a keyed topic (R19)
    event_time: str | None  # target field for ce_time (R7)
    mapping: MappingSpec
    codes: CodeLists
    record: Record  # the writer's schema
    target: pa.Schema  # the same as Arrow
    symbols: Mapping[str, tuple[str, ...]]  # enum symbols by target path
    schema_id: int
    mapping_version: str
    limits: TaskLimits

    @property
    def keyed(self) -> bool:
        """Keyed modes publish differences only and keep state per key (R2)."""
        return self.mode != "append"

    @property
    def source_uri(self) -> str:
        """The CloudEvents `source` of every record (R7)."""
        return f"/agencies/{self.agency}/connectors/{self.connector}"


def mapping_version(spec: MappingSpec, schema: str, codes: Mapping[str, str]) -> str:
    """12 hex characters that change with anything that could turn a bad row into a good one (R22)."""
    parts = [sorted(spec.fields.items()), spec.where, sorted(spec.checks.items()), sorted(spec.optional), schema, codes]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

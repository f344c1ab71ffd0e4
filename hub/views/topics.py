"""Topics as JSON values: contract, fields, size, who may read, and a masked look at the newest records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hub.access.decide import Refusal, Request, decide
from hub.avro.types import Field, Record, Type, Union
from hub.catalogue.specs import GrantSpec, TopicSpec
from hub.errors import NotFound
from hub.model import INTERNAL_TOPICS, Range, Topic
from hub.moments import iso
from hub.pipeline.followers import Published
from hub.pipeline.freshness import Freshness
from hub.views.part import Part

SAMPLE, MOST_SAMPLE = 20, 100  # records


class TopicViews(Part):
    """What the log has and the catalogue declares."""

    def topics(self) -> list[dict[str, Any]]:
        """All topics that the log has or the catalogue declares."""
        known, fresh, sums = self._hub.log.topics(), self._hub.freshness(), self._hub.history.sums()
        names = {*self._hub.catalogue.topics, *known} - set(INTERNAL_TOPICS)
        return [self._topic(n, known.get(n), sums.topics.get(n), fresh.get(n)) for n in sorted(names)]

    def topic(self, name: str) -> dict[str, Any]:
        """One topic with fields, offsets and size. Raises NotFound."""
        self._require(name)
        spec, known = self._hub.catalogue.topics.get(name), self._hub.log.topics().get(name)
        record = self._hub.deliveries.newest_schema(name)
        published, fresh = self._hub.history.sums().topics.get(name), self._hub.freshness().get(name)
        return {
            **self._topic(name, known, published, fresh),
            "description": spec.description.model_dump() if spec and spec.description else {},
            "theme": spec.theme if spec else "",
            "keywords": list(spec.keywords) if spec else [],
            "event_time": spec.event_time if spec else None,
            "retention": _retention(known),
            "bytes": self._hub.log.size(name) if known else 0,
            "offsets": [
                {"partition": p, "earliest": s.earliest, "end": s.end} for p, s in sorted(self._spans(name).items())
            ],
            "fields": list(fields_of(record)) if record else [],
        }

    def sample(self, name: str, limit: int = SAMPLE) -> dict[str, Any]:
        """The newest records, newest first, at most 100: values of fields that are not public are masked (G13), and
        `masked` names these. Raises NotFound."""
        from hub.views.masked import hidden
        from hub.views.sample import Sampled, Samples

        self._require(name)
        record, contract = self._hub.deliveries.newest_schema(name), self._hub.deliveries.contract(name)
        known, spans = self._hub.log.topics().get(name), self._spans(name)
        if record is None or known is None:
            return {"topic": name, "records": [], "notes": [], "masked": []}
        key = contract.key if contract else ()
        of = Sampled(topic=name, schema=record, key=key, keyed=known.compacted)
        samples = Samples(self._hub.log, of, self._hub.deliveries.schema_of)
        records, notes = samples.last(spans, max(1, min(limit, MOST_SAMPLE)))
        return {"topic": name, "records": records, "notes": notes, "masked": hidden(record)}

    def readers(self, name: str) -> dict[str, Any]:
        """Who may read a topic, and who does and how far behind. Raises NotFound."""
        self._require(name)
        grants = [self._grant(g) for g in self._hub.catalogue.grants.values() if g.topic == name]
        return {"topic": name, "grants": grants, "groups": self._hub.subscribers.all(topic=name, partitions=True)}

    def _require(self, name: str) -> None:
        if name in INTERNAL_TOPICS or name not in {*self._hub.catalogue.topics, *self._hub.log.topics()}:
            raise NotFound(f"there is no topic {name}", remedy="`datong topics` lists them")

    def _topic(
        self, name: str, known: Topic | None, published: Published | None, fresh: Freshness | None
    ) -> dict[str, Any]:
        spec: TopicSpec | None = self._hub.catalogue.topics.get(name)
        publisher, schema_id = self._hub.catalogue.publisher(name), self._hub.deliveries.schema_id(name)
        keyed = publisher is not None and publisher.publish.mode != "append" and schema_id is not None
        agency = name.partition(".")[0]
        return {
            "topic": name,
            "agency": agency,
            "agency_name": self.agency_name(agency),
            "title": spec.title.model_dump() if spec else {},
            "sharing": spec.sharing if spec else "not shared",
            "partitions": known.partitions if known else (spec.partitions if spec else 0),
            "mode": "keyed" if known and known.compacted else "append",
            "key": list(publisher.publish.key) if publisher and keyed else [],
            "scope": list(spec.scope) if spec else [],
            "records": published.records if published else 0,
            "newest": iso(published.newest_ms) if published and published.newest_ms is not None else None,
            **_fresh(fresh),
            "schema_id": schema_id,
        }

    def _spans(self, name: str) -> Mapping[int, Range]:
        try:
            return self._hub.log.ends(name)
        except NotFound:
            return {}

    def _grant(self, spec: GrantSpec) -> dict[str, Any]:
        """A grant, and whether a reader would get anything under it now."""
        contract = self._hub.deliveries.contract(spec.topic)
        now = datetime.now(UTC)
        state, reason = "holds", ""
        if spec.until is not None and now.date() > spec.until:
            state, reason = "expired", f"it ended on {spec.until}"
        elif contract is None:
            state, reason = "holds", "nothing was published yet"
        else:
            request = Request(agency=spec.agency, topic=spec.topic, grant=spec.grant)
            decided = decide(request, self._hub.deliveries.grants(), contract, now)
            if isinstance(decided, Refusal):
                state, reason = "refused", decided.message
        return {
            "grant": spec.grant,
            "agency": spec.agency,
            "agency_name": self.agency_name(spec.agency),
            "purpose": spec.purpose,
            "fields": list(spec.fields),
            "where": spec.where,
            "until": spec.until.isoformat() if spec.until else None,
            "expired": state == "expired",
            "state": state,
            "reason": reason,
        }


def _fresh(fresh: Freshness | None) -> dict[str, Any]:
    """In words and in seconds, and what is counted from: event times, whole passes or appends."""
    now_ms = int(time.time() * 1000)
    age_s, target_s = fresh.age_s(now_ms) if fresh else None, fresh.target_s if fresh else None
    late = fresh is not None and fresh.late(now_ms)
    words = "no data yet" if age_s is None else f"{_ago(age_s)} ago" + (", late" if late else "")
    by = fresh.by if fresh and age_s is not None else None
    return {"freshness": words, "age_s": age_s, "freshness_target_s": target_s, "fresh_by": by, "late": late}


def _retention(topic: Topic | None) -> dict[str, Any]:
    """How long records stay: the newest of each key for ever, or by age and bytes per partition (none: for ever)."""
    if topic is None:
        return {"compacted": False, "age_s": None, "bytes": None}
    age = None if topic.retention_ms is None else topic.retention_ms / 1000
    return {"compacted": topic.compacted, "age_s": age, "bytes": topic.retention_bytes}


def fields_of(record: Record, above: str = "") -> Iterator[dict[str, Any]]:
    """Fields and, behind each, those inside it by dotted path."""
    for field in record.fields:
        yield _field(field, above)
        inner = _plain(field.type)
        if isinstance(inner, Record):
            yield from fields_of(inner, f"{above}{field.name}.")


def _plain(of: Type) -> Type:
    return of.nullable or of if isinstance(of, Union) else of


def _field(field: Field, above: str) -> dict[str, Any]:
    from hub.avro.arrow import arrow_type

    return {
        "name": f"{above}{field.name}",
        "type": str(arrow_type(field.type)),
        "nullable": _plain(field.type) is not field.type,
        "doc": field.doc,
        "doc_zh": field.props.get("doc_zh", ""),
        "unit": field.props.get("unit", ""),
        "classification": field.props.get("classification", ""),
    }


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

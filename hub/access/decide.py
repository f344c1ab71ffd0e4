"""The one function that says yes (G11). Pure: the clock is an argument. Everything not allowed here is denied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from hub.access.grants import Grant
from hub.access.plan import Contract, Plan, plan_of
from hub.access.project import UnknownField
from hub.avro.topic import DELIVERED
from hub.errors import NotGranted

Rule = Literal[
    "unknown_topic",
    "topic_not_shared",
    "no_grant",
    "other_agency",
    "other_topic",
    "other_purpose",
    "expired",
    "several_grants",
    "unknown_field",
    "reserved_field",
    "missing_key_fields",
    "filter_outside_scope",
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Who wants to read what. `grant` and `purpose` choose among several grants."""

    agency: str
    topic: str
    grant: str | None = None
    purpose: str | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A decision not to deliver, and the first rule that made it."""

    rule: Rule
    message: str
    remedy: str = ""

    def error(self) -> NotGranted:
        """The same to raise. To a caller at the edge every refusal looks as if there were no such topic (S8)."""
        return NotGranted(self.message, rule=self.rule, remedy=self.remedy)


def decide(request: Request, grants: Iterable[Grant], contract: Contract | None, now: datetime) -> Plan | Refusal:
    """The plan under which a delivery may leave at `now` (aware), or the reason why it may not.

    `grants` are all there are, of any agency and topic; `contract` is the requested topic's, None if there is no such
    topic. Ask again for every batch: a plan is good for the moment it was made (G12).
    """
    if now.tzinfo is None:
        raise ValueError("the clock must be aware of its zone")
    if contract is None or contract.topic != request.topic:
        return Refusal(rule="unknown_topic", message=f"there is no topic {request.topic}")
    if contract.sharing == "not shared":
        return Refusal(rule="topic_not_shared", message=f"topic {request.topic} is not shared")
    grant = _choose(request, grants, now)
    if isinstance(grant, Refusal):
        return grant
    return _check_fields(grant, contract) or _plan(grant, contract)


def _choose(request: Request, grants: Iterable[Grant], now: datetime) -> Grant | Refusal:
    """The one grant that the request is about."""
    if request.grant is None:
        fitting = [g for g in grants if g.agency == request.agency and g.topic == request.topic]
    else:
        fitting = [g for g in grants if g.name == request.grant]
        if any(g.agency != request.agency for g in fitting):
            return Refusal(rule="other_agency", message=f"grant {request.grant} is another agency's")
        if any(g.topic != request.topic for g in fitting):
            return Refusal(rule="other_topic", message=f"grant {request.grant} is not for topic {request.topic}")
    if not fitting:
        return Refusal(
            rule="no_grant",
            message=f"no grant lets {request.agency} read {request.topic}",
            remedy="ask the publishing agency for a grant",
        )
    if request.purpose is not None:
        fitting = [g for g in fitting if g.purpose == request.purpose]
        if not fitting:
            return Refusal(rule="other_purpose", message="no grant of this topic is for that purpose")
    return _valid(fitting, now)


def _valid(fitting: list[Grant], now: datetime) -> Grant | Refusal:
    today = now.astimezone(UTC).date()
    valid = [g for g in fitting if g.until is None or today <= g.until]
    if not valid:
        names = ", ".join(f"{g.name} ended on {g.until}" for g in fitting)
        return Refusal(rule="expired", message=names, remedy="ask the publishing agency to extend it")
    if len(valid) > 1:
        names = ", ".join(sorted(g.name for g in valid))
        return Refusal(rule="several_grants", message=f"several grants fit: {names}", remedy="name one of them")
    return valid[0]


def _check_fields(grant: Grant, contract: Contract) -> Refusal | None:
    """A delete has only its key to say what went, and only its scope to say to whom (R19, R27)."""
    reserved = [name for name in DELIVERED if name in grant.fields]
    if reserved:
        return Refusal(
            rule="reserved_field",
            message=f"grant {grant.name} names {', '.join(reserved)}, which every delivered record has of its own",
            remedy="take it out of the grant, and give the topic's field another name",
        )
    missing = [name for name in contract.key if name not in grant.fields]
    if missing:
        return Refusal(
            rule="missing_key_fields",
            message=f"grant {grant.name} lacks key fields of {grant.topic}: {', '.join(missing)}",
            remedy="add them to the grant's fields",
        )
    outside = [name for name in grant.filter_fields if name not in contract.scope]
    if contract.keyed and outside:
        return Refusal(
            rule="filter_outside_scope",
            message=f"the row filter of grant {grant.name} uses {', '.join(outside)}, outside the topic's scope",
            remedy="filter by scope fields, or add these to the topic's scope",
        )
    return None


def _plan(grant: Grant, contract: Contract) -> Plan | Refusal:
    try:
        return plan_of(grant, contract)
    except UnknownField as error:
        return Refusal(
            rule="unknown_field",
            message=f"grant {grant.name} names {error.path}, which {grant.topic} does not have",
            remedy="mend the grant's fields or row filter",
        )

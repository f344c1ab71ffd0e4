"""What the registry's desk finds, as JSON values: for the registry's API, the hub's, and the console."""

from __future__ import annotations

from typing import Any

from hub.registry.desk import Difference, Judgement, Subscription, Uses


def difference(found: Difference) -> dict[str, Any]:
    """As JSON."""
    return {
        "subject": found.subject,
        "from": found.old,
        "to": found.new,
        "changes": [
            {
                "kind": c.kind,
                "path": c.path,
                "text": c.text,
                "what": c.what.data(),
                "new_reads_old": c.new_reads_old,
                "old_reads_new": c.old_reads_new,
            }
            for c in found.changes
        ],
        "breaks": [_subscription(s) for s in found.breaks],
    }


def judgement(found: Judgement) -> dict[str, Any]:
    """As JSON."""
    return {
        "subject": found.subject,
        "level": found.level,
        "compatible": not found.reasons,
        "reasons": [
            {
                "version": b.version,
                "kind": b.reason.kind,
                "path": b.reason.path,
                "message": b.reason.message,
                "why": b.reason.why.data(),
            }
            for b in found.reasons
        ],
        "difference": None if found.difference is None else difference(found.difference),
        "breaks": [_subscription(s) for s in found.breaks],
    }


def used(subject: str, found: Uses) -> dict[str, Any]:
    """As JSON."""
    return {
        "subject": subject,
        "topic": found.topic,
        "connectors": list(found.connectors),
        "subscriptions": [_subscription(s) for s in found.subscriptions],
    }


def _subscription(found: Subscription) -> dict[str, Any]:
    return {"agency": found.agency, "grant": found.grant, "fields": list(found.fields), "groups": list(found.groups)}

"""Texts of alerts, one file a language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hub.watch.alerts import Alert

LANGUAGES = ("en", "zh")
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
ENGLISH = ("reason", "mistake", "detail", "remedy")  # values that are sentences of the hub's, in every language's text
SHARES = frozenset({"share", "free"})


@cache
def texts(language: str) -> Mapping[str, Any]:
    """All of a language."""
    found: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / f"{language}.yaml").read_text(encoding="utf-8"))
    return found


def said(alert: Alert, part: str, language: str) -> str:
    """`title`, `message`, `next` or `here` of an alert."""
    words = texts(language)
    values = {name: _shown(name, value, words["units"]) for name, value in alert.values.items()}
    return str(words[alert.kind][part]).format(**{**values, "subject": alert.subject})


def _shown(name: str, value: Any, units: Mapping[str, str]) -> str:
    if name.endswith("_s") and value is not None:
        unit, size = next(((u, size) for u, size in UNITS if value >= 2 * size), UNITS[-1])
        return f"{value / size:.0f} {units[unit]}"
    if name in SHARES:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def to_json(alert: Alert) -> dict[str, Any]:
    """For the API and pages, in every language."""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "about": alert.about,
        "subject": alert.subject,
        "since_ms": alert.since_ms,
        "title": {language: said(alert, "title", language) for language in LANGUAGES},
        "message": {language: said(alert, "message", language) for language in LANGUAGES},
        "next_step": {language: said(alert, "next", language) for language in LANGUAGES},
        "here": {language: said(alert, "here", language) for language in LANGUAGES},
        "english": [str(alert.values[name]) for name in ENGLISH if alert.values.get(name)],
    }

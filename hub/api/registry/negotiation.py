"""Content types of the registry (registry-api §1). Pure."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

V1 = "application/vnd.schemaregistry.v1+json"
TYPES = (V1, "application/vnd.schemaregistry+json", "application/json")  # in the order preferred
REQUEST_TYPES = (*TYPES, "application/octet-stream")
CHARSETS = {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "ascii", "iso8859-1"}
QUALITY = re.compile(r"[0-9]?(?:\.[0-9]*)?")
MAX_RANGES = 100


@lru_cache(256)
def acceptable(accept: str | None) -> str | None:
    """The type to answer with, or None when the caller takes none of them."""
    if accept is None or not accept.strip():
        return V1
    ranges = [_range(part) for part in accept.split(",")[:MAX_RANGES] if part.strip()]
    found = max(TYPES, key=lambda name: _quality(name, ranges))  # the first of those that are equal
    return found if _quality(found, ranges) > 0 else None


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (p.strip() for p in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            text = value.strip()
            readable = QUALITY.fullmatch(text) and text not in ("", ".")
            return name.lower(), min(float(text), 1.0) if readable else 1.0
    return name.lower(), 1.0


def _quality(name: str, ranges: list[tuple[str, float]]) -> float:
    """By the most specific range that fits."""
    for pattern in ((name,), ("application/*",), ("*/*", "*")):
        fitting = [quality for given, quality in ranges if given in pattern]
        if fitting:
            return max(fitting)
    return 0.0


def request_charset(content_type: str | None) -> str | None:
    """How a body of that type is to be decoded, or None when the type is not taken. Without a type: JSON."""
    if content_type is None or not content_type.strip():
        return "utf-8-sig"
    name, *parameters = (p.strip() for p in content_type.split(";"))
    if name.lower() not in REQUEST_TYPES:
        return None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            return _codec(value.strip().strip('"'))
    return "utf-8-sig"


def _codec(charset: str) -> str | None:
    try:
        found = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    if found not in CHARSETS:
        return None
    return "utf-8-sig" if found == "utf-8" else found

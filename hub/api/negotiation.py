"""Which of several media types a client wants (RFC 9110, 12.5.1). Parameters other than `q` are not looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')  # a comma inside quotation marks does not end one
QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True, kw_only=True)
class Range:
    """One element of `Accept`."""

    kind: str  # or *
    subtype: str  # or *
    quality: float
    place: int  # in the header

    def specificity(self, media_type: str) -> int:
        """2 for the type itself, 1 for `type/*`, 0 for `*/*`, -1 when it does not match."""
        kind, _, subtype = media_type.partition("/")
        if (self.kind, self.subtype) == ("*", "*"):
            return 0
        if self.kind != kind:
            return -1
        return 1 if self.subtype == "*" else 2 if self.subtype == subtype else -1


def best(accept: str | None, offered: Sequence[str]) -> str | None:
    """The offered type that is wanted most, None when none is acceptable. Without `Accept` the first one.

    Of each type counts the quality of the most specific range that matches it. Of equal ones wins the more specifically
    asked for, then the one named first by the client, then the one offered first."""
    if accept is None or not accept.strip():
        return offered[0]
    ranges = list(_ranges(accept))
    wanted = []
    for place, media_type in enumerate(offered):
        matching = [(found.specificity(media_type), -found.place, found) for found in ranges]
        specificity, early, chosen = max(matching, key=lambda match: match[:2], default=(-1, 0, None))
        if chosen is not None and specificity >= 0 and chosen.quality > 0:
            wanted.append((chosen.quality, specificity, early, -place, media_type))
    return max(wanted)[-1] if wanted else None


def _ranges(accept: str) -> Iterator[Range]:
    """What cannot be read as a range is as if it were not there."""
    for place, element in enumerate(ELEMENT.findall(accept)):
        name, *parameters = (part.strip() for part in element.split(";"))
        kind, slash, subtype = name.lower().partition("/")
        quality = next((p[2:].strip() for p in parameters if p[:2].lower() == "q="), "1")
        if kind and slash and subtype and (kind != "*" or subtype == "*") and QUALITY.fullmatch(quality):
            yield Range(kind=kind, subtype=subtype, quality=float(quality), place=place)

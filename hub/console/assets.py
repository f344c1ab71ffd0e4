"""Scripts and styles: named by what is in them, so that a browser keeps them for good, and compressed once."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
PLOTLY = "plotly.js"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file. `version` changes with its content."""

    name: str
    media_type: str
    version: str
    content: bytes = field(repr=False)
    compressed: bytes = field(repr=False)  # gzip


def asset(name: str) -> Asset | None:
    """A file of static/, or plotly's script out of its wheel; None when there is none of this name."""
    return _read(name) if name == PLOTLY or name in _names() else None


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name for file in (files("hub.console") / "static").iterdir())


@cache  # of names that are there only: anybody may ask for any other
def _read(name: str) -> Asset:
    if name == PLOTLY:
        content = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    else:
        content = (files("hub.console") / "static" / name).read_bytes()
    return Asset(
        name=name,
        media_type=TYPES[name.rpartition(".")[2]],
        version=hashlib.sha256(content).hexdigest()[:16],
        content=content,
        compressed=gzip.compress(content, 6, mtime=0),
    )


def address(name: str) -> str:
    """Where a browser gets it."""
    found = asset(name)
    if found is None:
        raise KeyError(name)
    return f"/console/static/{found.version}/{name}"

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


@cache
def asset(name: str) -> Asset | None:
    """A file of static/, or plotly's script out of its wheel; None when there is none of this name."""
    if name == PLOTLY:
        content = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    else:
        place = files("hub.console") / "static"
        if name not in {file.name for file in place.iterdir()}:
            return None
        content = (place / name).read_bytes()
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

"""Named statements from the .sql files beside this module."""

from __future__ import annotations

from importlib.resources import files


def load(name: str) -> dict[str, str]:
    """Statements by name, in the order of the file: each starts with `-- name: …` and a sentence."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    found = {}
    for part in text.split("-- name: ")[1:]:
        title, _, body = part.partition("\n")
        found[title.strip()] = body.strip()
    return found

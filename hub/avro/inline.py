"""A schema with what it refers to written out, each definition where it is first used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hub.avro.canonical import NAMED, PARTS, canonical_text, namespace_of

Definition = tuple[dict[str, Any], str]  # a named type as it stands in its document, and the namespace around it


def written_out(document: Any, others: Iterable[Any]) -> str:
    """The canonical text of a document that needs no references: `others` are the documents that it refers to, and those
    that they refer to. All are valid."""
    known: dict[str, Definition] = {}
    for other in others:
        _collect(other, "", known)
    try:
        return canonical_text(_Writer(known).type(document, ""))
    except RecursionError:  # a chain of references may be longer than any document is deep: nobody sends it as one
        return ""


def _collect(data: Any, namespace: str, known: dict[str, Definition]) -> None:
    if isinstance(data, list):
        for branch in data:
            _collect(branch, namespace, known)
        return
    if not isinstance(data, dict):
        return
    if data["type"] in NAMED:
        inner = namespace_of(data, namespace)
        known.setdefault(_full(data["name"].rpartition(".")[2], inner), (data, namespace))
        for field in data.get("fields", ()):
            _collect(field["type"], inner, known)
        return
    part = PARTS.get(data["type"]) if isinstance(data["type"], str) else None
    _collect(data[part] if part else data["type"], namespace, known)


class _Writer:
    """One document. `done` are the definitions that were written or met already."""

    def __init__(self, known: Mapping[str, Definition]) -> None:
        self._known = known
        self._done: set[str] = set()

    def type(self, data: Any, namespace: str) -> Any:
        if isinstance(data, list):
            return [self.type(branch, namespace) for branch in data]
        if isinstance(data, str):
            return self._use(data, namespace)
        if data["type"] in NAMED:
            return self._definition(data, namespace)
        part = PARTS.get(data["type"]) if isinstance(data["type"], str) else None
        place = part or "type"
        return {**data, place: self.type(data[place], namespace)}

    def _use(self, name: str, namespace: str) -> Any:
        for full in (_full(name, namespace), name):
            if full in self._done:
                return full if "." in full or not namespace else name
            if full in self._known:
                data, around = self._known[full]
                inner = namespace_of(data, around)
                return self._definition(
                    {**data, "name": data["name"].rpartition(".")[2], "namespace": inner}, namespace
                )
        return name

    def _definition(self, data: dict[str, Any], namespace: str) -> Any:
        inner = namespace_of(data, namespace)
        full = _full(data["name"].rpartition(".")[2], inner)
        if full in self._done:
            return full
        self._done.add(full)
        if "fields" not in data:
            return data
        return {**data, "fields": [{**f, "type": self.type(f["type"], inner)} for f in data["fields"]]}


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"

"""The operator's desk for quarantine: cases, masked samples, replay (G9, R20, R22)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hub.errors import NotFound
from hub.moments import iso
from hub.pipeline.blame import columns_behind
from hub.pipeline.followers import Case, OpenQuarantine
from hub.pipeline.preview import explain
from hub.pipeline.quarantine import Entry
from hub.pipeline.supervisor import Supervisor


class Names(Protocol):
    """The catalogue's connectors."""

    @property
    def connectors(self) -> Any: ...


class QuarantineDesk:
    """Reads through the follower, replays through the supervisor."""

    def __init__(self, index: OpenQuarantine, supervisor: Supervisor, catalogue: Callable[[], Names]) -> None:
        self._index, self._supervisor, self._catalogue = index, supervisor, catalogue

    def cases(self, *, topic: str | None = None, connector: str | None = None) -> list[dict[str, Any]]:
        """Open cases, the largest first."""
        return [
            _as_json(c)
            for c in self._index.cases()
            if (topic is None or c.topic == topic) and (connector is None or c.task == connector)
        ]

    def case(self, case: str, limit: int) -> dict[str, Any]:
        """One case with its first rows; every value is masked but for its shape (G13). Raises NotFound."""
        found = next((c for c in self._index.cases() if c.id == case), None)
        if found is None:
            raise NotFound(f"there is no open case {case}", remedy="`datong quarantine list` names them")
        entries = self._index.entries(case=case, limit=limit)
        rows = [{"origin": e.origin, "row": e.row, "preview": _masked(e)} for e in entries]
        return {
            **_as_json(found),
            "explanation": explain(found.reason),
            "columns": self._behind(found, entries),
            "rows": rows,
        }

    def _behind(self, case: Case, entries: Sequence[Entry]) -> list[str]:
        """Columns of the rows that the case's field is made of, by the mapping of today."""
        spec = self._catalogue().connectors.get(case.task)
        names = dict.fromkeys(name for e in entries for name in e.columns or ())
        return columns_behind(spec.publish.mapping, case.path, names) if spec else []

    def replay(self, *, case: str | None, connector: str | None) -> list[dict[str, str]]:
        """Start a replay for each connector concerned. Raises NotFound when nothing is open there."""
        asked = case is not None or connector is not None
        names = {
            c.task
            for c in self._index.cases()
            if asked and (case is None or c.id == case) and (connector is None or c.task == connector)
        }
        if not names:
            raise NotFound("no open rows match", remedy="name a case or a connector; `datong quarantine list` has both")
        return [{"connector": name, "run": self._supervisor.replay(name, case)} for name in sorted(names)]


def _as_json(case: Case) -> dict[str, Any]:
    return {
        "case": case.id,
        "connector": case.task,
        "topic": case.topic,
        "stage": case.stage,
        "reason": case.reason,
        "path": case.path,
        "count": case.count,
        "first": iso(case.first),
        "last": iso(case.last),
    }


def _masked(entry: Entry) -> dict[str, str]:
    if entry.columns is None:
        return {"": f"{len(entry.raw or b''):,} bytes"}
    return {name: "NULL" if value is None else mask(str(value)) for name, value in entry.columns.items()}


def mask(text: str) -> str:
    """Shape without content: letters become x, digits 9, the rest stays; long values are cut (G13)."""
    shape = "".join("9" if c.isdigit() else "x" if c.isalpha() else c if c.isprintable() else "?" for c in text[:24])
    return shape + ("…" if len(text) > 24 else "")


def masked(value: Any) -> Any:
    """A JSON value, or one that has a text, with every leaf masked; names stay."""
    if isinstance(value, Mapping):
        return {str(name): masked(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner) for inner in value]
    return None if value is None else mask(str(value))

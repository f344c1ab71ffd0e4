"""The operator's desk for quarantine: cases, masked samples, replay, and what is set aside (G9, R20, R22)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

from hub.errors import ConfigurationInvalid, NotFound
from hub.logs import audit_logger
from hub.moments import iso
from hub.pipeline.blame import columns_behind, fields_behind
from hub.pipeline.discard import Discarding
from hub.pipeline.followers import Case, Open, OpenCase, OpenQuarantine, SetAside
from hub.pipeline.preview import explain
from hub.pipeline.quarantine import Entry
from hub.pipeline.shapes import Shapes
from hub.pipeline.supervisor import Supervisor
from hub.pipeline.unusual import mask, unusual

MAX_REASON = 500  # characters
MOST_CHOSEN = 1_000  # rows that are set aside one by one
SHOWN = 100  # times that something was set aside
MOST_COMPARED = 100_000  # open rows that a search looks at, the newest
MOST_FOUND = 100
LONGEST_VALUE = 1_000  # characters that are searched for


class Names(Protocol):
    """The catalogue's connectors."""

    @property
    def connectors(self) -> Any: ...


class QuarantineDesk:
    """Reads through the follower, replays and sets aside through the supervisor."""

    def __init__(self, index: OpenQuarantine, supervisor: Supervisor, catalogue: Callable[[], Names]) -> None:
        self._index, self._supervisor, self._catalogue = index, supervisor, catalogue
        self._shapes = Shapes(index.load)

    def cases(self, *, topic: str | None = None, connector: str | None = None) -> list[dict[str, Any]]:
        """Open cases, the largest first."""
        return [
            {**_as_json(one), "orphaned": self._orphaned(one.case)}
            for one in self._index.cases()
            if (topic is None or one.case.topic == topic) and (connector is None or one.case.task == connector)
        ]

    def case(self, case: str, limit: int, row: int | None = None) -> dict[str, Any]:
        """One case with its first rows, every value masked but for its shape (G13), which shapes the cells have that are to
        blame, and what was set aside of it. `row`: that one stands before the others, if it is open. Raises NotFound for a
        case that is neither open nor was set aside."""
        found = next((one for one in self._index.cases() if one.case.id == case), None)
        aside = self._index.set_aside(case)
        if found is None and not aside:
            raise NotFound(f"there is no open case {case}", remedy="`datong quarantine list` names them")
        rows = self._index.chosen(case=case) if found else []
        first = [*(one for one in rows if one.offset == row), *(one for one in rows[:limit] if one.offset != row)]
        data = {one.offset: entry for one, entry in self._index.load(first[:limit])}
        loaded = [(one, data[one.offset]) for one in first if one.offset in data]
        fields, behind = self._behind(found.case, data.values()) if found else ({}, [])
        named = found.case if found else aside[0].case
        told = _as_json(found) if found else {**_named(named), "count": 0, "first": None, "last": None}
        return {
            **told,
            "explanation": explain(told["reason"]),
            "fields": fields,
            "columns": behind,
            "shapes": self._shapes.of(rows, behind),
            "rows": [_row(row, entry, behind) for row, entry in loaded],
            "set_aside": [_aside_as_json(one) for one in aside[:SHOWN]],
            "orphaned": self._orphaned(named),
        }

    def set_aside(self, *, topic: str | None = None, connector: str | None = None) -> list[dict[str, Any]]:
        """What people set aside, the newest first."""
        found = (
            one
            for one in self._index.set_aside()
            if (topic is None or one.case.topic == topic) and (connector is None or one.case.task == connector)
        )
        return [_aside_as_json(one) for one, _ in zip(found, range(SHOWN), strict=False)]

    def find(self, *, connector: str, value: str, column: str | None = None, by: str = "operator") -> dict[str, Any]:
        """The open rows of a connector with a cell that reads so, in any column or in one; blanks around it do not count. Of
        rows it tells where they are, never what is in them. Raises ConfigurationInvalid for an empty value, NotFound."""
        wanted = value.strip()
        if not 0 < len(wanted) <= LONGEST_VALUE:
            raise ConfigurationInvalid(f"a value to look for has 1 to {LONGEST_VALUE:,} characters")
        rows = self._index.chosen(task=connector)
        if not rows and connector not in self._catalogue().connectors:
            raise NotFound("there is no such connector", remedy="`datong connector list` names them")
        looked_at = rows[-MOST_COMPARED:]
        matches = ((row, entry) for row, entry in self._index.load(looked_at) if _has(entry, wanted, column or None))
        found = list(islice(matches, MOST_FOUND + 1))
        audit_logger("datong.quarantine").info("searched", connector=connector, found=len(found), by=by)
        complete = len(looked_at) == len(rows) and len(found) <= MOST_FOUND
        return {
            "connector": connector,
            "rows": [_place(row, entry) for row, entry in found[:MOST_FOUND]],
            "open": len(rows),
            "complete": complete,
        }

    def _behind(self, case: Case, entries: Iterable[Entry]) -> tuple[dict[str, str], list[str]]:
        """By the mapping of today, the fields that the case is about with their expressions, and the columns that these
        read."""
        spec = self._catalogue().connectors.get(case.task)
        if spec is None:
            return {}, []
        names = dict.fromkeys(name for e in entries for name in e.columns or ())
        mapping = spec.publish.mapping
        return fields_behind(mapping, case.path), columns_behind(mapping, case.path, names)

    def replay(self, *, case: str | None, connector: str | None) -> list[dict[str, str]]:
        """Start a replay for each connector concerned. Raises NotFound when nothing is open there."""
        asked = case is not None or connector is not None
        names = {
            one.case.task
            for one in self._index.cases()
            if asked and (case is None or one.case.id == case) and (connector is None or one.case.task == connector)
        }
        if not names:
            raise NotFound("no open rows match", remedy="name a case or a connector; `datong quarantine list` has both")
        return [{"connector": name, "run": self._supervisor.replay(name, case)} for name in sorted(names)]

    def discard(
        self, *, case: str | None, rows: Collection[int], reason: str, by: str = "operator"
    ) -> list[dict[str, str]]:
        """Start to set aside the open rows of a case, or those of these ids, with the reason; a run for each connector
        concerned. Raises ConfigurationInvalid, and NotFound when none of them is open (any more)."""
        why = stated(reason, "to set rows aside")
        if len(rows) > MOST_CHOSEN:
            raise ConfigurationInvalid(
                f"{len(rows):,} rows are more than {MOST_CHOSEN:,}",
                remedy="set the whole case aside, or take them in parts",
            )
        asked = case is not None or len(rows) > 0
        wanted: dict[str, list[int]] = {}
        for one in self._index.chosen(case=case, offsets=frozenset(rows)) if asked else ():
            wanted.setdefault(one.case.task, []).append(one.offset)
        if not wanted:
            raise NotFound("no open rows match", remedy="name a case or rows of it; `datong quarantine show` has both")
        started = []
        for name in sorted(wanted):
            chosen = tuple(wanted[name]) if rows else ()
            run = self._supervisor.discard(name, Discarding(case=case, rows=chosen, by=by, why=why))
            audit_logger("datong.quarantine").info(
                "discards", connector=name, run=run, case=case, rows=len(chosen), by=by
            )
            started.append({"connector": name, "run": run})
        return started

    def _orphaned(self, case: Case) -> bool:
        """Is its connector not there: its file gone, or wrong? Then its rows can be set aside, and not replayed."""
        return case.task not in self._catalogue().connectors


def stated(reason: str, what: str) -> str:
    """A person's reason for the record, on one line. Raises ConfigurationInvalid for none, or more than a few sentences."""
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise ConfigurationInvalid(f"{what} needs a reason, of at most {MAX_REASON} characters")
    return reason


def _named(case: Case) -> dict[str, Any]:
    return {
        "case": case.id,
        "connector": case.task,
        "topic": case.topic,
        "stage": case.stage,
        "reason": case.reason,
        "path": case.path,
    }


def _as_json(one: OpenCase) -> dict[str, Any]:
    return {**_named(one.case), "count": one.count, "first": iso(one.first), "last": iso(one.last)}


def _aside_as_json(one: SetAside) -> dict[str, Any]:
    return {**_named(one.case), "run": one.run, "by": one.by, "why": one.why, "at": iso(one.at), "count": one.count}


def _has(entry: Entry, wanted: str, column: str | None) -> bool:
    """Does a cell read so?"""
    cells = entry.columns or {}
    values = cells.values() if column is None else (cells.get(column),)
    return any(value is not None and str(value).strip() == wanted for value in values)


def _place(row: Open, entry: Entry) -> dict[str, Any]:
    case = row.case
    told = {"case": case.id, "stage": case.stage, "reason": case.reason, "path": case.path, "at": iso(row.at)}
    return {"id": row.offset, **told, "origin": entry.origin, "row": entry.row}


def _row(row: Open, entry: Entry, behind: Collection[str]) -> dict[str, Any]:
    """Masked, and what is unusual about the cells that are to blame."""
    texts = {name: str(value) for name, value in (entry.columns or {}).items() if name in behind and value is not None}
    notes = {name: found for name, text in texts.items() if (found := unusual(text))}
    return {"id": row.offset, "origin": entry.origin, "row": entry.row, "preview": _masked(entry), "unusual": notes}


def _masked(entry: Entry) -> dict[str, str]:
    if entry.columns is None:
        return {"": f"{len(entry.raw or b''):,} bytes"}
    return {name: "NULL" if value is None else mask(str(value)) for name, value in entry.columns.items()}


def masked(value: Any) -> Any:
    """A JSON value, or one that has a text, with every leaf masked; names stay."""
    if isinstance(value, Mapping):
        return {str(name): masked(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner) for inner in value]
    return None if value is None else mask(str(value))

"""The operator's desk for connectors' files: read, check, look at what they would do, and change, all by text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pydantic import BaseModel

from hub.builder import draft, open_source
from hub.catalogue.bindings import User, check_database, check_edit, read_bindings
from hub.catalogue.described import Setting, described
from hub.catalogue.edit import ConnectorFile, ConnectorFiles, declared, is_name
from hub.catalogue.load import Catalogue
from hub.catalogue.mistakes import Mistake, Place
from hub.catalogue.schemas import json_schemas
from hub.catalogue.specs import ConnectorSpec
from hub.catalogue.yaml import load_yaml
from hub.errors import ConfigurationInvalid, Conflict, NotFound
from hub.mapping.program import columns_used
from hub.pipeline.blame import columns_behind, fields_behind
from hub.pipeline.cases import masked
from hub.pipeline.followers import OpenQuarantine
from hub.pipeline.preview import PreviewRow, preview, preview_entries
from hub.pipeline.supervisor import Supervisor
from hub.settings import Loaded
from hub.store.states import Desired

PATIENCE_S = 10.0  # for the rows of a preview, between two batches of the source
UNNAMED = "unnamed"  # stands for a connector whose text does not say its name


class Read(Protocol):
    """Reads the project's files again, one of them perhaps replaced."""

    def __call__(self, *, look: bool | str = False, instead: Mapping[str, bytes] | None = None) -> Catalogue: ...


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A text, in its place among the project's files."""

    name: str
    file: str
    catalogue: Catalogue  # as it would be
    mistakes: tuple[Mistake, ...]  # in the text, and those that it makes in other files

    @property
    def spec(self) -> ConnectorSpec:
        """Raises ConfigurationInvalid with every mistake."""
        found = self.catalogue.connectors.get(self.name)
        if self.mistakes or found is None:
            raise ConfigurationInvalid(
                "the connector has mistakes" if self.mistakes else "the connector's topic cannot be used",
                where=self.file,
                remedy="mend them; nothing was written" if self.mistakes else "`datong validate` says why",
                mistakes=tuple(str(m) for m in self.mistakes),
            )
        return found


def settings_by_kind(kinds: Mapping[str, type[BaseModel]]) -> Mapping[str, Sequence[Setting]]:
    """The settings of a connector of each kind of source: those of every connector, and its kind's own."""
    whole = json_schemas(kinds, {})["connector"]
    common = [one for one in described(whole, whole) if one.name not in ("source", "publish")]
    return {kind: [*common, *described(whole["$defs"][f"source.{kind}"], whole, "source.")] for kind in kinds}


class Editing:
    """Safe from many threads. Nothing that a text says raises anything but the hub's errors."""

    def __init__(
        self,
        loaded: Loaded,
        supervisor: Supervisor,
        index: OpenQuarantine,
        catalogue: Callable[[], Catalogue],
        read: Read,
        reload: Callable[[], object],
        kinds: Mapping[str, type[BaseModel]],
        taking: Collection[str] = (),
        databases: Collection[str] = (),
    ) -> None:
        """`taking`: kinds of source at which nobody can look without taking from them. `databases`: those whose private
        addresses need no entry in `outbound.allow`."""
        self._settings, self._supervisor, self._index = loaded.settings, supervisor, index
        self._catalogue, self._read_again, self._reload = catalogue, read, reload
        self._files = ConnectorFiles(loaded.settings.root)
        self._kinds, self._taking, self._databases = kinds, taking, databases

    def text(self, name: str) -> ConnectorFile:
        """A connector's file, also one that is left out for its mistakes. Raises NotFound, Conflict."""
        return self._files.get(name)

    @cached_property
    def kinds(self) -> Mapping[str, Sequence[Setting]]:
        """The settings of a connector of each kind of source."""
        return settings_by_kind(self._kinds)

    def texts(self) -> dict[str, ConnectorFile]:
        """Every connector's file by name."""
        return self._files.all()

    def validate(self, text: bytes, name: str = "") -> dict[str, Any]:
        """Every mistake with its line, against the project as it is and, where it can be asked, the source's columns.
        `name`: the connector whose file the text would replace; by default the one that it declares."""
        checked = self.check(text, name, look=True)
        return {
            "connector": checked.name,
            "file": checked.file,
            "valid": not checked.mistakes,
            "mistakes": [vars(m) for m in checked.mistakes],
        }

    def preview(self, text: bytes, limit: int) -> dict[str, Any]:
        """The source's first rows beside what would become of them, every value masked (G13); nothing is stored."""
        checked = self.check(text)
        spec = checked.spec
        if spec.kind in self._taking or spec.timing.kind == "continuous":
            raise Conflict(
                f"{spec.connector} takes what is sent to it: a look would take it from the connector that runs",
                remedy="preview a case of quarantine with this text instead",
            )
        plan = draft(spec, checked.catalogue, self._settings)
        wanted = frozenset(columns_used(plan.mapping))
        with closing(open_source(spec, self._settings, columns=wanted)) as source:
            rows = preview(plan, source, limit, patience_s=PATIENCE_S)
        return _shown(spec, rows)

    def preview_case(self, text: bytes, case: str, limit: int) -> dict[str, Any]:
        """What this text would make of the first rows of a case of quarantine: whether a fix works, before it is saved."""
        checked = self.check(text)
        spec = checked.spec
        entries = self._index.entries(case=case, limit=limit)
        if not entries:
            raise NotFound(f"there is no open case {case}", remedy="`datong quarantine list` names them")
        if entries[0].task != spec.connector:
            raise Conflict(f"the case is one of {entries[0].task}", remedy="send that connector's text")
        rows = preview_entries(draft(spec, checked.catalogue, self._settings), entries)
        return {"case": case, **_shown(spec, rows, entries[0].path)}

    def save(self, name: str, text: bytes, expected: str) -> dict[str, Any]:
        """Replace the file of revision `expected`, and let every node read it. A run under way ends as it began.

        Raises NotFound, RevisionChanged, Conflict, and ConfigurationInvalid with every mistake: then nothing was written."""
        self._files.get(name)
        return self._put(name, text, expected)

    def create(
        self, text: bytes, name: str = "", state: Desired = "RUNNING", *, by: str = "operator"
    ) -> dict[str, Any]:
        """A new file, and a connector in this state; `by` is who asked: it is kept with the state. Raises Conflict when there
        is one of that name, ConfigurationInvalid."""
        name = name or declared(text) or ""
        if is_name(name):
            found = self._files.find(name)
            if found is not None:
                raise Conflict(
                    f"connector {name} exists already, in {found.file}", remedy="change it, or choose a name"
                )
            _ = self.check(text, name).spec
            self._supervisor.prepare(name, state, reason=_why(state), by=by)
        return self._put(name, text, None)

    def delete(self, name: str, expected: str | None = None) -> None:
        """Take the file of a stopped connector away. Its topic, quarantine and checkpoint stay: one of the same name goes
        on from there. Raises NotFound, Conflict, RevisionChanged."""
        self._files.get(name)
        status = self._supervisor.statuses().get(name)
        if status is not None and (status.state != "STOPPED" or status.running):
            raise Conflict(
                f"connector {name} is {'running' if status.running else status.state}",
                remedy=f"`datong connector stop {name}` first",
            )
        self._files.remove(name, expected)
        self._reload()

    def check(self, text: bytes, name: str = "", *, look: bool = False) -> Checked:
        """A text in its place. Never raises for what it says."""
        says = declared(text)
        meant = name or says or ""
        place = meant if is_name(meant) else UNNAMED
        file = self._files.place(place)
        bound = self._bound(text, place, file)
        catalogue = self._read_again(look=place if look and not bound else False, instead={file: text})
        found = [*bound, *(m for m in catalogue.mistakes if m.file == file)]
        if says is not None and says != meant:
            found.insert(
                0,
                Mistake(
                    file=file,
                    line=_line(text),
                    path="connector",
                    message=f"must stay `{meant}`",
                    suggestion="for another name, create another connector",
                ),
            )
        return Checked(name=meant, file=file, catalogue=catalogue, mistakes=(*found, *self._elsewhere(catalogue, file)))

    def _bound(self, text: bytes, name: str, file: str) -> list[Mistake]:
        """Secrets that this text may not use. Known before anything is opened: a look at the source would send them."""
        try:
            place = Place(file=file, document=load_yaml(text, file))
        except ConfigurationInvalid:
            return []  # it is told as any mistake, and nothing is opened
        now = self._files.find(name)
        try:
            before = load_yaml(now.text, file).data if now else {}
        except ConfigurationInvalid:
            before = {}
        bindings = read_bindings(self._settings.root)
        found = list(check_edit(place, before, User(kind="connectors", name=name), bindings))
        source = place.document.data.get("source")
        if isinstance(source, dict) and source.get("kind") in self._databases:
            allowed = {one.lower() for one in self._settings.outbound.allow}
            found += check_database(place, before, bindings, allowed)
        return found

    def _elsewhere(self, would: Catalogue, file: str) -> list[Mistake]:
        """Mistakes of other files that are not there yet: a grant on a field that goes, a topic whose key changes."""
        new = [m for m in would.mistakes if m.file != file]
        looks: tuple[Callable[[], Catalogue], ...] = (self._catalogue, self._read_again)
        for now in looks:  # the second costs more, and knows what was changed by hand
            if not new:
                break
            known = {(m.file, m.path, m.message) for m in now().mistakes}
            new = [m for m in new if (m.file, m.path, m.message) not in known]
        return new

    def _put(self, name: str, text: bytes, expected: str | None) -> dict[str, Any]:
        _ = self.check(text, name).spec
        written = self._files.put(name, text, expected)
        self._reload()
        status = self._supervisor.statuses().get(name)
        return {
            "connector": name,
            "file": written.file,
            "revision": written.revision,
            "created": expected is None,
            "state": status.state if status else None,
            "running": status is not None and status.running,  # with what stood there before, until this run ends
        }


def _shown(spec: ConnectorSpec, rows: list[PreviewRow], path: str = "") -> dict[str, Any]:
    """`path`: what the rows failed for, and are looked at for now."""
    mapping = spec.publish.mapping
    shown = [
        {
            **vars(r),
            "source": masked(r.source),
            "result": masked(r.result),
            "columns": columns_behind(mapping, r.path or path, r.source or ()),
        }
        for r in rows
    ]
    good, filtered = (sum(r.outcome == kind for r in rows) for kind in ("published", "filtered"))
    return {
        "connector": spec.connector,
        "published": good,
        "filtered": filtered,
        "rejected": len(rows) - good - filtered,
        "fields": fields_behind(mapping, path),
        "rows": shown,
    }


def _line(text: bytes) -> int:
    """Of `connector:`, as far as one can tell."""
    lines = (
        i for i, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith((b"connector:", b'"connector"'))
    )
    return next(lines, 1)


def _why(state: str) -> str:
    return "" if state == "RUNNING" else f"created {state.lower()}"

"""Somebody else's registry: the hub registers and looks up there, with a memory that outlives its outages (F19, G10)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from hub.avro import compat
from hub.avro.schema import parse
from hub.avro.types import Schema, Type
from hub.errors import NotFound, RegistryUnavailable, SchemaInvalid
from hub.registry.client import Answer, RegistryClient, body_of, subject_path
from hub.registry.documents import Bounded
from hub.registry.dump import version_from_json
from hub.registry.errors import Break
from hub.registry.identity import dump_references, fingerprint
from hub.registry.model import LATEST, Draft, Level, Reference, Registered, SchemaVersion, StoredSchema, level_of
from hub.registry.remote_rows import Remembered

FRESH_S = 5.0  # so long the latest version of a subject is taken for the latest
REST_S = 5.0  # after an outage was noticed, so long nobody waits for it again
TREES, TREE_CHARACTERS = 2_000, 4_000_000
MAX_DEPTH = 32  # of references
MOST_SUBJECTS = 10_000
T = TypeVar("T")


class RemoteRegistry:
    """A registry that speaks the API, as the hub's own. Safe from many threads."""

    def __init__(self, client: RegistryClient, remembered: Remembered) -> None:
        self._client, self._remembered = client, remembered
        self._trees: Bounded[Schema] = Bounded(TREES, TREE_CHARACTERS)
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, tuple[float, SchemaVersion]] = OrderedDict()
        self._free: set[str] = set()
        self._away_until = 0.0

    def close(self) -> None:
        """Let its connections go."""
        self._client.close()

    # -- registering

    def register(self, subject: str, text: str, references: Sequence[Reference] = ()) -> Registered:
        """There, and then from memory while that registry is away. Raises RegistryUnavailable for what is not known."""
        draft = Draft(text=text, references=tuple(references))
        mark = self._mark(draft)
        try:
            made = self._register(subject, draft, mark)
        except RegistryUnavailable:
            known = self._remembered.registered(subject, mark)
            if known is None:
                raise
            return known
        self._remembered.keep_version(subject, made, mark)
        return made

    def register_freely(self, subject: str, text: str) -> Registered:
        """The level is asked for once; what is known needs no level."""
        known = self._remembered.registered(subject, self._mark(Draft(text=text)))
        if known is not None:
            return known
        if subject not in self._free:
            if self.level(subject) != "NONE":
                self._ask(lambda: self._client.put(f"/config/{quote(subject, safe='')}", {"compatibility": "NONE"}))
            self._free.add(subject)
        return self.register(subject, text)

    def _register(self, subject: str, draft: Draft, mark: str) -> Registered:
        body = body_of(draft)
        given = _number(self._object(lambda: self._client.post(subject_path(subject, "/versions"), body)), "id")
        found = self._object(lambda: self._client.post(subject_path(subject), body))
        stored = self._remembered.schema(given) or self._fetched(given)
        if _number(found, "id") != given or not self._same(draft, mark, stored):
            # an id that is another schema's must never reach a topic: better to wait for a registry that is right
            raise RegistryUnavailable(
                f"the schema registry answered with id {given}, which is another schema",
                where=f"subject {subject}",
                remedy="see who changed that registry, or what stands between it and this hub",
            )
        self._remembered.keep(stored)
        return Registered(given, _number(found, "version"))

    def _same(self, draft: Draft, mark: str, stored: StoredSchema) -> bool:
        """Is it what was sent? Registries may write it otherwise; then both must read each other's records."""
        if fingerprint(stored.text, dump_references(stored.references)) == mark:
            return True
        sent, got = self.tree(draft), self._parsed(stored, 0)
        return not compat.incompatibilities(sent, got) and not compat.incompatibilities(got, sent)

    # -- by id

    def by_id(self, schema_id: int) -> str:
        """Never asked for twice."""
        return self._stored(schema_id).text

    def parsed(self, schema_id: int) -> Schema:
        """Never asked for twice; with references, neither are they."""
        found = self._trees.get(schema_id)
        return found if found is not None else self._parsed(self._stored(schema_id), 0)

    def _stored(self, schema_id: int) -> StoredSchema:
        known = self._remembered.schema(schema_id)
        if known is None:
            known = self._fetched(schema_id)
            self._remembered.keep(known)
        return known

    def _fetched(self, schema_id: int) -> StoredSchema:
        data = self._object(lambda: self._client.get(f"/schemas/ids/{schema_id}"))
        return self._read({**data, "subject": "", "version": 1, "id": schema_id})

    def _parsed(self, stored: StoredSchema, depth: int) -> Schema:
        found = self._trees.get(stored.id)
        if found is None:
            found = parse(stored.text, self._known(stored.references, depth), check_defaults=False)
            self._trees.put(stored.id, found, len(stored.text))
        return found

    def _known(self, references: Sequence[Reference], depth: int) -> dict[str, Type]:
        if depth > MAX_DEPTH:
            raise SchemaInvalid(f"references go deeper than {MAX_DEPTH} levels")
        names: dict[str, Type] = {}
        for reference in references:
            target = self.any_version(reference.subject, reference.version)
            names.update(self._parsed(target.schema, depth + 1).names)
        return names

    # -- what there is

    def subjects(self) -> list[str]:
        """As they are now: nothing is remembered of a list."""
        return sorted(self._list(lambda: self._client.get("/subjects"), str))

    def versions(self, subject: str) -> list[int]:
        """As they are now."""
        return self._list(lambda: self._client.get(subject_path(subject, "/versions")), int)

    def latest(self, subject: str) -> SchemaVersion:
        """Of a few seconds ago at most; while the registry is away, the highest that was ever seen."""
        with self._lock:
            at, known = self._latest.get(subject, (-FRESH_S, None))
        if known is not None and monotonic() - at < FRESH_S:
            return known
        try:
            data = self._object(lambda: self._client.get(subject_path(subject, "/versions/latest")))
            found = self._version(data, subject)
        except RegistryUnavailable:
            remembered = known or self._remembered.version(subject)
            if remembered is None:
                raise
            found = remembered
        with self._lock:
            self._latest[subject] = (monotonic(), found)
            while len(self._latest) > MOST_SUBJECTS:
                self._latest.popitem(last=False)
        return found

    def newest(self, subject: str) -> SchemaVersion | None:
        """The same, or None."""
        try:
            return self.latest(subject)
        except NotFound:
            return None

    def any_version(self, subject: str, version: int) -> SchemaVersion:
        """A version never becomes another schema, so it is asked for once."""
        if version == LATEST:
            return self.latest(subject)
        known = self._remembered.version(subject, version)
        if known is None:
            data = self._object(lambda: self._client.get(subject_path(subject, f"/versions/{version}"), deleted=True))
            known = self._version(data, subject)
        return known

    # -- compatibility

    def level(self, subject: str | None = None) -> Level:
        """As it is now."""
        path = "/config" if subject is None else f"/config/{quote(subject, safe='')}"
        data = self._object(lambda: self._client.get(path, defaultToGlobal=True))
        return level_of(str(data.get("compatibilityLevel")))

    def compare(self, subject: str, draft: Draft, version: int | None = None) -> list[Break]:
        """By our own rules, at that registry's level: it would say yes or no, not where."""
        level, new = self.level(subject), self.tree(draft)
        if level == "NONE":
            return []
        if version is None:
            live = self.versions(subject) if self.newest(subject) is not None else []
            numbers = live if level.endswith("_TRANSITIVE") else live[-1:]
        else:
            numbers = [version]
        breaks = []
        for number in numbers:
            old = self.any_version(subject, number)
            reasons = compat.check_pair(level, new, self._parsed(old.schema, 0), old.version)
            breaks += [Break(version=old.version, reason=reason) for reason in reasons]
        return breaks

    def tree(self, draft: Draft) -> Schema:
        """With what it refers to, there."""
        return parse(draft.text, self._known(draft.references, 0))

    # -- inside

    def _mark(self, draft: Draft) -> str:
        """As our own registry would have it."""
        return fingerprint(self._canonical(draft), dump_references(draft.references))

    def _canonical(self, draft: Draft) -> str:
        return self.tree(draft).canonical

    def _version(self, data: Mapping[str, Any], subject: str) -> SchemaVersion:
        """A schema object, remembered when its id says the same."""
        said = self._read({**data, "subject": subject})
        stored = self._stored(said.id)
        if (said.text, said.references) != (stored.text, stored.references):
            raise RegistryUnavailable(
                f"the schema registry gives id {said.id} two meanings",
                where=f"subject {subject}",
                remedy="this hub keeps to the first; see who changed that registry",
            )
        found = SchemaVersion(subject=subject, version=_number(data, "version"), schema=stored)
        mark = fingerprint(stored.text, dump_references(stored.references))
        self._remembered.keep_version(subject, Registered(stored.id, found.version), mark)
        return found

    def _read(self, data: Mapping[str, Any]) -> StoredSchema:
        """What an answer says of a schema. Raises RegistryUnavailable when it is none."""
        try:
            made = version_from_json(data)
            text = parse(made.text, self._known(made.references, 1), check_defaults=False).canonical
        except (KeyError, TypeError, ValueError, SchemaInvalid) as error:
            raise RegistryUnavailable("the schema registry answered with something that is no schema") from error
        return StoredSchema(id=made.id, text=text, references=made.references)

    def _object(self, call: Callable[[], Answer]) -> dict[str, Any]:
        found = self._ask(call)
        if not isinstance(found, dict):
            raise RegistryUnavailable("the schema registry answered with something else than was asked for")
        return found

    def _list(self, call: Callable[[], Answer], of: type[T]) -> list[T]:
        found = self._ask(call)
        if not isinstance(found, list) or not all(isinstance(item, of) for item in found):
            raise RegistryUnavailable("the schema registry answered with something else than was asked for")
        return found

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """One call, unless an outage was noticed a moment ago."""
        if monotonic() < self._away_until:
            raise RegistryUnavailable("the schema registry was away a moment ago")
        try:
            return call()
        except RegistryUnavailable:
            self._away_until = monotonic() + REST_S
            raise


def _number(data: Mapping[str, Any], name: str) -> int:
    found = data.get(name)
    if not isinstance(found, int):
        raise RegistryUnavailable(f"the schema registry answered without a number as `{name}`")
    return found

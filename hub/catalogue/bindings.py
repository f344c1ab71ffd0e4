"""`bindings.yaml`: who may use a secret, and where it may go; and what an edit through the hub may say of one (ADR 17).

Who writes files on the hub's disk puts secrets there and is trusted with them; what a binding says holds for those files
too. Who edits a connector through the hub is not: a text of theirs gets a secret that is bound to the connector and to
hosts, or one that stands in the connector's file already, in a part that they leave as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from hub.catalogue.declared import Declared, read_optional, strangers
from hub.catalogue.mistakes import Mistake, Place, checked, did_you_mean
from hub.catalogue.specs import Name, Spec
from hub.errors import ConfigurationInvalid
from hub.secrets import REFERENCE

FILE = "bindings.yaml"
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}:[0-9]{1,5}$"), AfterValidator(str.lower)]
PARTS: Mapping[str, str] = {"connectors": "source", "subscriptions": "sink", "alerts": "channel"}  # what may connect
Users = Literal["connectors", "subscriptions", "alerts"]
Steps = tuple[str | int, ...]


class SecretSpec(Spec):
    """Who may use a secret, and where it may go. A secret that stands in the list is given to nobody else."""

    secret: str = Field(description="NAME of `${secret:NAME}`.", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    connectors: tuple[Name, ...] = Field((), description="Connectors that may use it.")
    subscriptions: tuple[Name, ...] = Field((), description="Subscriptions whose sink may use it.")
    alerts: tuple[Name, ...] = Field((), description="Those of `alerts.d` (`notify`) who may use it.")
    hosts: tuple[Host, ...] | None = Field(
        None,
        description="`host:port`, as the files name them: whatever uses the secret connects to these alone. `[]` is nowhere, "
        "for what only takes what is sent to it. Without it files on disk may name any, and an edit through the hub none.",
    )
    plain: bool = Field(
        False,
        description="Whatever uses the secret may connect without TLS, or by a driver of which the hub cannot see that it "
        "speaks TLS. Without it so only on loopback.",
    )


@dataclass(frozen=True, kw_only=True)
class User:
    """What wants a secret: a connector, a subscription, somebody told of alerts."""

    kind: Users
    name: str

    def __str__(self) -> str:
        return {"connectors": "connector", "subscriptions": "subscription", "alerts": "notify"}[
            self.kind
        ] + f" {self.name}"


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """What `bindings.yaml` says."""

    declared: Mapping[str, Declared[SecretSpec]] = field(default_factory=dict)
    claimed: frozenset[str] | None = frozenset()  # also entries with mistakes; None: the file cannot be read at all
    mistakes: tuple[Mistake, ...] = ()

    def bound(self, secret: str) -> bool:
        """Is it anybody's in particular? An entry with mistakes, or a file that cannot be read, binds to nobody."""
        return self.claimed is None or secret in self.claimed

    def allows(self, secret: str, user: User) -> bool:
        """May it be given to this user, as far as the file says?"""
        if not self.bound(secret):
            return True
        one = self.declared.get(secret)
        return one is not None and user.name in getattr(one.spec, user.kind)

    def require(self, secret: str, user: User) -> None:
        """Raises ConfigurationInvalid unless it may."""
        if not self.allows(secret, user):
            raise ConfigurationInvalid(
                f"the secret {secret} is not bound to the {user}",
                where=FILE,
                remedy=f"add it there: {_entry(secret, user)}",
            )

    def hosts(self, secrets: Collection[str]) -> frozenset[str] | None:
        """Where something may connect that uses these; None: wherever the rule of outbound connections lets it."""
        said = [self.declared[s].spec.hosts for s in secrets if s in self.declared]
        found = [frozenset(hosts) for hosts in said if hosts is not None]
        return frozenset.intersection(*found) if found else None

    def sealed(self, secrets: Collection[str]) -> frozenset[str]:
        """Those of them that leave this machine encrypted, or not at all."""
        return frozenset(s for s in secrets if s in self.declared and not self.declared[s].spec.plain)


def read_bindings(project: Path) -> Bindings:
    """The bindings of a project. Never raises for what the file says; no file binds nothing."""
    mistakes: list[Mistake] = []
    document = read_optional(project / FILE, FILE, mistakes)
    if document is None:
        return Bindings(claimed=None, mistakes=tuple(mistakes))
    place = Place(file=FILE, document=document)
    mistakes += strangers(place, "secrets")
    entries = document.data.get("secrets", [])
    names = [e.get("secret") if isinstance(e, dict) else None for e in entries] if isinstance(entries, list) else [None]
    if not isinstance(entries, list) or not all(isinstance(name, str) for name in names):
        mistakes.append(place.mistake(("secrets",), "must be a list of `- {secret: NAME, connectors: [one]}`"))
        return Bindings(claimed=None, mistakes=tuple(mistakes))
    declared: dict[str, Declared[SecretSpec]] = {}
    for i, entry in enumerate(entries):
        at = Place(file=FILE, document=document, prefix=("secrets", i))
        spec, found = checked(SecretSpec, entry, at)
        if names.count(names[i]) > 1:
            found.append(at.mistake(("secret",), f"`{names[i]}` stands in the list twice"))
        mistakes += found
        if spec is not None and not found:
            declared[spec.secret] = Declared(spec=spec, place=at)
    return Bindings(declared=declared, claimed=frozenset(map(str, names)), mistakes=tuple(mistakes))


def references(value: Any, at: Steps = ()) -> Iterator[tuple[Steps, str]]:
    """Every secret that a value names, with the path of the text. Expressions name them as any text does: the language has
    no other spelling of a constant."""
    if isinstance(value, str):
        yield from ((at, name) for name in REFERENCE.findall(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from references(key, at)
            yield from references(inner, (*at, str(key)))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for i, inner in enumerate(value):
            yield from references(inner, (*at, i))


def check_secrets(place: Place, user: User, bindings: Bindings) -> Iterator[Mistake]:
    """Secrets that a file names and that are bound to others."""
    for path, secret in references(place.document.data):
        if not bindings.allows(secret, user):
            why = f"the secret {secret} is not bound to the {user}"
            yield place.mistake(path, why, f"in {FILE}: {_entry(secret, user)}")


def check_users(bindings: Bindings, known: Mapping[Users, Collection[str]]) -> Iterator[Mistake]:
    """Names in the bindings that nothing is called by: worth saying, for one may be bound before it is made."""
    for one in bindings.declared.values():
        for kind, names in known.items():
            for i, name in enumerate(getattr(one.spec, kind)):
                if name not in names:
                    told = User(kind=kind, name=name)
                    yield one.place.mistake((kind, i), f"there is no {told}", did_you_mean(name, names))


def check_unbound(places: Sequence[Place], bindings: Bindings) -> Iterator[Mistake]:
    """Secrets in use that are anybody's: the first place of each."""
    told: set[str] = set()
    for place in places:
        for path, secret in references(place.document.data):
            if secret not in told and not bindings.bound(secret):
                told.add(secret)
                yield place.mistake(
                    path, f"the secret {secret} is bound to nobody", f"{FILE} says who may use it, and where"
                )


def check_edit(place: Place, before: Mapping[str, Any], user: User, bindings: Bindings) -> Iterator[Mistake]:
    """Secrets that an edit through the hub may not use. `before`: what the connector's file says now."""
    data = place.document.data
    part = PARTS[user.kind]
    for path, secret in references(data):
        connects = path[:1] == (part,)
        one = bindings.declared.get(secret)
        if one is None and bindings.bound(secret):
            continue  # `check_secrets` tells
        if one is not None and (
            user.name not in getattr(one.spec, user.kind) or one.spec.hosts is not None or not connects
        ):
            continue  # `check_secrets` tells; or wherever it connects to is held to the hosts
        if _same(data, before, path[:1] if connects else path):
            continue
        if connects:
            why = f"the secret {secret} is not bound to the {user} and to hosts, so the {part} stays as it is"
        else:
            why = f"the secret {secret} is not bound to the {user}"
        hosts = ", hosts: ['HOST:PORT']" if connects else ""
        yield place.mistake(path, why, f"who keeps the hub's files adds to {FILE}: {_entry(secret, user, hosts)}")


def check_database(
    place: Place, before: Mapping[str, Any], bindings: Bindings, allowed: Collection[str]
) -> Iterator[Mistake]:
    """Where an edit through the hub may let a database source lead. Such sources need no entry for a private address when
    their files were written on the hub's disk, so an edit names what stands there, what is allowed, or what a secret is
    held to."""
    source, old = place.document.data.get("source"), before.get("source")
    if not isinstance(source, dict) or source == old:
        return
    from hub.urls import place_of  # with SQLAlchemy, which no other check needs

    wanted = place_of(str(source.get("url")))
    known = place_of(str(old.get("url"))) if isinstance(old, dict) else ""
    if wanted is None or wanted in allowed or (wanted and wanted == known):
        return
    if bindings.hosts({secret for _path, secret in references(source)}) is None:
        yield place.mistake(
            ("source", "url"),
            "an edit may not let it lead to another database",
            f"who keeps the hub's files allows it in datong.yaml: `outbound: {{allow: ['{wanted or 'HOST:PORT'}']}}`, or "
            f"binds the secret to the host in {FILE}",
        )


def _same(data: Any, before: Any, path: Steps) -> bool:
    """Does the same stand at a path?"""
    for step in path:
        try:
            data, before = data[step], before[step]
        except (KeyError, IndexError, TypeError):
            return False
    return bool(data == before)


def _entry(secret: str, user: User, more: str = "") -> str:
    return f"`- {{secret: {secret}, {user.kind}: [{user.name}]{more}}}`"

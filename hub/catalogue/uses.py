"""Who uses a schema: the connectors that publish with its subject, the grants on its topic, the groups that read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hub.access.affected import affected
from hub.access.grants import Grant
from hub.catalogue.load import Catalogue
from hub.errors import SchemaIncompatible
from hub.registry.desk import Subscription, Users, Uses
from hub.registry.errors import IncompatibleWithSubject
from hub.store.groups import GroupCursors


class SchemaUsers:
    """Over a catalogue that may be read again while the hub runs."""

    def __init__(self, cursors: GroupCursors, catalogue: Callable[[], Catalogue]) -> None:
        self._cursors, self._catalogue = cursors, catalogue

    def users(self) -> Users:
        """As the registry's desk asks for them."""
        return Users(of=self.of, touched=self.touched)

    def of(self, subject: str) -> Uses:
        """Everybody."""
        topic, catalogue = topic_of(subject), self._catalogue()
        connectors = sorted(name for name, spec in catalogue.connectors.items() if spec.publish.topic == topic)
        grants = [g for g in catalogue.access_grants if g.topic == topic]
        return Uses(topic=topic, connectors=tuple(connectors), subscriptions=self._subscriptions(grants))

    def touched(self, subject: str, paths: Sequence[str]) -> tuple[Subscription, ...]:
        """Those who read one of these fields."""
        return self._subscriptions(affected(self._catalogue().access_grants, topic_of(subject), paths))

    def _subscriptions(self, grants: Iterable[Grant]) -> tuple[Subscription, ...]:
        groups: dict[str, set[str]] = {}
        for key, _partition, _cursor in self._cursors.all():
            groups.setdefault(key.grant, set()).add(key.group)
        return tuple(
            Subscription(agency=g.agency, grant=g.name, fields=g.fields, groups=tuple(sorted(groups.get(g.name, ()))))
            for g in grants
        )


def topic_of(subject: str) -> str:
    """The topic of a subject `<topic>-value` or `<topic>-key`."""
    return subject.removesuffix("-value").removesuffix("-key")


def refusal(error: SchemaIncompatible, topic: str, grants: Iterable[Grant]) -> SchemaIncompatible:
    """A refused schema of a connector, with everything that its publisher must know in one message: field, reason, and
    the subscriptions that it would have broken (R35)."""
    paths = [b.reason.path for b in error.breaks] if isinstance(error, IncompatibleWithSubject) else [""]
    broken = [f"{g.name} of {g.agency}" for g in affected(grants, topic, paths)]
    whom = f"it would break the subscriptions {', '.join(broken)}" if broken else "no subscription reads these fields"
    made = SchemaIncompatible(
        f"{error.message}: {'; '.join(error.incompatibilities[:20])}; {whom}",
        where=error.where,
        incompatibilities=error.incompatibilities,
    )
    made.remedy = (
        "nothing was published; keep or give the field a default, or publish on a topic of a new version (.v2)"
    )
    return made

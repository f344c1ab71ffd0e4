"""Subscriptions that the hub pushes, against the grants and the kinds of sink there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub.catalogue.checks import Context, of_kind
from hub.catalogue.declared import Declared
from hub.catalogue.mistakes import Mistake, did_you_mean
from hub.catalogue.specs import GrantSpec, SubscriptionSpec


def with_sink(one: Declared[SubscriptionSpec], context: Context) -> tuple[Declared[SubscriptionSpec], list[Mistake]]:
    """The subscription with its sink as its kind's own value, and what is wrong with the sink and with who reads."""
    sink, mistakes = of_kind(one.spec.sink, "sink", one.place, context.sinks)
    mistakes += _reader(one)
    if sink is None:
        return one, mistakes
    return Declared(spec=one.spec.model_copy(update={"sink": sink}), place=one.place), mistakes


def _reader(one: Declared[SubscriptionSpec]) -> Iterator[Mistake]:
    spec, whole = one.spec, ("subscription",)
    if spec.grant is not None:
        for name in ("agency", "topic"):
            if getattr(spec, name) is not None:
                yield one.place.mistake((name,), "stands in the grant already", "take it out, or `grant`")
    elif spec.agency is None or spec.topic is None:
        yield one.place.mistake(whole, "does not say what it reads", "give `grant`, or `agency` and `topic`")


def check_granted(one: Declared[SubscriptionSpec], grants: Sequence[GrantSpec]) -> Iterator[Mistake]:
    """A grant that lets it read. Without one it stays declared, and is refused for as long as that is so (G11)."""
    spec = one.spec
    if spec.grant is not None:
        names = [g.grant for g in grants]
        if spec.grant not in names:
            suggestion = did_you_mean(spec.grant, names) or "declare it in grants.d; until then nothing is pushed"
            yield one.place.mistake(("grant",), f"no sound grant `{spec.grant}` is declared", suggestion)
        return
    fitting = [g.grant for g in grants if (g.agency, g.topic) == (spec.agency, spec.topic)]
    if not fitting and spec.agency and spec.topic:
        suggestion = "declare one in grants.d; until then nothing is pushed"
        yield one.place.mistake(("topic",), f"no grant lets {spec.agency} read it", suggestion)
    elif len(fitting) > 1:
        yield one.place.mistake(("topic",), f"several grants fit: {', '.join(fitting)}", "name one of them as `grant`")

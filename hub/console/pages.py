"""What pages and actions are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.app import Hub
from hub.errors import ConfigurationInvalid, DatongError
from hub.people import Person
from hub.store.people import Role

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of a person who is logged in."""

    hub: Hub
    person: Person
    language: str
    path: Mapping[str, str]  # what the path's {names} stand for
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a password

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query, at least 1. Raises ConfigurationInvalid."""
        given = self.query.get(name, str(default))
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:10]) <= most):
            raise ConfigurationInvalid(f"a whole number from 1 to {most} is wanted", where=name)
        return int(given)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is shown at a path below /console, and as JSON at the same path with `.json` behind it. One without template is
    for a page's script alone, and only JSON."""

    path: str
    template: str
    show: Callable[[Asked], Values]  # JSON values
    area: str  # the entry of the navigation it belongs to
    role: Role = "viewer"
    charts: bool = False  # the page draws with plotly
    kept_s: int = 0  # how long a browser may keep the twin: of what is another at another address


@dataclass(frozen=True, kw_only=True)
class Done:
    """An action has done what was asked: go there, and say so. `said` is the key of a text, `about` its values."""

    to: str  # a path below /console
    said: str
    about: Mapping[str, str | int] = field(default_factory=dict)
    well: bool = True  # False: it was done, and is not what one would wish for


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An action answers with a page: what a form held is not lost when it is wrong. `values` are added to the page's own."""

    page: Page
    values: Values
    status: int = 200


@dataclass(frozen=True, kw_only=True)
class Action:
    """What happens when a form is posted to a path below /console."""

    path: str
    act: Callable[[Asked], Done | Shown]
    role: Role = "operator"


def trouble(error: DatongError) -> Values:
    """An error as pages show it."""
    return {"code": error.code, "statement": error.statement, "remedy": error.remedy}

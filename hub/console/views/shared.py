"""What several pages do alike: names of agencies, and actions that stay on their page when they are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.api.problems import status_of
from hub.console.pages import Asked, Done, Page, Shown, trouble
from hub.errors import DatongError


def agency_title(asked: Asked, name: str | None) -> str:
    """An agency's name in the page's language; its id where it has none."""
    agency = asked.hub.catalogue.agencies.get(name or "")
    names = agency.name.model_dump() if agency else {}
    return names.get(asked.language) or names.get("en") or name or ""


def topic_title(asked: Asked, name: str | None) -> str:
    """A topic's title in the page's language; nothing where it has none."""
    spec = asked.hub.catalogue.topics.get(name or "")
    titles = spec.title.model_dump() if spec else {}
    return titles.get(asked.language) or titles.get("en") or ""


def on_record(text: str) -> dict[str, Any] | None:
    """An error on record, `CODE: statement`, as pages show it."""
    code, _, statement = text.partition(": ")
    return {"code": code, "statement": statement, "remedy": ""} if text else None


def staying(page: Page, act: Callable[[Asked], Done | Shown]) -> Callable[[Asked], Done | Shown]:
    """An action that answers with its page, and what went wrong on it, when it is refused."""

    def tried(asked: Asked) -> Done | Shown:
        try:
            return act(asked)
        except DatongError as error:
            return Shown(page=page, values=page.show(asked) | {"wrong": trouble(error)}, status=status_of(error))

    return tried

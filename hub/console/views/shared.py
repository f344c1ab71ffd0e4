"""What several pages do alike: lists page by page, names of agencies, and actions that stay on their page when they are
refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hub.api.problems import status_of
from hub.console.pages import Asked, Done, Page, Shown, Values, trouble
from hub.errors import DatongError, NotFound

Row = TypeVar("Row")
MOST_PAGES = 10_000


@dataclass(frozen=True, kw_only=True)
class Paged(Generic[Row]):
    """What one page shows of a list."""

    rows: Sequence[Row]
    first: int  # which row of the whole list the first one is, from 1
    values: Values  # `found` in all, `page` and `pages`: what the pager of templates/_parts.html wants


def paged(asked: Asked, found: Sequence[Row], a_page: int) -> Paged[Row]:
    """The rows of the page that the query asks for, the first by default; none behind the last page. `found` is the whole
    list, in its order. Raises ConfigurationInvalid for what is no number of a page."""
    number = asked.number("page", 1, MOST_PAGES)
    before = (number - 1) * a_page
    return Paged(
        rows=found[before : before + a_page],
        first=before + 1,
        values={"found": len(found), "page": number, "pages": max(1, -(-len(found) // a_page))},
    )


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


def connector_of(asked: Asked, name: str) -> dict[str, Any] | None:
    """A connector; None: it is not there any more, or its file has a mistake."""
    try:
        return asked.hub.views.connector(name)
    except NotFound:
        return None


def on_record(text: str) -> dict[str, Any] | None:
    """An error on record, `CODE: statement (remedy)`, as pages show it: `raw` is all that was said after the code, `statement`
    that without the brackets it may end in, in which a remedy stands."""
    code, _, raw = text.partition(": ")
    return {"code": code, "statement": unadvised(raw), "remedy": "", "raw": raw} if text else None


def unadvised(raw: str) -> str:
    """Without the brackets it may end in: there stands what to do, and the page says that in its own language."""
    depth = 0
    for place in range(len(raw) - 1, -1, -1) if raw.endswith(")") else ():
        depth += (raw[place] == ")") - (raw[place] == "(")
        if depth == 0:
            return raw[:place].rstrip() or raw
    return raw


def staying(page: Page, act: Callable[[Asked], Done | Shown]) -> Callable[[Asked], Done | Shown]:
    """An action that answers with its page, and what went wrong on it, when it is refused."""

    def tried(asked: Asked) -> Done | Shown:
        try:
            return act(asked)
        except DatongError as error:
            return Shown(page=page, values=page.show(asked) | {"wrong": trouble(error)}, status=status_of(error))

    return tried

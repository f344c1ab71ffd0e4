"""What one page says of further ones, where a connector declares no paging: a part must not pass for the whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NEXT = frozenset({"next", "nexturl", "nextlink", "nextpage", "nextpageurl", "nextpagetoken", "nextcursor", "nexttoken"})
FLAGS = frozenset({"hasmore", "hasnext", "hasnextpage", "moreresults", "exceededtransferlimit", "istruncated"})
TOTALS = frozenset({
    "total", "count", "totalcount", "totalitems", "totalelements", "totalresults", "totalrows", "totalrecords",
    "numbermatched", "recordstotal", "totale", "gesamt", "anzahl", "总数", "总计",
})  # fmt: skip
PAGES = frozenset({"totalpages", "pagecount", "numpages"})
ADDRESS = ("href", "url")  # of a link that is an object
DEPTH = 3  # of objects, such as `result._links.next`


@dataclass(frozen=True)
class MorePages:
    """Where a page speaks of others. `certain`: it says that there are more; else its numbers suggest it."""

    where: str
    certain: bool

    def note(self) -> str:
        """For a person; names, never values."""
        says = "says" if self.certain else "seems to say"
        return (
            f"the service {says} that there are more pages ({self.where}), and this connector reads one: declare in its "
            "`source:` how they follow each other, `paging: {by: …}`"
        )


def more_pages(link: str | None, body: bytes, rows: int) -> MorePages | None:
    """`link`: the target of the header `Link` with rel=next; `rows`: of the page. None when nothing is said."""
    if link:
        return MorePages("header `Link` with rel=next", True)
    if not rows:
        return None
    try:
        found = list(_members(json.loads(body), "", DEPTH))
    except (ValueError, RecursionError):
        return None  # rows are read one by one, and what is beside them is passed over however it is made
    for path, name, value in found:
        if (name in NEXT and _leads_on(value)) or (name in FLAGS and value is True):
            return MorePages(f"`{path}`", True)
    for path, name, value in found:
        if type(value) is int and ((name in TOTALS and value > rows) or (name in PAGES and value > 1)):
            return MorePages(f"`{path}`", False)
    return None


def _members(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    """Members of objects and of the objects in them, lists left out: path, name for comparing, value."""
    if not isinstance(value, Mapping) or not depth:
        return
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        yield here, re.sub(r"[\W_]", "", name.rpartition(".")[2].casefold()), inner
        yield from _members(inner, here, depth - 1)


def _leads_on(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_leads_on(value.get(name)) for name in ADDRESS)
    return value is True or (isinstance(value, str) and value != "") or (type(value) is int and value > 0)

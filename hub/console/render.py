"""Templates with what every page has: texts, the person, the navigation, numbers and times in words. All is escaped (S18)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unicodedata import east_asian_width
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hub import __version__
from hub.avro.words import ENGLISH
from hub.console.assets import PLOTLY, address
from hub.console.schedules import in_words
from hub.console.texts import LANGUAGES, NAMES, Texts
from hub.people import Person
from hub.sentences import OR

THEMES = ("auto", "light", "dark")
NAVIGATION = (  # area, path; in this order
    ("overview", "/console/"),
    ("flow", "/console/flow"),
    ("map", "/console/map"),
    ("connectors", "/console/connectors"),
    ("topics", "/console/topics"),
    ("quarantine", "/console/quarantine"),
    ("subscribers", "/console/subscribers"),
    ("schemas", "/console/schemas"),
    ("health", "/console/health"),
)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a page is to look for who asked."""

    texts: Texts
    theme: str
    person: Person | None
    path: str  # of the page, with its query: where the switches lead back to
    area: str = ""
    charts: bool = False
    said: str = ""  # what an action did
    said_well: bool = True


def render(template: str, look: Look, values: Mapping[str, Any]) -> str:
    """A page's HTML."""
    t = look.texts
    return (
        environment()
        .get_template(template)
        .render(
            values,
            t=t,
            look=look,
            person=look.person,
            languages=[(code, NAMES[code]) for code in LANGUAGES],
            themes=THEMES,
            navigation=NAVIGATION,
            ago=lambda moment: ago(moment, t),
            duration=lambda seconds: duration(seconds, t),
            took=lambda seconds: took(seconds, t),
            in_words=lambda schedule: in_words(schedule, t),
            title_of=lambda title: title.get(t.language) or title.get("en") or "",
        )
    )


@cache
def environment() -> Environment:
    """The one environment of all templates."""
    made = Environment(
        loader=PackageLoader("hub.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "share": share,
        "size": size,
        "segment": segment,
        "fit": fit,
        "codes": codes,
        "in_english": in_english,
        "worded": worded,
        "leaves": leaves,
        "code": code,
        "middle": middle,
    }
    made.globals |= {"asset": address, "PLOTLY": PLOTLY, "version": __version__, "SENTENCES": ENGLISH}
    return made


def segment(name: object) -> str:
    """A name as one segment of a path."""
    return quote(str(name), safe="")


def fit(text: str, width: int) -> str:
    """Cut to so many columns, of which a Chinese character takes two (UAX 11)."""
    used = 0
    for place, char in enumerate(text):
        used += 2 if east_asian_width(char) in "WF" else 1
        if used > width:
            return text[: max(place - 1, 0)] + "…"
    return text


def middle(text: str, width: int) -> str:
    """Cut in the middle to so many characters: of a path the last steps tell most."""
    if len(text) <= width:
        return text
    end = text[-width * 2 // 3 :]
    end = end[max(end.find("/"), 0) :]
    return f"{text[: width - 1 - len(end)]}…{end}"


def codes(text: str) -> Markup:
    """What stands between backticks as code; all else is escaped."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def in_english(text: str, sentences: Sequence[str]) -> Markup:
    """A text with code between backticks, in which whole sentences of the hub's are English whatever the page is."""
    for sentence in sentences:
        before, found, after = text.partition(sentence)
        if found:
            return codes(before) + Markup('<span lang="en">{}</span>').format(codes(found)) + codes(after)
    return codes(text)


def worded(what: Any, words: Mapping[str, str]) -> Markup:
    """A sentence that code made (`hub.sentences`, as JSON values) in the words of a language; what it names is code."""
    if isinstance(what, str):
        return code(what)
    if isinstance(what, list):
        return escape(words[OR]).join(worded(one, words) for one in what)
    about = {name: worded(part, words) for name, part in what["about"].items()}
    return escape(words[what["code"]]).format_map(about)


def leaves(value: object, path: str = "") -> list[tuple[str, str]]:
    """What is in a JSON value, each with the path to it."""
    if isinstance(value, Mapping):
        return [
            leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}" if path else str(name))
        ]
    if isinstance(value, list):
        return [leaf for place, inner in enumerate(value) for leaf in leaves(inner, f"{path}[{place}]")]
    return [(path, "NULL" if value is None else str(value))]


def code(name: object) -> Markup:
    """A name as code."""
    return Markup("<code>{}</code>").format(name)


def number(value: float | None) -> str:
    """With commas, as English and Chinese readers both write it; one decimal below 10 where there are any."""
    if value is None:
        return "–"
    if isinstance(value, float) and value < 10 and not value.is_integer():
        return f"{value:.1f}"
    return f"{value:,.0f}"


def share(value: float) -> str:
    """A part of one, in percent."""
    return f"{value * 100:.2f} %"


def size(count: int | None) -> str:
    """Bytes, in the unit a person would take."""
    if count is None:
        return "–"
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= one:
            return f"{count / one:,.1f} {unit}"
    return f"{count} B"


def duration(seconds: float | None, t: Texts) -> str:
    """A span of time in its largest unit."""
    if seconds is None:
        return "–"
    for unit, one in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= one:
            return t(f"common.span.{unit}", n=f"{seconds / one:.0f}")
    return t("common.span.seconds", n=f"{max(seconds, 0):.0f}")


def took(seconds: float | None, t: Texts) -> str:
    """How long something took: with tenths while that tells more."""
    if seconds is None or round(seconds, 1) >= 10:
        return duration(seconds, t)
    return t("common.span.seconds", n=f"{max(seconds, 0):.1f}")


def ago(moment: str | None, t: Texts) -> str:
    """How long an RFC 3339 moment is past, in words."""
    if not moment:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    if seconds < 0:
        return t("common.in_future", span=duration(-seconds, t))
    return t("common.ago", span=duration(seconds, t))

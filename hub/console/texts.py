"""Everything the console says, in English and Chinese: `locales/LANGUAGE/*.yaml`, one file a part of the console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LANGUAGES = ("en", "zh")
NAMES = {"en": "English", "zh": "中文"}


@cache
def texts(language: str) -> Mapping[str, str]:
    """All texts of a language by key: `file.name.name`."""
    found: dict[str, str] = {}
    for file in (files("hub.console") / "locales" / language).iterdir():
        if file.name.endswith(".yaml"):
            found.update(_flat(yaml.safe_load(file.read_text(encoding="utf-8")), file.name.removesuffix(".yaml")))
    return found


class Texts:
    """The texts of one language. Call it with a key and the values it names."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = texts(language)

    def __call__(self, key: str, **about: Any) -> str:
        """Raises KeyError for a key that no text has: a mistake of the page."""
        return self._texts[key].format_map(about)

    def count(self, key: str, n: int) -> str:
        """So many of something: the text `key.one` or `key.other`, with `n` as people write it. Chinese says both alike."""
        return self(f"{key}.{'one' if n == 1 else 'other'}", n=f"{n:,}")

    def known(self, key: str, default: str) -> str:
        """A text that may be missing: of a code that comes from elsewhere."""
        return self._texts.get(key, default)


def chosen(asked: str | None, kept: str | None, accepted: str) -> str:
    """The language to answer in: asked for now, kept from before, or the first that the browser accepts and we have."""
    for language in (asked, kept):
        if language in LANGUAGES:
            return language
    weighed = []
    for place, part in enumerate(accepted[:200].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.partition("-")[0].lower()
        if language in LANGUAGES:
            weighed.append((-_weight(weight), place, language))
    return min(weighed)[2] if weighed else LANGUAGES[0]


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def _flat(data: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in (data or {}).items():
        key = f"{prefix}.{name}"
        if isinstance(value, dict):
            yield from _flat(value, key)
        elif isinstance(value, str):
            yield key, value
        else:
            raise TypeError(f"{key} is no text: put quotation marks around it")  # YAML's `on` is true

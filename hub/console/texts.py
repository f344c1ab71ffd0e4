"""Everything the console says, in English and Chinese: `locales/LANGUAGE/*.yaml`, one file a part of the console.

What other parts of the hub say in English (what a function does, what a setting is, what changes between two schemas) has no
second copy there. `locales/zh/translated/*.yaml` says it in Chinese; beside each name stands the fingerprint of the English
text that was translated. When that text changes, its translation is no longer shown, and a test names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

LANGUAGES = ("en", "zh")
NAMES = {"en": "English", "zh": "中文"}
TAGS = {"en": "en", "zh": "zh-CN"}  # as `lang` of HTML has them
ORIGINAL = "en"


@cache
def texts(language: str) -> Mapping[str, str]:
    """All texts of a language by key: `file.name.name`."""
    found: dict[str, str] = {}
    for file in (files("hub.console") / "locales" / language).iterdir():
        if file.name.endswith(".yaml"):
            found.update(_flat(yaml.safe_load(file.read_text(encoding="utf-8")), file.name.removesuffix(".yaml")))
    return found


@cache
def translations(language: str) -> Mapping[str, str]:
    """What the code says in English, in another language, by `file.name… FINGERPRINT`."""
    found: dict[str, str] = {}
    folder = files("hub.console") / "locales" / language / "translated"
    for file in folder.iterdir() if language != ORIGINAL else ():
        found.update(_flat(yaml.safe_load(file.read_text(encoding="utf-8")), file.name.removesuffix(".yaml")))
    return found


def fingerprint(english: str) -> str:
    """Of a text, so that one that was translated is known again."""
    return sha256(english.encode()).hexdigest()[:8]


class Translated(NamedTuple):
    """A text of the code's, and the tag of the language that it is in: English where there is no translation."""

    text: str
    lang: str


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

    def translated(self, key: str, english: str) -> Translated:
        """What the code says of `key`, in this language."""
        found = translations(self.language).get(f"{key} {fingerprint(english)}")
        return Translated(english, TAGS[ORIGINAL]) if found is None else Translated(found, TAGS[self.language])

    def words(self, key: str, english: Mapping[str, str]) -> Mapping[str, str]:
        """The words of sentences that code makes, by code."""
        return {code: self.translated(f"{key}.{code}", words).text for code, words in english.items()}


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

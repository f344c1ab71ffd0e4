"""Sentences that are made by code and said in more than one language: which words, and what they name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

OR = "or"  # the words between alternatives

Part = Union[str, "Sentence", tuple["Part", ...]]  # a tuple: alternatives


@dataclass(frozen=True)
class Sentence:
    """`code` stands for words with `{names}`, which are texts that are the same in every language (a field, a value, a
    number) or sentences again. Tables of words by code are beside the code that makes the sentences."""

    code: str
    about: Mapping[str, Part] = field(default_factory=dict)

    def said(self, words: Mapping[str, str]) -> str:
        """In the language of `words`. Raises KeyError for a code that they lack."""
        return words[self.code].format_map({name: said(part, words) for name, part in self.about.items()})

    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return {"code": self.code, "about": {name: _data(part) for name, part in self.about.items()}}


def said(part: Part, words: Mapping[str, str]) -> str:
    """A part alone."""
    match part:
        case str():
            return part
        case Sentence():
            return part.said(words)
        case _:
            return words[OR].join(said(one, words) for one in part)


def _data(part: Part) -> Any:
    match part:
        case str():
            return part
        case Sentence():
            return part.data()
        case _:
            return [_data(one) for one in part]

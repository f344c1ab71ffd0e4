"""Code lists with validity and cross-walks; names match without accents, case or apostrophes (R14)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

NAME = ".name"  # `it.istat.name` is the names of `it.istat`


@dataclass(frozen=True, kw_only=True)
class Code:
    """One entry, for the days from `valid_from` to before `valid_to`. A code may have several, one after the other."""

    code: str
    name: str = ""
    aliases: tuple[str, ...] = ()  # other spellings of the name
    valid_from: str | None = None  # ISO date
    valid_to: str | None = None  # ISO date; a code with one is retired
    successor: str | None = None
    to: Mapping[str, str] = field(default_factory=dict)  # other list -> its code


@dataclass(frozen=True, kw_only=True)
class CodeList:
    """A list under a name and a version."""

    name: str
    version: str
    codes: Sequence[Code]
    title: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Walk:
    """From one list to another: exact texts, what is ambiguous, and what is retired."""

    table: Mapping[str, str]
    ambiguous: frozenset[str]
    retired: frozenset[str]
    by_name: bool


@dataclass(frozen=True, kw_only=True)
class CodeLists:
    """All lists a mapping may name, and the other things that functions are given and never fetch: keys and the day."""

    lists: Mapping[str, CodeList] = field(default_factory=dict)
    keys: Callable[[str], bytes] | None = None  # by a secret's name; None where expressions are only checked
    today: Callable[[], date] | None = None  # the latest date on earth; None: nothing is in the future

    @classmethod
    def of(cls, *lists: CodeList) -> CodeLists:
        """From lists."""
        return cls(lists={one.name: one for one in lists})

    @property
    def versions(self) -> Mapping[str, str]:
        """Version by name: part of a mapping's version."""
        return {name: one.version for name, one in self.lists.items()}

    def walk(self, source: str, target: str) -> Walk:
        """The way from one list to another. Raises ValueError with what is known instead."""
        if source.endswith(NAME):
            return self._from_names(source.removesuffix(NAME), target)
        back = self.lists.get(target)
        pairs = [(c.to[source], c.code) for c in back.codes if source in c.to] if back else []
        if source not in self.lists and pairs:
            return _backwards(pairs)
        start = self.listed(source)
        if target == source:
            return _walk({c.code: c.code for c in start.codes}, start)
        if target == source + NAME:
            return _walk({c.code: c.name for c in start.codes}, start)
        direct = {c.code: c.to[target] for c in start.codes if target in c.to}
        if direct:
            return _walk(direct, start)
        if not pairs:
            raise ValueError(f"there is no cross-walk from {source} to {target}")
        return _backwards(pairs)

    def _from_names(self, source: str, target: str) -> Walk:
        named = self.listed(source)
        inner = self.walk(source, target)
        found: dict[str, str] = {}
        twice: set[str] = set()
        for code in sorted(named.codes, key=lambda c: c.valid_to is not None):
            if code.code not in inner.table:
                continue
            for name in {fold(n) for n in (code.name, *code.aliases) if n}:
                if code.valid_to and name in found:
                    continue  # a name in force wins over a retired one
                if found.setdefault(name, inner.table[code.code]) != inner.table[code.code]:
                    twice.add(name)
        return Walk(found, frozenset(twice), frozenset(), by_name=True)

    def day_number(self) -> int | None:
        """Today as 20261125."""
        day = self.today() if self.today else None
        return None if day is None else day.year * 10_000 + day.month * 100 + day.day

    def listed(self, name: str) -> CodeList:
        """A list by name. Raises ValueError with what is known instead."""
        if name not in self.lists:
            known = ", ".join(sorted(self.lists)) or "none"
            raise ValueError(f"there is no code list {name}; known: {known}")
        return self.lists[name]


def _backwards(pairs: Sequence[tuple[str, str]]) -> Walk:
    """A cross-walk read from its other end: a code that two entries share is ambiguous."""
    seen = Counter(code for code, _ in set(pairs))
    return Walk(dict(pairs), frozenset(c for c, n in seen.items() if n > 1), frozenset(), by_name=False)


def _walk(table: Mapping[str, str], start: CodeList) -> Walk:
    ended, open_ = (frozenset(c.code for c in start.codes if bool(c.valid_to) == over) for over in (True, False))
    return Walk(table, frozenset(), ended - open_, by_name=False)


def fold(name: str) -> str:
    """Letters and digits only, without accents and case: Forlì, FORLI' and Forli are one."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in plain if c.isalnum())

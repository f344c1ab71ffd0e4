"""Texts: the same in both languages, all that pages ask for, and none of the other language."""

from __future__ import annotations

import re
import string
from importlib.resources import files
from pathlib import Path

import pytest

from hub.console.texts import chosen, texts

HERE = Path(str(files("hub.console")))
KEY = re.compile(r"""\bt\(\s*'([a-z_]+(?:\.[A-Za-z_0-9]+)+)'\s*[,)]""")
BUILT = re.compile(r"""\bt(?:\.known)?\(\s*'([a-z_.]+\.)'\s*~""")
BUILT_IN_CODE = re.compile(r"""\bt(?:\.count)?\(f"([a-z_.]+\.)[a-z]*\{""")
COUNTED = re.compile(r"""\bt\.count\(\s*'([a-z_]+(?:\.[a-z_]+)+)'""")
SAID = re.compile(r"""said="([a-z_]+)\"""")
CHINESE = re.compile(r"[\u3400-\u9fff\uff00-\uffef\u3000-\u303f]")


def names_in(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_things() -> None:
    english, chinese = texts("en"), texts("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert names_in(text) == names_in(chinese[key]), key
        assert not CHINESE.search(text), key
        assert CHINESE.search(chinese[key]) or not re.search(r"[A-Za-z]{4}", re.sub(r"\{\w+\}", "", chinese[key])), key


def test_pages_ask_for_texts_that_are_there_and_every_text_is_asked_for() -> None:
    sources = [p.read_text(encoding="utf-8") for pattern in ("*.html", "*.py") for p in HERE.rglob(pattern)]
    whole = "\n".join(sources)
    asked = set(KEY.findall(whole)) | {f"said.{name}" for name in SAID.findall(whole)}
    asked |= set(re.findall(r"""\bt\("([a-z_]+(?:\.[A-Za-z_0-9]+)+)\"""", whole))
    asked |= {f"{key}.{form}" for key in COUNTED.findall(whole) for form in ("one", "other")}
    known = set(texts("en"))
    assert asked <= known, asked - known
    built = (*BUILT.findall(whole), *BUILT_IN_CODE.findall(whole))
    quoted = {key for key in known if f'"{key}"' in whole or f"'{key}'" in whole}
    assert {key for key in known - asked - quoted if not key.startswith(built)} == set()


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, "", "en"),
        (None, None, "fr, de;q=0.5", "en"),
        (None, None, "zh-TW,zh;q=0.9,en;q=0.8", "zh"),
        (None, None, "en;q=0.1, zh;q=0.2", "zh"),
        (None, None, "zh;q=x, en;q=0.2", "en"),
        (None, "en", "zh", "en"),
        ("zh", "en", "en", "zh"),
        ("xx", "yy", "zh", "zh"),
    ],
)
def test_the_language_is_asked_for_kept_or_accepted(
    asked: str | None, kept: str | None, accepted: str, language: str
) -> None:
    assert chosen(asked, kept, accepted) == language

"""Texts: the same in both languages, all that pages ask for, and none of the other language. What the code says in English
has its Chinese, and each Chinese text is of the English one that is there now."""

from __future__ import annotations

import re
import string
from importlib.resources import files
from pathlib import Path

import pytest

from connectors import source_specs
from hub.avro.words import ENGLISH
from hub.catalogue.described import WORDS
from hub.console.texts import Texts, chosen, fingerprint, texts, translations
from hub.console.views.editor import setting_key
from hub.editing import settings_by_kind
from hub.mapping.functions import TABLE

HERE = Path(str(files("hub.console")))
KEY = re.compile(r"""\bt\(\s*'([a-z_]+(?:\.[A-Za-z_0-9]+)+)'\s*[,)]""")
BUILT = re.compile(r"""\bt(?:\.known)?\(\s*'([a-z_.]+\.)'\s*~""")
BUILT_IN_CODE = re.compile(r"""\bt(?:\.count)?\(f"([a-z_.]+\.)[a-z]*\{""")
COUNTED = re.compile(r"""\bt\.count\(\s*'([a-z_]+(?:\.[a-z_]+)+)'""")
SAID = re.compile(r"""said="([a-z_]+)\"""")
CHINESE = re.compile(r"[\u3400-\u9fff\uff00-\uffef\u3000-\u303f]")
HAN = re.compile(r"[\u3400-\u9fff]")
WORD = re.compile(r"[A-Za-z]{3,}")
SMALL = re.compile(r"[a-z]")
CODE = re.compile(r"`([^`]*)`")


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


def said_by_the_code() -> dict[str, str]:
    """Every text of the code's that a page shows, by the key under which it is translated."""
    found = {f"functions.{name}": one.doc for name, one in TABLE.items()}
    found |= {f"sentences.{code}": words for code, words in ENGLISH.items()}
    found |= {f"values.{code}": words for code, words in WORDS.items()}
    for kind, settings in settings_by_kind(source_specs()).items():
        found |= {setting_key(kind, one.name): one.text for one in settings}
    return found


def translated(key: str, english: str) -> str:
    """Its Chinese; empty where there is none."""
    return translations("zh").get(f"{key} {fingerprint(english)}", "")


def test_what_the_code_says_is_said_in_chinese_and_each_translation_is_of_the_english_that_is_there() -> None:
    wanted = {f"{key} {fingerprint(english)}": key for key, english in said_by_the_code().items()}
    there = translations("zh").keys()
    assert [
        f"{wanted[stamped]}: the English is new or has changed. Look at the Chinese in "
        f"locales/zh/translated/{stamped.partition('.')[0]}.yaml, then let its key end with {stamped.rpartition(' ')[2]}"
        for stamped in wanted.keys() - there
    ] == []
    assert there - wanted.keys() == set(), "of a text that is no longer there"


def test_a_translation_of_another_text_is_not_shown() -> None:
    chinese, english = Texts("zh"), Texts("en")
    key, doc = next((key, text) for key, text in said_by_the_code().items() if translated(key, text))
    assert chinese.translated(key, doc) == (translated(key, doc), "zh-CN")
    assert chinese.translated(key, f"{doc} ") == (f"{doc} ", "en")
    assert english.translated(key, doc) == (doc, "en")


def test_a_translation_names_what_the_english_names_and_has_no_english_words_alone() -> None:
    for key, english in said_by_the_code().items():
        chinese = translated(key, english)  # the test above says which are missing
        if chinese and key.startswith(("sentences.", "values.")):
            assert names_in(chinese) == names_in(english), key
        assert not chinese or set(CODE.findall(english)) <= set(CODE.findall(chinese)), key
        for words in CODE.split(re.sub(r"\{\w+\}", "", chinese))[::2]:
            assert HAN.search(words) or not any(map(SMALL.search, WORD.findall(words))), key


def test_each_sentence_is_made_by_code() -> None:
    avro = Path(str(files("hub.avro")))
    code = "".join((avro / name).read_text(encoding="utf-8") for name in ("compat.py", "differences.py"))
    assert [one for one in ENGLISH if one != "or" and f'"{one}"' not in code] == []


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

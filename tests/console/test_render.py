"""What templates are given: escaped, cut by width, and English marked as English (S18)."""

from __future__ import annotations

import pytest

from hub.console.render import codes, duration, fit, in_english, middle, number, size, took, worded
from hub.console.schedules import in_words
from hub.console.texts import Texts


def test_S18_code_and_foreign_sentences_are_escaped() -> None:
    assert codes("run `a <b>` & <i>") == "run <code>a &lt;b&gt;</code> &amp; &lt;i&gt;"
    marked = in_english("它失败：<b> `x` is away。", ["<b> `x` is away"])
    assert marked == '它失败：<span lang="en">&lt;b&gt; <code>x</code> is away</span>。'
    assert in_english("<p>", ["not in it"]) == "&lt;p&gt;"


def test_S18_what_a_sentence_names_is_escaped_and_stays_as_it_is() -> None:
    words = {"or": " & ", "A": "<was> {old}, is {new}", "list": "[{of}]"}
    what = {"code": "A", "about": {"old": "{new}`<b>", "new": [{"code": "list", "about": {"of": "{0.x}"}}, "<i>"]}}
    old, new = "<code>{new}`&lt;b&gt;</code>", "[<code>{0.x}</code>] &amp; <code>&lt;i&gt;</code>"
    assert worded(what, words) == f"&lt;was&gt; {old}, is {new}"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("数据流", 6, "数据流"), ("数据流", 5, "数…"), ("", 3, "")],
)
def test_a_chinese_character_takes_two_columns(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


def test_figures_are_written_as_people_write_them() -> None:
    assert [number(n) for n in (None, 0, 1234567, 3.14, 3.0, 12.6)] == ["–", "0", "1,234,567", "3.1", "3", "13"]
    assert [size(n) for n in (None, 999, 1_000, 2_500_000, 3 * 10**9)] == ["–", "999 B", "1.0 kB", "2.5 MB", "3.0 GB"]
    english, chinese = Texts("en"), Texts("zh")
    assert [duration(s, english) for s in (None, 0, 59, 60, 7200, 86_400)] == [
        "–",
        "0 s",
        "59 s",
        "1 min",
        "2 h",
        "1 d",
    ]
    assert duration(7200, chinese) == "2 小时"
    assert [took(s, english) for s in (None, 0, 0.26, 9.94, 9.96, 59.6, 61)] == [
        "–",
        "0.0 s",
        "0.3 s",
        "9.9 s",
        "10 s",
        "60 s",
        "1 min",
    ]
    assert [english.count("common.rows", n) for n in (0, 1, 3796)] == ["0 rows", "1 row", "3,796 rows"]
    assert chinese.count("common.rows", 1) == "1 行"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("data/a.csv", "data/a.csv"),
        ("data/2026/11/26/libs-north.csv.gz", "data/2026/1…/libs-north.csv.gz"),
        ("data/2026/11/26/week/48/north.csv", "data/2026/1…/week/48/north.csv"),
        ("d/" + "e" * 80, "d/eeeeeee…" + "e" * 20),
    ],
)
def test_a_path_is_cut_in_the_middle(path: str, shown: str) -> None:
    assert middle(path, 30) == shown


@pytest.mark.parametrize(
    ("schedule", "english", "chinese"),
    [
        ("every 15m", "every 15 minutes", "每 15 分钟"),
        ("every 1h", "every hour", "每小时"),
        ("30 3 * * *", "every day at 03:30 UTC", "每天 03:30（UTC）"),
        ("0 4 * * 1", "every Monday at 04:00 UTC", "每周一 04:00（UTC）"),
        ("5 14 * * 1-5", "every Monday to Friday at 14:05 UTC", "每周一至周五 14:05（UTC）"),
        ("5 14 * * 3,7", "every Wednesday, Sunday at 14:05 UTC", "每周三、周日 14:05（UTC）"),
        ("*/5 * * * *", "", ""),
        ("0 3 1 * *", "", ""),
        ("99 3 * * *", "", ""),
        ("every 1h30m", "", ""),
    ],
)
def test_a_simple_schedule_is_said_in_words(schedule: str, english: str, chinese: str) -> None:
    assert [in_words(schedule, Texts(language)) for language in ("en", "zh")] == [english, chinese]

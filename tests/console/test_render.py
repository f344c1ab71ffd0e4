"""What templates are given: escaped, cut by width, and English marked as English (S18)."""

from __future__ import annotations

import pytest

from hub.console.render import codes, duration, fit, in_english, number, size
from hub.console.texts import Texts


def test_S18_code_and_foreign_sentences_are_escaped() -> None:
    assert codes("run `a <b>` & <i>") == "run <code>a &lt;b&gt;</code> &amp; &lt;i&gt;"
    marked = in_english("它失败：<b> `x` is away。", ["<b> `x` is away"])
    assert marked == '它失败：<span lang="en">&lt;b&gt; <code>x</code> is away</span>。'
    assert in_english("<p>", ["not in it"]) == "&lt;p&gt;"


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

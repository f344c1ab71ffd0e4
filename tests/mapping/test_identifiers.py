"""Identifiers with check digits: the vectors of domain.md, and whole columns against slow implementations of their own."""

from __future__ import annotations

import calendar
import string
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from tests.mapping.reference import TODAY, call, over, warned

DIGITS = string.digits
LETTERED = DIGITS + string.ascii_uppercase
USCC = "".join(c for c in LETTERED if c not in "IOSVZ")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("11010519491231002X", "11010519491231002X"),
        ("11010519491231002x", "11010519491231002X"),
        ("110105194912310021", "[BAD_CHECK_DIGIT]"),
        ("440524188001010014", "440524188001010014"),
        ("440524198001010014", "[BAD_CHECK_DIGIT]"),
        ("440524198001010013", "440524198001010013"),
        ("150203196704010013", "150203196704010013"),
        ("110105204912310026", "[FUTURE_DATE]"),
        ("810000199001010019", "810000199001010019"),
        ("820000199001010010", "820000199001010010"),
        ("830000199001010012", "830000199001010012"),
        ("932682199001010015", "932682199001010015"),
        ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"),
        (" 110105 19491231 002x\u200b", "11010519491231002X"),
        ("'110105-19491231-002X", "11010519491231002X"),
        ("110105194902290026", "[BAD_DATE]"),
        ("11010517991231002X", "[BAD_DATE]"),
        ("11010519491231002", "[BAD_LENGTH]"),
        ("110105491231002", "[BAD_LENGTH]"),
        ("1.10105194912310E+17", "[BAD_LENGTH]"),
        ("A10105194912310021", "[BAD_CHARACTER]"),
        ("1101051949123100XX", "[BAD_CHARACTER]"),
        ("身份证号码身份", "[BAD_LENGTH]"),
        ("身份证号码身", "[BAD_CHARACTER]"),  # eighteen bytes
        ("", "[BAD_LENGTH]"),
        (None, None),
    ],
)
def test_GB11643_citizen_numbers(number: str | None, expected: str | None) -> None:
    assert over("cn_id", number) == [expected]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("110105491231002", "11010519491231002X"),
        ("130503670401001", "130503196704010016"),
        ("150203670401001", "150203196704010013"),
        ("110105101231999", "110105181012319990"),
        ("110105101231998", "110105181012319982"),
        ("11010519491231002X", "11010519491231002X"),
        ("１１０１０５４９１２３１００２", "11010519491231002X"),
        ("110105490229002", "[BAD_DATE]"),
        ("11010549123100X", "[BAD_CHARACTER]"),
        ("ABC491231002345", "[BAD_CHARACTER]"),  # an old foreigner's card
        ("1101054912310021", "[BAD_LENGTH]"),
    ],
)
def test_GB11643_numbers_of_fifteen_digits(number: str, expected: str) -> None:
    assert over("cn_id_15to18", number) == [expected]


def test_GB11643_what_a_number_says() -> None:
    column = pa.array(["11010519491231002X", None, "440524188001010014", "110105194912310021"])
    assert [str(v) for v in call("cn_id_born", column)[0]] == ["1949-12-31", "None", "1880-01-01", "[BAD_CHECK_DIGIT]"]
    assert call("cn_id_sex", column)[0] == ["2", None, "1", "[BAD_CHECK_DIGIT]"]


@pytest.mark.parametrize(
    ("function", "number", "warning"),
    [
        ("cn_id", "11010519491231002X", []),
        ("cn_id", "440524188001010014", ["RETIRED_REGION"]),
        ("cn_id", "810000199001010019", []),
        ("cn_id", "830000199001010012", []),
        ("cn_id", "932682199001010015", []),  # issued in Jiangsu to a Saudi
        ("cn_id", "９３２６８２199001010015", []),
        ("cn_id", "440524 188001010014", ["RETIRED_REGION"]),
        ("cn_id", "440524198001010014", []),  # what fails does not warn besides
        ("uscc", "91110000600037341L", []),
        ("uscc", "11100000000013039Y", []),
    ],
)
def test_R14_regions_are_warnings(function: str, number: str, warning: list[str]) -> None:
    assert warned(function, number) == warning


def test_R14_warnings_are_counted_by_row() -> None:
    unknown = next(n for n in (f"999999{1990 + i}0101001" for i in range(99)) if slow_check(n) != "X")
    column = pa.array([unknown + slow_check(unknown), "440524188001010014", "４４０５２４188001010014"])
    assert call("cn_id", column)[1] == {"UNKNOWN_REGION": 1, "RETIRED_REGION": 2}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *[
            (code, code)
            for code in (
                "91110000600037341L", "91350100M000100Y43", "91350211M000100Y46", "11100000000013039Y",
                "91110000802100433B", "911100007109310534", "12150203MB0001AB70", "52150203MB0001AB7U",
                "92150203MB0001AB7P", "93150203MB0001AB7L", "N1150203MB0001AB7D", "Y1150203MB0001AB75",
            )
        ],
        ("12100000400005985Y", "[BAD_CHECK_DIGIT]"),
        ("91110000600037342P", "[BAD_CHECK_DIGIT]"),  # the outer digit fits, the inner does not
        ("90999999600037341R", "[UNKNOWN_TYPE]"),
        ("91350100-M000100Y-4 3", "91350100M000100Y43"),
        ("９１350100m000100y43", "91350100M000100Y43"),
        ("9135010OM000100Y43", "[BAD_CHARACTER]"),
        ("913501A0M000100Y43", "[BAD_CHARACTER]"),
        ("91350100M000100Y4", "[BAD_LENGTH]"),
    ],
)  # fmt: skip
def test_GB32100_credit_codes(code: str, expected: str) -> None:
    assert over("uscc", code) == [expected]


@pytest.mark.parametrize("pair", ["54", "99"])
def test_GB32100_kinds_of_later_revisions_are_warnings(pair: str) -> None:
    code = slow_uscc_of(pair + "150203", "MB0001AB")
    assert over("uscc", code) == [code]
    assert warned("uscc", code) == ["UNUSUAL_TYPE"]
    assert over("uscc", slow_uscc_of("24150203", "MB0001AB")) == ["[UNKNOWN_TYPE]"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("213800KUD8LAJWSQ9D15", "213800KUD8LAJWSQ9D15"),
        ("5493001KJTIIGC8Y1R12", "5493001KJTIIGC8Y1R12"),
        ("5493001kjtiigc8y1r12", "5493001KJTIIGC8Y1R12"),
        ("213800KUD8LAJWSQ9D16", "[BAD_CHECK_DIGIT]"),
        ("213800KUD8LAJWSQ9DX5", "[BAD_CHARACTER]"),
        ("213800KUD8LAJWSQ9D1", "[BAD_LENGTH]"),
    ],
)
def test_ISO17442_legal_entities(code: str, expected: str) -> None:
    assert over("lei", code) == [expected]


@pytest.mark.parametrize(
    ("function", "valid"),
    [("cn_id", "11010519491231002X"), ("uscc", "91350100M000100Y43"), ("lei", "213800KUD8LAJWSQ9D15")],
)
def test_every_single_mistake_is_found(function: str, valid: str) -> None:
    def others(character: str) -> str:
        """In a LEI, a letter writes two digits: one in place of a digit is no single mistake."""
        alphabet = LETTERED if function == "uscc" else DIGITS if character in DIGITS else string.ascii_uppercase
        return alphabet.replace(character, "")

    changed = [valid[:i] + c + valid[i + 1 :] for i in range(len(valid) - 1) for c in others(valid[i])]
    swapped = [valid[:i] + valid[i + 1] + valid[i] + valid[i + 2 :] for i in range(len(valid) - 2)]
    wrong = [*changed, *([w for w in swapped if w != valid] if function == "cn_id" else [])]
    assert [w for w, v in zip(wrong, over(function, *wrong), strict=True) if v[0] != "["] == []


# --- slow implementations of their own --------------------------------------------------------------------------------


def slow_tidy(text: str) -> str:
    wide = {ord("！") + i: ord("!") + i for i in range(94)}
    return "".join(c for c in text.translate(wide) if c not in " \u3000\u200b\t-'").upper()


def slow_check(body: str) -> str:
    """ISO 7064 MOD 11-2 as the standard tells it: a running product, no weights."""
    product = 0
    for digit in body:
        product = (product + int(digit)) * 2 % 11
    return "0123456789X"[(12 - product) % 11]


def slow_id(text: str) -> str:
    if len(text) != 18:
        return "[BAD_LENGTH]"
    if not set(text[:17]) <= set(DIGITS) or text[17] not in DIGITS + "X":
        return "[BAD_CHARACTER]"
    year, month, day = int(text[6:10]), int(text[10:12]), int(text[12:14])
    if year < 1800 or not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return "[BAD_DATE]"
    if (year, month, day) > (TODAY.year, TODAY.month, TODAY.day):
        return "[FUTURE_DATE]"
    return text if text[17] == slow_check(text[:17]) else "[BAD_CHECK_DIGIT]"


def slow_15(text: str) -> str:
    if len(text) != 15 or not set(text) <= set(DIGITS):
        return slow_id(text) if len(text) != 15 else "[BAD_CHARACTER]"
    body = text[:6] + ("18" if text[12:] in ("996", "997", "998", "999") else "19") + text[6:]
    return slow_id(body + slow_check(body))


def slow_body(body: str) -> str:
    total = sum(LETTERED.index(c) * w for c, w in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))


def slow_uscc_of(head: str, body: str) -> str:
    whole = head + body + slow_body(body)
    total = 0
    for character in reversed(whole):  # Horner's rule in place of powers
        total = total * 3 + USCC.index(character)
    return whole + USCC[-total % 31]


TYPES = {
    "1": "1239", "2": "19", "3": "123459", "4": "19", "5": "12394", "6": "129", "7": "129", "8": "19", "9": "1239",
    "A": "19", "N": "1239", "Y": "1",
}  # fmt: skip


def slow_uscc(text: str) -> str:
    if len(text) != 18:
        return "[BAD_LENGTH]"
    if not set(text) <= set(USCC) or not text[2:8].isdigit():
        return "[BAD_CHARACTER]"
    if slow_uscc_of(text[:8], text[8:16]) != text:
        return "[BAD_CHECK_DIGIT]"
    return text if text[1] in TYPES.get(text[0], "") else "[UNKNOWN_TYPE]"


def slow_lei(text: str) -> str:
    if len(text) != 20:
        return "[BAD_LENGTH]"
    if not set(text) <= set(LETTERED) or not text[18:].isdigit():
        return "[BAD_CHARACTER]"
    return text if int("".join(str(int(c, 36)) for c in text)) % 97 == 1 else "[BAD_CHECK_DIGIT]"


def lei_of(body: str) -> str:
    return body + f"{98 - int(''.join(str(int(c, 36)) for c in body + '00')) % 97:02}"


BORN = st.dates(min_value=TODAY.replace(year=1795), max_value=TODAY.replace(year=2040)).map(lambda d: f"{d:%Y%m%d}")
THREE, SIX = (
    st.text(DIGITS, min_size=3, max_size=3),
    st.sampled_from(["110105", "440524", "150203", "810000", "932682"]),
)
OLD = st.builds("{}{}{}".format, SIX, BORN.map(lambda d: d[2:]), st.one_of(THREE, st.sampled_from(["996", "999"])))
IDS = st.builds("{}{}{}".format, SIX, BORN, THREE).map(lambda body: body + slow_check(body))
HEADS = st.builds("{}{}{}".format, st.sampled_from([*TYPES, "B"]), st.sampled_from("123459"), st.just("150203"))
CODES = st.builds(slow_uscc_of, HEADS, st.text(USCC, min_size=8, max_size=8))
LEIS = st.text(LETTERED, min_size=18, max_size=18).map(lei_of)


def dirty(valid: st.SearchStrategy[str]) -> st.SearchStrategy[list[str | None]]:
    """Columns of sound values, mistyped ones, dirt that is mended, and anything."""

    def bent(value: str, place: int, character: str) -> str:
        place %= len(value)
        return value[:place] + character + value[place + 1 :]

    def wide(value: str) -> str:
        return "".join(chr(ord(c) + 0xFEE0) for c in value)

    one = st.one_of(
        valid,
        st.builds(bent, valid, st.integers(0, 40), st.sampled_from([*LETTERED, "x", "", "é", "中"])),
        valid.map(wide),
        valid.map(str.lower),
        st.builds(lambda v, i: v[:i] + " \u3000'-\u200b"[i % 5] + v[i:], valid, st.integers(0, 18)),
        st.text(LETTERED + "中", max_size=20),
        st.none(),
    )
    return st.lists(one, max_size=8)


@pytest.mark.parametrize(
    ("function", "slow", "values"),
    [
        ("cn_id", slow_id, IDS),
        ("cn_id_15to18", slow_15, st.one_of(IDS, OLD)),
        ("uscc", slow_uscc, CODES),
        ("lei", slow_lei, LEIS),
    ],
)
def test_R11_a_column_is_what_a_slow_reading_of_each_value_is(function: str, slow: Any, values: Any) -> None:
    @settings(max_examples=150, deadline=None)
    @given(dirty(values), st.integers(0, 2))
    def compare(column: list[str | None], start: int) -> None:
        whole = pa.array([*["x"] * start, *column], pa.string()).slice(start)
        for value, found in zip(column, call(function, whole)[0], strict=True):
            if value is None:
                assert found is None
            elif not slow_tidy(value).isascii():
                assert found in ("[BAD_LENGTH]", "[BAD_CHARACTER]")
            else:
                assert found == slow(slow_tidy(value)), value

    compare()

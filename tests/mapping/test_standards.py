"""Codes of standards, units, money, telephone numbers, coordinates and tokens: the vectors of domain.md and what may not
happen."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings

from hub.mapping.codelists import Code, CodeList, CodeLists
from hub.mapping.functions import TABLE, geo
from hub.mapping.functions.units import MONEY, UNITS
from tests.mapping.reference import KEYS, REFERENCE, SHIPPED, call, over, warned


@pytest.mark.parametrize(
    ("function", "value", "code"),
    [
        ("cn_sex", "男", "1"),
        ("cn_sex", "女性", "2"),
        ("cn_sex", "F", "2"),
        ("cn_sex", "１", "1"),
        ("cn_sex", "未说明", "9"),
        ("cn_sex", "女改男", "5"),
        ("cn_sex", "3", "[UNKNOWN_CODE]"),
        ("cn_sex", "not applicable", "[UNKNOWN_CODE]"),  # what 9 means in ISO 5218, not here
        ("cn_ethnicity", "汉", "01"),
        ("cn_ethnicity", "汉族", "01"),
        ("cn_ethnicity", "HA", "01"),
        ("cn_ethnicity", "5", "05"),
        ("cn_ethnicity", "UG", "05"),
        ("cn_ethnicity", "TJ", "15"),
        ("cn_ethnicity", "JN", "56"),
        ("cn_ethnicity", "毛难族", "36"),
        ("cn_ethnicity", "崩龙", "46"),
        ("cn_ethnicity", "外国血统", "98"),
        ("cn_ethnicity", "57", "[UNKNOWN_CODE]"),
        ("iso_3166", "it", "IT"),
        ("iso_3166", "ITA", "IT"),
        ("iso_3166", "380", "IT"),
        ("iso_3166", "4", "AF"),
        ("iso_3166", "Italia", "IT"),
        ("iso_3166", "意大利", "IT"),
        ("iso_3166", "香港", "HK"),
        ("iso_3166", "中国台湾", "TW"),
        ("iso_3166", "Cote d'Ivoire", "CI"),
        ("iso_3166", "COD", "CD"),
        ("iso_3166", "FRA", "FR"),
        ("iso_3166", "SU", "SU"),
        ("iso_3166", "XX", "[UNKNOWN_CODE]"),
        ("iso_3166_2", "cn-nm", "CN-NM"),
        ("iso_3166_2", "西藏自治区", "CN-XZ"),
        ("iso_3166_2", "Forli Cesena", "IT-FC"),
        ("currency", "rmb", "CNY"),
        ("currency", "156", "CNY"),
        ("currency", "36", "AUD"),
        ("currency", "欧元", "EUR"),
        ("currency", "€", "EUR"),
        ("currency", "元", "CNY"),
        ("currency", "$", "[UNKNOWN_CODE]"),  # of whom?
        ("currency", "ITL", "ITL"),
        ("code_in", None, None),
    ],
)
def test_a_code_from_whatever_names_it(function: str, value: str | None, code: str | None) -> None:
    assert over(function, value, literals=["it.region"] if function == "code_in" else []) == [code]


def test_R14_retired_codes_are_warnings() -> None:
    assert warned("iso_3166", "SU") == ["RETIRED_CODE"]
    assert warned("currency", "ITL") == ["RETIRED_CODE"]
    assert warned("iso_3166", "IT") == []


def test_GBT22611_sex_against_the_citizens_number() -> None:
    sexes = pa.array(["1", "2", "女", "男", "9", "1", "1", "x", "1"])
    ids = pa.array(
        ["110105194912310021", "11010519491231002X", "440524188001010014", "440524188001010014", "11010519491231002X",
         None, "110105491231002", "11010519491231002X", "１10105194912310021"]
    )  # fmt: skip
    values, warnings = call("cn_sex", sexes, ids)
    assert values == ["1", "2", "2", "1", "9", "1", "1", "[UNKNOWN_CODE]", "1"]
    assert warnings == {"SEX_MISMATCH": 3}  # the first, the third and the last


def test_a_name_in_force_wins_over_a_retired_one_and_two_in_force_are_ambiguous() -> None:
    lists = CodeLists.of(
        CodeList(
            name="l",
            version="1",
            codes=[
                Code(code="1", name="Old", valid_to="2000-01-01"),
                Code(code="2", name="old"),
                Code(code="3", name="Twin"),
                Code(code="4", name="twin"),
                Code(code="5", name="gone", valid_to="2000-01-01"),
            ],
        )
    )
    made, failed, warnings = TABLE["code_in"].bind(["l"], lists)([pa.array(["OLD", "twin", "Gone"])])
    assert made.to_pylist() == ["2", None, "5"]
    assert failed is not None
    assert warnings == {"RETIRED_CODE": 1}
    walked, _failed, _warnings = TABLE["code"].bind(["l.name", "l"], lists)([pa.array(["OLD", "gone"])])
    assert walked.to_pylist() == ["2", "5"]


def test_a_code_with_several_lives_is_retired_only_when_none_is_in_force() -> None:
    codes = [Code(code="1", name="A", valid_to="2000-01-01"), Code(code="1", name="B", valid_from="2010-01-01")]
    walk = CodeLists.of(CodeList(name="l", version="1", codes=codes)).walk("l", "l.name")
    assert (dict(walk.table), walk.retired) == ({"1": "B"}, frozenset())


def test_ISO31662_the_subdivisions_of_china_are_all_there_and_walk_to_their_codes() -> None:
    codes = [c for c in SHIPPED.lists["iso.3166-2"].codes if c.code.startswith("CN-")]
    assert len(codes) == 34
    walk = SHIPPED.walk("iso.3166-2", "cn.division")
    back = SHIPPED.walk("cn.division", "iso.3166-2")
    assert all(back.table[walk.table[c.code]] == c.code for c in codes)
    assert walk.table["CN-NM"] == "150000"


def test_every_shipped_list_says_where_it_is_from() -> None:
    expected = {
        "cn.division",
        "cn.sex",
        "cn.ethnicity",
        "cn.uscc-type",
        "iso.3166-1",
        "iso.3166-2",
        "iso.4217",
        "it.istat",
    }
    assert expected <= SHIPPED.lists.keys()
    for one in SHIPPED.lists.values():
        assert one.version, one.name
        assert one.title["zh"], one.name
        for code in one.codes:
            assert code.successor is None or any(c.code == code.successor for c in one.codes), (one.name, code.code)


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (15.0, "亩", "公顷", 1.0),
        (1.0, "km²", "ha", 100.0),
        (1.5, "mg/m³", "µg/m³", 1500.0),
        (1.5, "mg/m3", "μg/m3", 1500.0),
        (21.5, "℃", "K", 294.65),
        (212.0, "°F", "°C", 100.0),
        (3.2, "万人", "人", 32000.0),
        (36.0, "km/h", "m/s", 10.0),
        (5.0, "成", "%", 50.0),
        (2.0, "斤", "kg", 1.0),
    ],
)
def test_units(value: float, unit: str, to: str, expected: float) -> None:
    found = call("convert", pa.array([value, None]), literals=[unit, to])[0]
    assert found == [pytest.approx(expected, rel=1e-12), None]


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.data())
def test_R11_units_there_and_back(value: float, data: Any) -> None:
    kind = data.draw(st.sampled_from(sorted(UNITS)))
    one, other = (data.draw(st.sampled_from(sorted(UNITS[kind]))) for _ in range(2))
    there = call("convert", pa.array([value]), literals=[one, other])[0][0]
    exact = Fraction(value) * UNITS[kind][one] / UNITS[kind][other]
    if abs(exact) > Fraction(2) ** 1000:
        assert there == "[OUT_OF_RANGE]" or math.isfinite(there)
    elif abs(exact) > Fraction(1, 2**900):
        assert there == pytest.approx(float(exact), rel=1e-14)


def test_units_of_another_kind_are_refused_when_saved() -> None:
    with pytest.raises(ValueError, match="km is a length, kg a mass"):
        TABLE["convert"].bind(["km", "kg"], REFERENCE)
    with pytest.raises(ValueError, match="no unit furlong; known are length: m, km"):
        TABLE["convert"].bind(["furlong", "m"], REFERENCE)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("3.5", "亿元", "350000000.00"),
        ("1240.5", "万元", "12405000.00"),
        ("-0.000001", "万元", "-0.01"),
        ("0.0000001", "万元", "[WOULD_ROUND]"),
        ("12", "分", "0.12"),
        ("5", "角", "0.50"),
        ("99999999999999.99", "元", "99999999999999.99"),
        ("100000000000", "百元", "10000000000000.00"),
        ("1000000000000", "百元", "[OUT_OF_RANGE]"),
        ("1,000", "元", "[BAD_NUMBER]"),
        (None, "元", None),
    ],
)
def test_money_keeps_every_cent(text: str | None, unit: str, expected: str | None) -> None:
    found = over("to_money", "7", text, literals=[unit, 16, 2])[1]
    assert (str(found) if isinstance(found, Decimal) else found) == expected


@settings(max_examples=100, deadline=None)
@given(st.decimals(-(10**6), 10**6, places=4), st.sampled_from(sorted(MONEY)))
def test_money_is_exact_arithmetic(amount: Decimal, unit: str) -> None:
    exact = amount * Decimal(10) ** MONEY[unit]
    found = over("to_money", f"{amount:f}", literals=[unit, 38, 6])[0]
    assert found == (exact if exact == round(exact, 6) else "[WOULD_ROUND]")


def test_money_in_a_unit_that_leaves_no_room_is_refused_when_saved() -> None:
    with pytest.raises(ValueError, match="needs 10 more digits"):
        TABLE["to_money"].bind(["亿元", 9, 2], REFERENCE)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1000000.00", "ITL", "516.46"),
        ("1936.27", "ITL", "1.00"),
        ("6.55957", "FRF", "1.00"),
        ("0.01", "EUR", "0.01"),
        ("1.00", "USD", "[UNKNOWN_CODE]"),
        ("999999999.99", "MTL", "[OUT_OF_RANGE]"),
    ],
)
def test_money_in_another_currency_is_rounded_once(amount: str, currency: str, expected: str) -> None:
    amounts = pa.array([Decimal(amount), None], pa.decimal128(20, 5))
    found, nothing = call("exchange", amounts, pa.array([currency] * 2), literals=["EUR", "eu.euro-rates", 10, 2])[0]
    assert (str(found), nothing) == (expected, None)


@pytest.mark.parametrize(
    ("literals", "message"),
    [(["CNY", "eu.euro-rates", 10, 2], "no rates to CNY"), (["EUR", "nothing", 10, 2], "no code list nothing")],
)
def test_rates_that_are_not_there_are_refused_when_saved(literals: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TABLE["exchange"].bind(literals, REFERENCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13800138000", "+8613800138000"),
        ("+86 138 0013 8000", "+8613800138000"),
        ("0086-138-0013-8000", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
        ("17909 138 0013 8000", "+8613800138000"),
        ("010-62552288", "+861062552288"),
        ("(0472)5618888", "+864725618888"),
        ("（０４７２）5618888", "+864725618888"),
        ("400-810-8888", "+864008108888"),
        ("010-62552288转801", "+861062552288"),
        ("010-62552288-801", "+861062552288"),
        ("010-62552288 ext. 801", "+861062552288"),
        ("+39 0461 123456", "+390461123456"),
        ("12800138000", "[BAD_PHONE]"),
        ("12345", "12345"),
        ("95588", "95588"),
        ("110", "110"),
        ("010-62552288/62552289", "[BAD_PHONE]"),
        ("62552288", "[BAD_PHONE]"),  # of which city?
        ("无", "[BAD_PHONE]"),
        ("9" * 5000, "[BAD_PHONE]"),
        ("", "[BAD_PHONE]"),
        (None, None),
    ],
)
def test_E164_telephone_numbers(text: str | None, expected: str | None) -> None:
    assert over("phone", text) == [expected]


def test_E164_numbers_without_a_country_are_of_the_region() -> None:
    assert over("phone", "0461 123456", literals=["IT"]) == ["+390461123456"]
    with pytest.raises(ValueError, match="is no region"):
        TABLE["phone"].bind(["italy"], REFERENCE)


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789+-() 转xext#０１", max_size=24))
def test_R11_no_text_makes_a_phone_that_is_none(text: str) -> None:
    found = over("phone", text)[0]
    assert found == "[BAD_PHONE]" or found.isdigit() or (found[0] == "+" and found[1:].isdigit())


# --- coordinates ------------------------------------------------------------------------------------------------------

BAOTOU = {"WGS84": (109.8403, 40.6574), "GCJ-02": (109.846004, 40.658548), "BD-09": (109.852578, 40.664297)}


@pytest.mark.parametrize("datum", [*BAOTOU, "EPSG:4490", "CGCS2000", "gcj02"])
def test_a_place_on_every_datum_is_one_place(datum: str) -> None:
    lon, lat = BAOTOU.get({"gcj02": "GCJ-02"}.get(datum, datum), BAOTOU["WGS84"])
    found = call("to_wgs84", pa.array([lon]), pa.array([lat]), literals=[datum])[0][0]
    assert found["datum"] == "WGS84"
    assert found["longitude"] == pytest.approx(109.8403, abs=1e-6)
    assert found["latitude"] == pytest.approx(40.6574, abs=1e-6)


CHINA = st.tuples(st.floats(73.0, 135.0), st.floats(3.0, 54.0))


@settings(max_examples=200, deadline=None)
@given(st.lists(CHINA, min_size=1, max_size=8))
def test_the_way_back_is_better_than_a_billionth_of_a_degree(places: list[tuple[float, float]]) -> None:
    lon, lat = (np.array(axis) for axis in zip(*places, strict=True))
    amap = geo.wgs84_to_gcj02(lon, lat)
    for found in (geo.DATUMS["GCJ02"](*amap), geo.DATUMS["BD09"](*geo.gcj02_to_bd09(*amap))):
        assert np.abs(found[0] - lon).max() < 1e-9
        assert np.abs(found[1] - lat).max() < 1e-9


def slow_gcj02(lon: float, lat: float) -> tuple[float, float]:
    """The approximation as it is usually written down."""
    x, y, pi, sin = lon - 105.0, lat - 35.0, math.pi, math.sin
    d_lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    d_lat += (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    d_lat += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    d_lat += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    d_lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    d_lon += (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    d_lon += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    d_lon += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    magic = 1 - 0.00669342162296594323 * sin(lat / 180.0 * pi) ** 2
    d_lat = d_lat * 180.0 / (6378245.0 * (1 - 0.00669342162296594323) / (magic * math.sqrt(magic)) * pi)
    d_lon = d_lon * 180.0 / (6378245.0 / math.sqrt(magic) * math.cos(lat / 180.0 * pi) * pi)
    return lon + d_lon, lat + d_lat


@settings(max_examples=200, deadline=None)
@given(CHINA)
def test_the_shift_is_the_published_one(place: tuple[float, float]) -> None:
    found = geo.wgs84_to_gcj02(np.array([place[0]]), np.array([place[1]]))
    expected = slow_gcj02(*place)
    assert (found[0][0], found[1][0]) == (pytest.approx(expected[0], abs=1e-11), pytest.approx(expected[1], abs=1e-11))


def test_R11_coordinates_that_are_none() -> None:
    lon = pa.array([40.66, 181.0, math.nan, math.inf, None, 8.6, 109.85])
    lat = pa.array([109.85, 0.0, 1.0, 1.0, 1.0, 44.9, None])
    for datum in ("WGS84", "GCJ02", "BD09"):
        found = call("to_wgs84", lon, lat, literals=[datum])[0]
        assert found[:5] == ["[BAD_COORDINATE]"] * 4 + [None]
        assert found[6] is None
    italy = call("to_wgs84", lon, lat, literals=["GCJ02"])[0][5]
    assert italy == {"longitude": 8.6, "latitude": 44.9, "datum": "WGS84"}  # nothing is shifted outside China
    with pytest.raises(ValueError, match="a datum is one of WGS84"):
        TABLE["to_wgs84"].bind(["Beijing 54"], REFERENCE)


# --- tokens -----------------------------------------------------------------------------------------------------------


def slow_hmac(key: bytes, text: str, algorithm: str) -> str:
    """RFC 2104, by hand."""
    block = 64
    key = (hashlib.new(algorithm, key).digest() if len(key) > block else key).ljust(block, b"\0")
    inner = hashlib.new(algorithm, bytes(b ^ 0x36 for b in key) + text.encode()).digest()
    return hashlib.new(algorithm, bytes(b ^ 0x5C for b in key) + inner).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_R14_tokens_are_keyed_hashes(algorithm: str) -> None:
    if algorithm not in hashlib.algorithms_available:
        pytest.skip("this OpenSSL has no SM3")
    literals = ["${secret:EXAMPLE}", algorithm]
    values = over("token", "11010519491231002X", None, "", "中", "11010519491231002X", literals=literals)
    assert values[1] is None
    assert values[0] == values[4]
    assert [values[0], values[2], values[3]] == [
        slow_hmac(KEYS["EXAMPLE"], text, algorithm) for text in ("11010519491231002X", "", "中")
    ]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_have_different_tokens(one: str, other: str) -> None:
    assume(one != other)
    first, second = over("token", one, other, literals=["${secret:EXAMPLE}"])
    assert first != second


@pytest.mark.parametrize(
    ("literals", "message"),
    [
        (["my-own-secret-key-that-stands-in-a-file"], "does not stand in a file"),
        (["${secret:SHORT}"], "has less than 32 bytes"),
        (["${secret:EXAMPLE}", "md5"], "one of sha256, sm3"),
    ],
)
def test_S_a_key_is_named_and_long_and_never_said(literals: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        TABLE["token"].bind(literals, REFERENCE)
    assert not any(k.decode() in str(refused.value) for k in KEYS.values())
    assert "my-own-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "literals", "expected"),
    [
        ("11010519491231002X", [], "1****************X"),
        ("11010519491231002X", [6, 4], "110105********002X"),
        ("王小明", [0, 1], "**明"),
        ("王小明", [1], "王*明"),
        ("ab", [], "**"),
        ("", [], ""),
        (None, [], None),
    ],
)
def test_a_mask_never_shows_a_short_text(value: str | None, literals: list[int], expected: str | None) -> None:
    assert over("mask", value, literals=literals) == [expected]


@pytest.mark.parametrize("literals", [[9, 1], [1, -1], [1.5, 1]])
def test_a_mask_that_hides_little_is_refused_when_saved(literals: list[Any]) -> None:
    with pytest.raises(ValueError, match="0 to 8 characters"):
        TABLE["mask"].bind(literals, REFERENCE)


def test_S_without_keys_nothing_looks_like_a_token() -> None:
    made, failed, _warnings = TABLE["token"].bind(["${secret:EXAMPLE}"], CodeLists())([pa.array(["x"])])
    assert (made.to_pylist(), failed) == ([None], None)

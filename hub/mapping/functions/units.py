"""Measures from one unit to another, and money from text that is written in thousands, 万元 or another currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.matrix import Made
from hub.mapping.functions.numbers import NUMBER_FORMAT, precision_of, to_decimal
from hub.mapping.functions.table import Fails, Function, Kernel, Parameter, always, constant, text
from hub.mapping.total import widen
from hub.mapping.values import CODE, fail, merge, valid

KINDS = {  # each unit as so many of the first of its kind
    "length": "m=1 km=1000 cm=1/100 mm=1/1000 米=1 公里=1000 千米=1000 里=500 in=127/5000 ft=381/1250 mi=201168/125",
    "area": "m2=1 km2=1000000 ha=10000 平方米=1 公顷=10000 平方公里=1000000 平方千米=1000000 亩=2000/3 万亩=20000000/3",
    "volume": "m3=1 l=1/1000 ml=1/1000000 立方米=1 万立方米=10000 升=1/1000",
    "mass": "kg=1 g=1/1000 mg=1/1000000 ug=1/1000000000 t=1000 公斤=1 千克=1 克=1/1000 吨=1000 万吨=10000000 斤=1/2 "
    "两=1/20 lb=45359237/100000000",
    "time": "s=1 ms=1/1000 min=60 h=3600 d=86400 秒=1 分钟=60 小时=3600 天=86400",
    "speed": "m/s=1 km/h=5/18 kn=463/900",
    "pressure": "Pa=1 hPa=100 kPa=1000 mbar=100 bar=100000",
    "energy": "J=1 kJ=1000 MJ=1000000 kWh=3600000 度=3600000",
    "concentration": "ug/m3=1 mg/m3=1000 g/m3=1000000",
    "ratio": "1=1 %=1/100 ‰=1/1000 ppm=1/1000000 成=1/10",
    "count": "个=1 万个=10000 人=1 千人=1000 万人=10000 亿人=100000000",
}
UNITS: Mapping[str, Mapping[str, Fraction]] = {
    kind: {unit: Fraction(size) for unit, size in (entry.split("=") for entry in entries.split())}
    for kind, entries in KINDS.items()
}
DEGREES: Mapping[str, tuple[Fraction, Fraction]] = {  # kelvin = a × value + b
    "K": (Fraction(1), Fraction(0)),
    "°C": (Fraction(1), Fraction(27_315, 100)),
    "°F": (Fraction(5, 9), Fraction(45_967, 180)),
}
SPELLED = str.maketrans({"²": "2", "³": "3", "μ": "u", "µ": "u", "℃": "°C", "℉": "°F", "％": "%"})
MONEY: Mapping[str, int] = {  # powers of ten
    "分": -2, "角": -1, "元": 0, "百元": 2, "千元": 3, "万元": 4, "十万元": 5, "百万元": 6, "千万元": 7, "亿元": 8,
    "cent": -2, "1": 0, "hundred": 2, "thousand": 3, "million": 6, "billion": 9,
}  # fmt: skip


def _line(unit: str) -> tuple[str, Fraction, Fraction]:
    """The kind of a unit, and its line to the first unit of that kind. Raises ValueError."""
    plain = unit.translate(SPELLED)
    if plain in DEGREES:
        return "temperature", *DEGREES[plain]
    for kind, units in UNITS.items():
        if plain in units:
            return kind, units[plain], Fraction(0)
    known = "; ".join(f"{kind}: {', '.join(units)}" for kind, units in {**UNITS, "temperature": DEGREES}.items())
    raise ValueError(f"there is no unit {unit[:20]}; known are {known}")


def _bind_convert(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    (kind, a, b), (other, c, d) = _line(str(literals[0])), _line(str(literals[1]))
    if kind != other:
        raise ValueError(f"{literals[0]} is a {kind}, {literals[1]} a {other}")
    factor, offset = a / c, (b - d) / c

    def kernel(columns: Sequence[pa.Array]) -> Made:
        column, failed = widen(columns[0], pa.float64())
        values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            made = values * factor.numerator / factor.denominator + float(offset)
        there = valid(column)
        large = there & ~np.isfinite(made)
        result = pa.array(made, pa.float64(), mask=~there | large, from_pandas=False)
        return result, merge(failed, fail(large, "OUT_OF_RANGE")), {}

    return kernel


def _bind_money(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    unit, *rest = literals
    if str(unit) not in MONEY:
        raise ValueError(f"a unit of money is one of {', '.join(MONEY)}")
    precision, scale = precision_of(rest)
    read = scale + MONEY[str(unit)]
    if not 0 <= read <= precision:
        raise ValueError(f"an amount in {unit} needs {max(read, -read)} more digits than {precision} and {scale} leave")
    inner = to_decimal([precision, read, *rest[2:]], codes)
    kind = pa.decimal128(precision, scale)

    def kernel(columns: Sequence[pa.Array]) -> Made:
        made, failed, warnings = inner(columns)
        # The digits are the same, only the point moves: 1.23 of 万元 with six decimals is 12300.00.
        return pa.Array.from_buffers(kind, len(made), made.buffers(), offset=made.offset), failed, warnings

    return kernel


def _bind_exchange(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    to, name, *rest = literals
    precision, scale = precision_of(rest)
    rates = _rates(codes, str(name), str(to))
    kind, most = pa.decimal128(precision, scale), 10**precision

    def one(amount: Decimal, currency: str) -> tuple[Decimal | None, str]:
        rate = rates.get(currency)
        if rate is None:
            return None, "UNKNOWN_CODE"
        minor = round(Fraction(amount) * rate * 10**scale)  # half to even
        return (Decimal(f"{minor}e-{scale}"), "") if abs(minor) < most else (None, "OUT_OF_RANGE")

    def kernel(columns: Sequence[pa.Array]) -> Made:
        there = valid(columns[0]) & valid(columns[1])
        pairs = zip(columns[0].to_pylist(), columns[1].to_pylist(), there.tolist(), strict=True)
        found = [one(Decimal(a), c) if ok else (None, "") for a, c, ok in pairs]
        codes_of = np.array([CODE[reason] for _amount, reason in found], np.int16)
        return pa.array([amount for amount, _reason in found], kind), codes_of if codes_of.any() else None, {}

    return kernel


def _rates(codes: CodeLists, name: str, to: str) -> Mapping[str, Fraction]:
    """Units of `to` for one unit of each currency, as the list has them: `7.1034`, or `1/1936.27`."""
    found = {to: Fraction(1)}
    for code in codes.listed(name).codes:
        if to not in code.to:
            continue
        above, _, below = code.to[to].partition("/")
        try:
            found[code.code] = Fraction(above) / Fraction(below or "1")
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"the rate of {code.code} in {name} is no number") from None
    if len(found) == 1:
        raise ValueError(f"{name} has no rates to {to}; it needs a column to:{to}")
    return found


AMOUNT = Parameter(name="amount", type="exact")
FUNCTIONS = (
    Function(
        name="convert",
        doc="A measure from one unit to another of its kind: "
        + "; ".join([*UNITS, "temperature"])
        + ". `km`, `亩`, `ug/m3`, "
        "`°C`, `万人` and others; a unit that does not exist is refused with all that do.",
        parameters=(Parameter(name="value", type="number"), constant("from"), constant("to")),
        result=always(pa.float64()),
        bind=_bind_convert,
        reasons=("OUT_OF_RANGE",),
        examples=(
            ("convert(15, '亩', 'ha')", 1.0),
            ("convert(1.5, 'mg/m³', 'µg/m³')", 1500.0),
            ("convert(-40, '°F', '°C')", -40.0),
        ),
    ),
    Function(
        name="to_money",
        doc="An exact amount in a currency's main unit from text in " + ", ".join(MONEY) + ". Rounding is a failure.",
        parameters=(
            text(),
            constant("unit"),
            constant("precision", "number"),
            constant("scale", "number"),
            NUMBER_FORMAT,
        ),
        result=lambda literals: pa.decimal128(*precision_of(literals[1:])),
        bind=_bind_money,
        reasons=("BAD_NUMBER", "WOULD_ROUND", "OUT_OF_RANGE"),
        examples=(
            ("CAST(to_money('3.5', '亿元', 18, 2) AS TEXT)", "350000000.00"),
            ("CAST(to_money('1.234,5', 'thousand', 18, 2, '1.234,5') AS TEXT)", "1234500.00"),
            ("to_money('0.0000001', '万元', 18, 2)", Fails("WOULD_ROUND")),
        ),
    ),
    Function(
        name="exchange",
        doc="An exact amount in another currency, rounded half to even to `scale`. `rates` is a code list with the "
        "currencies' ISO letters as codes and a column `to:EUR` (or another currency) of rates, written 7.1034 or 1/1936.27; "
        "its version says of which day. Shipped: eu.euro-rates.",
        parameters=(
            AMOUNT,
            text("currency"),
            constant("to"),
            constant("rates"),
            constant("precision", "number"),
            constant("scale", "number"),
        ),
        result=lambda literals: pa.decimal128(*precision_of(literals[2:])),
        bind=_bind_exchange,
        reasons=("UNKNOWN_CODE", "OUT_OF_RANGE"),
        examples=(
            ("CAST(exchange(to_decimal('1000000', 12, 2), 'ITL', 'EUR', 'eu.euro-rates', 12, 2) AS TEXT)", "516.46"),
            ("CAST(exchange(5, 'EUR', 'EUR', 'eu.euro-rates', 12, 2) AS TEXT)", "5.00"),
        ),
    ),
)

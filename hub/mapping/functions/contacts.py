"""Telephone numbers by the numbering plans of libphonenumber."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.distinct import Verdict, judged
from hub.mapping.functions.table import Fails, Function, Kernel, always, constant, text
from hub.mapping.writing import WIDE

LONGEST = 64  # characters
SHORT = re.compile(r"\d{3,6}")  # 110, 12345, 95588
EXTENSION = re.compile(r"(?:转|分机|[Ee][Xx][Tt]\.?|[Xx#])\s*:?\s*\d{1,6}$")
HYPHENED = re.compile(r"-\d{1,5}$")  # an extension too, but only where the number is none with it


def _bind(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    import phonenumbers  # here: few mappings need it, and every start would pay for it

    region = str(literals[0]) if literals else "CN"
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{region[:20]} is no region; write an ISO 3166 code in capitals, such as 'CN' or 'IT'")

    def judge(value: str) -> Verdict:
        found = _number(value, region)
        return found, "" if found else "BAD_PHONE"

    return lambda columns: (*judged(columns[0], judge, pa.string()), {})


def _number(value: str, region: str) -> str | None:
    if len(value) > LONGEST:
        return None
    plain = EXTENSION.sub("", value.translate(WIDE).strip().lstrip("'")).strip()
    return _valid(plain, region) or (_valid(HYPHENED.sub("", plain), region) if HYPHENED.search(plain) else None)


def _valid(plain: str, region: str) -> str | None:
    import phonenumbers
    from phonenumbers import shortnumberinfo

    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if SHORT.fullmatch(plain) and shortnumberinfo.is_valid_short_number_for_region(number, region):
        return plain
    if not phonenumbers.is_valid_number(number):
        return None
    number.extension = None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


FUNCTIONS = (
    Function(
        name="phone",
        doc="A telephone number as E.164; `region` (CN unless given) is where numbers without a country code are. "
        "Extensions are left out, dialling prefixes such as 17909 removed. Short numbers (110, 12345, 95588) stay as they "
        "are. A number that the numbering plan does not have fails.",
        parameters=(text(), constant("region", optional=True)),
        result=always(pa.string()),
        bind=_bind,
        reasons=("BAD_PHONE",),
        examples=(
            ("phone('17909 138 0013 8000')", "+8613800138000"),
            ("phone('010-62552288转801')", "+861062552288"),
            ("phone('0461 123456', 'IT')", "+390461123456"),
            ("phone('12345')", "12345"),
            ("phone('12800138000')", Fails("BAD_PHONE")),
        ),
    ),
)

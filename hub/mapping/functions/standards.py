"""Codes of a standard from whatever names the thing: the code itself, another code of the standard, a name, an alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.codelists import Code, CodeList, CodeLists, fold
from hub.mapping.functions.distinct import Verdict, judged
from hub.mapping.functions.matrix import Made
from hub.mapping.functions.table import Fails, Function, Kernel, Parameter, always, constant, text
from hub.mapping.values import as_mask, valid


@dataclass(frozen=True)
class Naming:
    """How the entries of a list are named besides their codes, names and aliases."""

    list: str
    others: tuple[str, ...] = ()  # cross-walks to other codes for the same
    digits: int = 0  # numeric codes have so many; a table of numbers has lost their zeros


@dataclass(frozen=True)
class _Index:
    """Every text that names an entry."""

    codes: Mapping[str, str | None]  # None: several have that name
    retired: frozenset[str]
    digits: int

    @classmethod
    def of(cls, naming: Naming, codes: CodeLists) -> _Index:
        """Codes before other codes before names; entries in force before retired ones."""
        entries = codes.listed(naming.list)
        known: dict[str, str | None] = {}
        for over in (False, True):
            for tier in _tiers(entries, naming, over):
                for key in tier.keys() - known.keys():
                    known[key] = tier[key]
        retired = codes.walk(naming.list, naming.list).retired
        return cls(known, retired, naming.digits)

    def find(self, value: str) -> Verdict:
        key = _key(value)
        if key.isdigit() and key.isascii():
            key = key.zfill(self.digits)
        if key not in self.codes:
            return None, "UNKNOWN_CODE"
        code = self.codes[key]
        return (code, "") if code is not None else (None, "AMBIGUOUS_NAME")


def _key(value: str) -> str:
    """Letters and digits without case, accents and width; a sign such as € is itself."""
    return fold(value) or value.strip()


def _tiers(entries: CodeList, naming: Naming, over: bool) -> list[dict[str, str | None]]:
    chosen = [c for c in entries.codes if bool(c.valid_to) == over]
    return [
        _tier([(c.code, c) for c in chosen]),
        _tier([(c.to[other], c) for c in chosen for other in naming.others if other in c.to]),
        _tier([(name, c) for c in chosen for name in (c.name, *c.aliases) if name]),
    ]


def _tier(pairs: Sequence[tuple[str, Code]]) -> dict[str, str | None]:
    made: dict[str, str | None] = {}
    for name, code in pairs:
        key = _key(name)
        made[key] = code.code if made.get(key, code.code) == code.code else None
    return made


def _finder(naming: Naming, codes: CodeLists) -> Kernel:
    index = _Index.of(naming, codes)
    retired = pa.array(sorted(index.retired), pa.string())

    def kernel(columns: Sequence[pa.Array]) -> Made:
        made, failed = judged(columns[0], index.find, pa.string())
        count = int(as_mask(pc.is_in(made, retired)).sum()) if len(retired) else 0
        return made, failed, {"RETIRED_CODE": count} if count else {}

    return kernel


def _bind_any(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    return _finder(Naming(str(literals[0])), codes)


SEX = Naming("cn.sex")
MALE, FEMALE = "1", "2"
PLACE_OF_SEX, DIGITS_OF_ID = 16, 18


def _bind_sex(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
    find = _finder(SEX, codes)

    def kernel(columns: Sequence[pa.Array]) -> Made:
        made, failed, warnings = find(columns)
        if len(columns) > 1:
            count = _mismatches(made, columns[1])
            warnings = warnings | ({"SEX_MISMATCH": count} if count else {})
        return made, failed, warnings

    return kernel


def _mismatches(sexes: pa.Array, ids: pa.Array) -> int:
    """How often a male has an even, or a female an odd, sequence number. Ids of another length are not looked at."""
    digit = pc.utf8_slice_codeunits(ids, PLACE_OF_SEX, PLACE_OF_SEX + 1)
    odd = as_mask(pc.is_in(digit, pa.array(["1", "3", "5", "7", "9"])))
    even = as_mask(pc.is_in(digit, pa.array(["0", "2", "4", "6", "8"])))
    whole = valid(ids) & as_mask(pc.equal(pc.utf8_length(ids), pa.scalar(DIGITS_OF_ID, pa.int32())))
    male, female = as_mask(pc.equal(sexes, MALE)), as_mask(pc.equal(sexes, FEMALE))
    return int(np.count_nonzero(whole & ((male & even) | (female & odd))))


def _standard(
    name: str, doc: str, naming: Naming, examples: tuple[tuple[str, Any], ...], *, warnings: tuple[str, ...] = ()
) -> Function:
    """A function over one list."""
    return Function(
        name=name,
        doc=doc,
        parameters=(text(),),
        result=always(pa.string()),
        bind=lambda _literals, codes: _finder(naming, codes),
        reasons=("UNKNOWN_CODE", "AMBIGUOUS_NAME"),
        warnings=warnings,
        examples=examples,
    )


FUNCTIONS = (
    Function(
        name="code_in",
        doc="The code of a list for a code, a name or an alias of it; case, accents, width and blanks do not count.",
        parameters=(text(), constant("list")),
        result=always(pa.string()),
        bind=_bind_any,
        reasons=("UNKNOWN_CODE", "AMBIGUOUS_NAME"),
        warnings=("RETIRED_CODE",),
        examples=(("code_in('friuli venezia giulia', 'it.region')", "06"), ("code_in('06', 'it.region')", "06")),
    ),
    Function(
        name="cn_sex",
        doc="The sex as in GB/T 2261.1 (0 unknown, 1 male, 2 female, 5, 6, 9 not stated) from its code or a word. With the "
        "citizen's number, one that contradicts it is a warning.",
        parameters=(text(), Parameter(name="id", type="text", optional=True)),
        result=always(pa.string()),
        bind=_bind_sex,
        reasons=("UNKNOWN_CODE", "AMBIGUOUS_NAME"),
        warnings=("SEX_MISMATCH",),
        examples=(("cn_sex('女')", "2"), ("cn_sex('Male')", "1"), ("cn_sex('3')", Fails("UNKNOWN_CODE"))),
    ),
    _standard(
        "cn_ethnicity",
        "The ethnic group as in GB/T 3304, from its number, letters, or name with or without 族.",
        Naming("cn.ethnicity", ("cn.ethnicity.letters",), digits=2),
        (("cn_ethnicity('维吾尔')", "05"), ("cn_ethnicity('UG')", "05"), ("cn_ethnicity('5')", "05")),
    ),
    _standard(
        "iso_3166",
        "A country as ISO 3166-1 alpha-2, from alpha-2, alpha-3, number, or a name in English, Chinese or Italian.",
        Naming("iso.3166-1", ("iso.3166-1.alpha-3", "iso.3166-1.numeric", "iso.3166-1.zh"), digits=3),
        (("iso_3166('ITA')", "IT"), ("iso_3166('中国')", "CN"), ("iso_3166('4')", "AF")),
        warnings=("RETIRED_CODE",),
    ),
    _standard(
        "iso_3166_2",
        "A subdivision of China or Italy as ISO 3166-2, from its code or name.",
        Naming("iso.3166-2"),
        (("iso_3166_2('内蒙古')", "CN-NM"), ("iso_3166_2('Piemonte')", "IT-21")),
    ),
    _standard(
        "currency",
        "A currency as ISO 4217 letters, from letters, number, name or sign. A sign that several use fails.",
        Naming("iso.4217", ("iso.4217.numeric", "iso.4217.zh"), digits=3),
        (("currency('人民币')", "CNY"), ("currency('978')", "EUR"), ("currency('€')", "EUR")),
        warnings=("RETIRED_CODE",),
    ),
)

"""What must become of every row of ../shared/data, said row by row with the standard library alone.

Shares no code with the hub, and reads workbooks with readers of the tests: `python3 -m tests.field.truth` prints the table.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import workbooks

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ABSENT = "Non Disponibile"
PARENTS = {
    "ISTITUTO COMPRENSIVO", "ISTITUTO SUPERIORE", "CENTRO TERRITORIALE", "CONVITTO ANNESSO", "CONVITTO NAZIONALE",
    "EDUCANDATO",
}  # fmt: skip
PUBLISHED, FILTERED = "published", "filtered"
Row = Mapping[str, Any]


@dataclass
class Outcome:
    """What becomes of a connector's rows, and what a number of those published adds up to."""

    published: int = 0
    filtered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    total: Decimal = Decimal(0)

    @property
    def read(self) -> int:
        return self.published + self.filtered + self.reasons.total()


def judge(
    rows: Iterable[Row],
    verdict: Callable[[Row], str] = lambda _row: PUBLISHED,
    *,
    key: Callable[[Row], object] | None = None,
    number: Callable[[Row], object] | None = None,
) -> Outcome:
    """Of rows that would be published and have a key that was there before, only the first is."""
    found = Outcome()
    seen: set[object] = set()
    for row in rows:
        said = verdict(row)
        if said == PUBLISHED and key is not None:
            said = "DUPLICATE_KEY" if key(row) in seen else said
            seen.add(key(row))
        if said == FILTERED:
            found.filtered += 1
        elif said != PUBLISHED:
            found.reasons[said] += 1
        else:
            found.published += 1
            found.total += Decimal(str(number(row))) if number else 0
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def table(pattern: str, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of all CSV files that match."""
    found: list[dict[str, str]] = []
    for path in sorted(SHARED.glob(pattern)):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        found += csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    return found


def document(name: str) -> Any:
    data = (SHARED / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def database(name: str) -> list[dict[str, str]]:
    path = SHARED / "cn-divisions-nbs/data.sqlite"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]


def named(lines: list[list[workbooks.Cell]], header: int = 0) -> list[dict[str, workbooks.Cell]]:
    """Lines below a header as rows."""
    names = [str(n) for n in lines[header]]
    return [dict(zip(names, [*row, *[""] * len(names)], strict=False)) for row in lines[header + 1 :]]


@cache
def comuni() -> list[dict[str, str]]:
    """The municipalities of 1 January 2020."""
    return table("it-statistics-istat/Elenco*.csv")


@cache
def cadastral() -> frozenset[str]:
    return frozenset(row["Codice Catastale del comune"] for row in comuni())


def fold(name: str) -> str:
    """Without case, accents, apostrophes and blanks."""
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if c.isalnum())


# --- families ---------------------------------------------------------------------------------------------------------


def schools(pattern: str, filtered: Callable[[str], bool]) -> Outcome:
    def verdict(row: Row) -> str:
        postcode = row["CAPSCUOLA"]
        if filtered(row["DESCRIZIONETIPOLOGIAGRADOISTRUZIONESCUOLA"]):
            return FILTERED
        if row["CODICECOMUNESCUOLA"] not in cadastral():
            return "UNKNOWN_CODE"
        if postcode != ABSENT and not re.fullmatch(r"[0-9]{5}", postcode):
            return "CHECK_FAILED"
        needed = (row["DENOMINAZIONESCUOLA"], row["INDIRIZZOSCUOLA"], postcode)
        return "NULL_REQUIRED" if ABSENT in needed else PUBLISHED

    return judge(table(pattern), verdict)


def pupils() -> Outcome:
    """Cells of a number column that say `<=3` to protect the few."""
    (lines,) = workbooks.xlsx(next(SHARED.glob("it-education-mim/Alunni*.xlsx"))).values()

    def verdict(row: Row) -> str:
        return PUBLISHED if isinstance(row["n° Alunni"], float) else "BAD_NUMBER"

    code = "Codice Sede scolastica"
    return judge(named(lines, 1), verdict, key=lambda r: r[code], number=lambda r: int(r["n° Alunni"]))


def bolzano(sheet: int) -> Outcome:
    lines = list(workbooks.xls(SHARED / "it-education-bolzano/BolzanoLinguaItaliana20232024.xls").values())[sheet]
    if sheet == 0:
        return judge([{"code": r[2], "pupils": r[4]} for r in lines[1:]], key=lambda r: r["code"],
                     number=lambda r: int(r["pupils"]))  # fmt: skip
    schools = [row for row in lines[1:] if len(row) > 1]  # a line of one cell is the heading of those below it
    return judge([{"postcode": row[2]} for row in schools], number=lambda r: int(r["postcode"]))


def german() -> Outcome:
    """Every sheet ends with its total, which the schools above it add up to."""
    found, totals = Outcome(), Decimal(0)
    for lines in workbooks.xlsx(SHARED / "it-education-bolzano/BolzanoLinguaTedesca20232024.xlsx").values():
        rows = named(lines)
        totals += sum(Decimal(r["Alunni Totali"]) for r in rows if r["Istituti"] == "Totale")
        one = judge(rows, lambda r: FILTERED if r["Istituti"] == "Totale" else PUBLISHED)
        found.published += one.published
        found.filtered += one.filtered
    found.total = totals
    return found


def trento() -> Outcome:
    (lines,) = workbooks.ods(SHARED / "it-education-trento/Trento_Religione_23_24.ods").values()
    return judge(
        named(lines),
        lambda r: PUBLISHED if r["POSIZIONE GIURIDICA"] else FILTERED,  # the source note
        key=lambda r: r["CODICE MECC."] or r["ISTITUZIONE SCOLASTICA"],
        number=lambda r: int(r["TOTALE STUDENTI"]),
    )


def hospitals() -> Outcome:
    names = Counter(fold(row["Denominazione in italiano"]) for row in comuni())

    def verdict(row: Row) -> str:
        known = names[fold(row["city"])]
        return PUBLISHED if known == 1 else "AMBIGUOUS_NAME" if known else "UNKNOWN_CODE"

    return judge(table("it-health-hospitals/IT.csv"), verdict, key=lambda r: r["id"])


def infections(rows: list[dict[str, Any]], *, of_provinces: bool) -> Outcome:
    def verdict(row: Row) -> str:
        if of_provinces:
            return PUBLISHED if row["sigla_provincia"] else FILTERED
        return PUBLISHED if int(row["nuovi_positivi"]) >= 0 else "CHECK_FAILED"

    return judge(rows, verdict, number=lambda r: int(r["totale_casi"]))


def contracts() -> Outcome:
    rows = document("it-finance-civilprotection/dpc-covid19-dati-contratti-dpc-forniture.json")
    return judge(rows, number=lambda r: r["totale_articolo"])


def payments() -> Outcome:
    rows = document("it-finance-civilprotection/dpc-covid19-dati-pagamenti-contratti-dpc-forniture.json")
    return judge(
        rows,
        lambda r: "CHECK_FAILED" if r["totale_pagato"] > r["totale_fornitura"] else PUBLISHED,
        key=lambda r: r["protocollo_atto_negoziale"],
        number=lambda r: r["totale_pagato"],
    )


def population() -> Outcome:
    known = {row["Codice Comune formato alfanumerico"] for row in comuni()}

    def verdict(row: Row) -> str:
        code = row["ITTER107"]
        if not re.fullmatch(r"[0-9]{6}", code):
            return FILTERED
        return PUBLISHED if code in known else "UNKNOWN_CODE"

    rows = table("it-statistics-istat/popolazione.csv")
    return judge(rows, verdict, key=lambda r: r["ITTER107"], number=lambda r: int(r["OBS_VALUE"]))


def divisions() -> Outcome:
    return judge(
        comuni(),
        key=lambda r: r["Codice Comune formato alfanumerico"],
        number=lambda r: int(r["Popolazione legale 2011 (09/10/2011)"].replace(".", "")),
    )


def ages() -> Outcome:
    rows = table("it-statistics-istat/popolazione-istat-regione-range.csv")
    return judge(rows, key=lambda r: (r["codice_regione"], r["range_eta"]), number=lambda r: int(r["totale_generale"]))


def income() -> Outcome:
    rows = table("it-finance-mef/Redditi*.csv", ";")
    return judge(
        rows,
        lambda r: PUBLISHED if r["Codice catastale"] in cadastral() else "UNKNOWN_CODE",
        key=lambda r: r["Codice catastale"],
        number=lambda r: int(r["Numero contribuenti"]),
    )


def brackets() -> Outcome:
    def verdict(row: Row) -> str:
        if row["Regione"] == "Mancante/errata":
            return FILTERED
        return PUBLISHED if row["Numero contribuenti"] else "NULL_REQUIRED"

    rows = table("it-finance-mef/REG_*.csv", ";")
    return judge(
        rows,
        verdict,
        key=lambda r: (r["Regione"], r["Classi di reddito complessivo in euro"]),
        number=lambda r: int(r["Numero contribuenti"].replace(".", "")),
    )


def transfers() -> Outcome:
    codes = Counter(row["codINT"] for row in table("it-finance-interior/COD_ISTAT_codINT.csv"))
    rows = table("it-finance-interior/allegato_0*.csv")
    return judge(
        rows,
        lambda r: PUBLISHED if codes[r["codINT"]] == 1 else "UNKNOWN_CODE",
        key=lambda r: r["codINT"],
        number=lambda r: r["Contributo spettante"],
    )


def crosswalk() -> Outcome:
    rows = table("it-finance-interior/COD_ISTAT_codINT.csv")
    return judge(
        rows,
        lambda r: PUBLISHED if re.fullmatch(r"[0-9]{6}", r["PRO_COM_T"]) else "CHECK_FAILED",
        key=lambda r: r["codINT"],
    )


def readings() -> Outcome:
    """By file, municipality and pollutant; -9999 and means that hold it are below nought."""
    rows = [
        point
        for path in sorted(SHARED.glob("it-environment-arpa-lombardia/dati_grafici_*.json"))
        for series in json.loads(path.read_bytes())["serie_temporali"].values()
        for points in series.values()
        for point in points
    ]
    return judge(
        rows, lambda r: PUBLISHED if r["valore"] >= 0 else "CHECK_FAILED", number=lambda r: r["valore"]
    )  # fmt: skip


def requests() -> Outcome:
    def verdict(row: Row) -> str:
        if row["Stato"] == "eliminata":
            return FILTERED
        return "CHECK_FAILED" if row["Chiusa"] and row["Stato"] != "chiusa" else PUBLISHED

    return judge(table("it-citizen-alessandria/*.csv", ";"), verdict, key=lambda r: r["Id"])


def topology(name: str) -> Outcome:
    objects = document(f"it-boundaries/{name}")["objects"]
    return judge([g["properties"] for o in objects.values() for g in o["geometries"]])


def features(name: str) -> Outcome:
    return judge([f["properties"] for f in document(f"it-boundaries/{name}")["features"]])


def outside() -> Outcome:
    """Names below a province and a city."""
    data = document("cn-divisions-nbs/HK-MO-TW.json")
    return judge([{"name": n} for cities in data.values() for names in cities.values() for n in names])


def coded(rows: list[dict[str, str]]) -> Outcome:
    return judge(rows, key=lambda r: r["code"])


def air() -> Outcome:
    return judge(
        table("cn-environment-beijing/*.csv.gz"),
        lambda r: FILTERED if r["PM2.5"] == "NA" else PUBLISHED,
        number=lambda r: r["PM2.5"],
    )


HEALTH = "it-health-civilprotection"
FAMILIES: Mapping[str, Callable[[], Outcome]] = {
    "mim-state": lambda: schools("it-education-mim/SCUANAGRAFESTAT*", lambda kind: kind in PARENTS),
    "mim-autonomous": lambda: schools("it-education-mim/SCUANAAUT*", lambda kind: kind in PARENTS | {ABSENT}),
    "mim-nonstate": lambda: schools("it-education-mim/SCUANAGRAFEPAR*", lambda _kind: False),
    "mim-pupils": pupils,
    "bz-italian": lambda: bolzano(0),
    "bz-italian-addresses": lambda: bolzano(1),
    "bz-german": german,
    "tn-schools": trento,
    "salute-hospitals": hospitals,
    "dpc-regions": lambda: infections(table(f"{HEALTH}/regioni/*.csv"), of_provinces=False),
    "dpc-provinces": lambda: infections(table(f"{HEALTH}/province/*.csv"), of_provinces=True),
    "dpc-regions-latest": lambda: infections(
        document(f"{HEALTH}/dpc-covid19-ita-regioni-latest.json"), of_provinces=False
    ),
    "dpc-provinces-latest": lambda: infections(
        document(f"{HEALTH}/dpc-covid19-ita-province-latest.json"), of_provinces=True
    ),
    "dpc-contracts": contracts,
    "dpc-payments": payments,
    "istat-divisions": divisions,
    "istat-population": population,
    "istat-provinces": lambda: judge(
        table("it-statistics-istat/province_popolazione.csv"), number=lambda r: int(r["Totale"])
    ),
    "istat-ages": ages,
    "mef-income": income,
    "mef-brackets": brackets,
    "interior-transfers": transfers,
    "interior-crosswalk": crosswalk,
    "arpa-stations": lambda: judge(
        document("it-environment-arpa-lombardia/stazioni.json"), key=lambda r: r["idsensore"]
    ),
    "arpa-readings": readings,
    "alessandria-requests": requests,
    "openpolis-regions": lambda: topology("limits_IT_regions.topo.json"),
    "openpolis-provinces": lambda: topology("limits_IT_provinces.topo.json"),
    "openpolis-piedmont": lambda: topology("limits_R_1_municipalities.topo.json"),
    "openpolis-umbria": lambda: features("limits_R_10_municipalities.geojson"),
    "openpolis-regions-detailed": lambda: features("limits_IT_regions.geojson.gz"),
    "nbs-provinces": lambda: coded(table("cn-divisions-nbs/provinces.csv")),
    "nbs-cities": lambda: coded(table("cn-divisions-nbs/cities.csv")),
    "nbs-areas": lambda: coded(table("cn-divisions-nbs/areas.csv")),
    "nbs-db-provinces": lambda: coded(database("province")),
    "nbs-db-cities": lambda: coded(database("city")),
    "nbs-db-areas": lambda: coded(database("area")),
    "nbs-db-streets": lambda: coded(database("street")),
    "nbs-db-villages": lambda: coded(database("village")),
    "nbs-outside": outside,
    "bmemc-air": air,
}


if __name__ == "__main__":
    for family, say in FAMILIES.items():
        outcome = say()
        counts = f"{outcome.read:>7,} {outcome.published:>7,} {outcome.filtered:>6,}"
        print(f"{family:28}{counts}  {dict(outcome.reasons)} {outcome.total}")

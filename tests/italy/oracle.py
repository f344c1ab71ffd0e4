"""What the demo's files must become, computed row by row with the standard library only.

Shares no code with the hub: `python3 -m tests.italy.oracle` prints the table."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.support import workbooks

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "italy" / "data"
CODES = ROOT / "schemas" / "codes"
LEVELS = {
    "SCUOLA INFANZIA NON STATALE": "PRE_PRIMARY",
    "SCUOLA PRIMARIA NON STATALE": "PRIMARY",
    "SCUOLA SEC. PRIMO GRADO NON STATALE": "LOWER_SECONDARY",
    "SCUOLA SEC. SECONDO GRADO NON STATALE": "UPPER_SECONDARY",
}
GERMAN_LEVELS = {
    "Scuola primaria": "PRIMARY",
    "Scuola secondaria di primo grado": "LOWER_SECONDARY",
    "Scuola secondaria di secondo grado": "UPPER_SECONDARY",
    "Scuola professionale": "UPPER_SECONDARY",
}
STATES = {
    "aperta": "OPEN",
    "in carico": "IN_PROGRESS",
    "chiusa": "CLOSED",
    "archiviata": "ARCHIVED",
    "annullata": "CANCELLED",
}


class Rejected(Exception):
    """The reason a row is quarantined."""


@dataclass
class Expected:
    """One connector's outcome."""

    read: int = 0
    filtered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, int]:
        quarantined = sum(self.reasons.values())
        return {
            "read": self.read,
            "published": len(self.records),
            "quarantined": quarantined,
            "filtered": self.filtered,
        }


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))


def fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if c.isalnum())


def by_name(path: Path) -> dict[str, str]:
    """Codes of a list by all names."""
    found = {}
    for row in rows(path):
        for name in [row["name"], *filter(None, row["aliases"].split("|"))]:
            found[fold(name)] = row["code"]
    return found


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise Rejected(reason)


def look(table: dict[str, str], value: str) -> str:
    need(value in table, "UNKNOWN_CODE")
    return table[value]


def division(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    population = row["Popolazione legale 2011 (09/10/2011)"]
    need(re.fullmatch(r"\d{1,3}(\.\d{3})*|\d+", population) is not None, "BAD_NUMBER")
    code = row["Codice Comune formato alfanumerico"]
    need(re.fullmatch(r"[0-9]{6}", code) is not None, "CHECK_FAILED")
    place = "Denominazione dell'Unità territoriale sovracomunale (valida a fini statistici)"
    capital = "Flag Comune capoluogo di provincia/città metropolitana/libero consorzio"
    return code, {
        "division_code": code,
        "name": row["Denominazione in italiano"],
        "name_other_language": row["Denominazione altra lingua"] or None,
        "province_code": row["Codice Provincia (Storico)(1)"],
        "province": row[place],
        "province_acronym": row["Sigla automobilistica"],
        "region": row["Codice Regione"],
        "region_name": row["Denominazione regione"],
        "nuts3": row["NUTS3"],
        "cadastral_code": row["Codice Catastale del comune"],
        "population_2011": int(population.replace(".", "")),
        "is_capital": row[capital] == "1",
        "country": "IT",
        "level": None,
        "parent_code": row["Codice Provincia (Storico)(1)"],
        "settlement": None,
        "valid_from": None,
        "valid_to": None,
        "successor": None,
    }


def title(text: str) -> str:
    """Each run of letters begins with a capital."""
    out, inside = [], False
    for c in text:
        out.append((c.lower() if inside else c.upper()) if c.isalpha() else c)
        inside = c.isalpha()
    return "".join(out)


def blanks(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def school(row: dict[str, str], places: dict[str, str], regions: dict[str, str]) -> tuple[str, dict[str, Any]]:
    code = row["CODICESCUOLA"].strip().upper()
    division_code = look(places, row["CODICECOMUNESCUOLA"])
    region = look(regions, fold(row["REGIONE"]))
    need(re.fullmatch(r"[A-Z]{2}[A-Z0-9]{8}", code) is not None, "CHECK_FAILED")
    need(re.fullmatch(r"[0-9]{5}", row["CAPSCUOLA"]) is not None, "CHECK_FAILED")
    return code, {
        "school_id": code,
        "name": blanks(row["DENOMINAZIONESCUOLA"]),
        "level": LEVELS[row["DESCRIZIONETIPOLOGIAGRADOISTRUZIONESCUOLA"]],
        "school_year": row["ANNOSCOLASTICO"][:4] + "/" + row["ANNOSCOLASTICO"][4:6],
        "division_code": division_code,
        "region": region,
        "address": {
            "street": blanks(row["INDIRIZZOSCUOLA"]),
            "postcode": row["CAPSCUOLA"],
            "municipality": title(row["DESCRIZIONECOMUNE"]),
        },
        "language": None,
        "pupils": None,
    }


def sheet_rows(sheets: workbooks.Sheets) -> list[dict[str, str]]:
    """Rows of all sheets by column name, as text; what a row lacks at its end is blank."""
    found = []
    for header, *body in sheets.values():
        names = [str(name) for name in header]
        for row in body:
            cells = [str(int(c)) if isinstance(c, float) and c.is_integer() else str(c) for c in row]
            found.append(dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=True)))
    return found


def provincial(school_id: str, name: str, level: str | None, pupils: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """A school of an autonomous province."""
    need(int(pupils) > 0, "CHECK_FAILED")
    return school_id, {
        "school_id": school_id,
        "name": blanks(name),
        "level": level,
        "school_year": "2023/24",
        "division_code": None,
        "region": "04",
        "address": None,
        "language": None,
        "pupils": int(pupils),
        **more,
    }


def trento(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    code, name = row["CODICE MECC."], row["ISTITUZIONE SCOLASTICA"]
    level = "UPPER_SECONDARY" if code and code[2:4] != "IC" else None
    return provincial(code or blanks(name), name, level, row["TOTALE STUDENTI"])


def bolzano_italian(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    code = row["Codice meccanografico"]
    need(re.fullmatch(r"[A-Z]{2}[A-Z0-9]{8}", code) is not None, "CHECK_FAILED")
    need(row["Anno scolastico"] == "2023/2024", "the oracle knows this year only")
    level = {"IC": None, "1M": "LOWER_SECONDARY"}.get(code[2:4], "UPPER_SECONDARY")
    return provincial(code, row["Istituzione scolastica"], level, row["Totale"], language="it")


def bolzano_german(row: dict[str, str], places: dict[str, str]) -> tuple[str, dict[str, Any]]:
    institute, kind, name = (blanks(row[column]) for column in ("Istituti", "Gradi scolastici", "Luoghi"))
    need(re.search(r"\+[A-Z]+[0-9]", name) is None, "CHECK_FAILED")
    level = next(level for start, level in GERMAN_LEVELS.items() if kind.startswith(start))
    place = places.get(fold(row["Luoghi"].split("/")[0]))
    return provincial(f"{institute} / {name}", name, level, row["Alunni Totali"], language="de", division_code=place)


def transfer(row: dict[str, str], codes: dict[str, str], regions: dict[str, str]) -> tuple[str, dict[str, Any]]:
    division_code = look(codes, row["codINT"])
    region = look(regions, fold(row["REGIONE"]))
    first, total = decimal.Decimal(row["Quota a)"]), decimal.Decimal(row["Contributo spettante"])
    second = decimal.Decimal(row["Quota b)"]) if row["Quota b)"] else None
    need(abs(total - first - (second or 0)) <= decimal.Decimal("0.01"), "CHECK_FAILED")
    need(total > 0, "CHECK_FAILED")
    return row["codINT"], {
        "recipient_code": row["codINT"],
        "division_code": division_code,
        "region": region,
        "recipient": row["ENTE"],
        "population": int(row["POP"]),
        "share_by_population": first,
        "share_by_income": second,
        "amount": total,
        "page": int(row["pagina"]) if row.get("pagina") else None,
        "fiscal_year": 2020,
        "scheme": None,
        "payer_id": None,
        "standard_expenditure": None,
        "standard_revenue": None,
        "coefficient": None,
        "currency": "EUR",
    }


def request(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    opened = dt.date.fromisoformat(row["Creato"])
    closed = dt.date.fromisoformat(row["Chiusa"]) if row["Chiusa"] else None
    need(closed is None or row["Stato"] == "chiusa", "CHECK_FAILED")
    need(closed is None or closed >= opened, "CHECK_FAILED")
    return row["Id"], {
        "case_id": row["Id"],
        "status": STATES[row["Stato"]],
        "category": row["Categoria"] or None,
        "channel": row["DescrizioneBreve"],
        "division_code": "006003",
        "opened_on": opened,
        "closed_on": closed,
        "changed_on": closed or opened,
    }


def epidemic_day(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    code, day = row["codice_regione"], row["data"][:10]
    need(int(row["nuovi_positivi"]) >= 0, "CHECK_FAILED")
    whole = sum(int(row[name]) for name in ("totale_positivi", "dimessi_guariti", "deceduti"))
    need(int(row["totale_casi"]) == whole, "CHECK_FAILED")
    rapid = row.get("totale_positivi_test_antigenico_rapido")
    return f'["{code}","{day}"]', {
        "disease": "U07.1",
        "area_code": code,
        "area": row["denominazione_regione"],
        "region": "04" if code in ("21", "22") else code,
        "nuts2": row.get("codice_nuts_2") or None,
        "day": dt.date.fromisoformat(day),
        "reported_at": dt.datetime.fromisoformat(row["data"]).replace(tzinfo=ZoneInfo("Europe/Rome")),
        "new_cases": int(row["nuovi_positivi"]),
        "active": int(row["totale_positivi"]),
        "hospitalised": int(row["totale_ospedalizzati"]),
        "intensive_care": int(row["terapia_intensiva"]),
        "isolated": int(row["isolamento_domiciliare"]),
        "recovered": int(row["dimessi_guariti"]),
        "deaths": int(row["deceduti"]),
        "total_cases": int(row["totale_casi"]),
        "tests": int(row["tamponi"]),
        "rapid_test_cases": int(rapid) if rapid else None,
        "note": row["note"] or None,
    }


def outcome(source: list[dict[str, str]], make: Any, keep: Any = lambda _row: True) -> Expected:
    found = Expected(read=len(source))
    for row in source:
        if not keep(row):
            found.filtered += 1
            continue
        try:
            key, record = make(row)
        except Rejected as reason:
            found.reasons[str(reason)] += 1
            continue
        if key in found.records:
            found.reasons["DUPLICATE_KEY"] += 1
        else:
            found.records[key] = record
    return found


@cache
def expected() -> dict[str, Expected]:
    """Everything, by connector."""
    regions = by_name(CODES / "it.region.csv")
    german_places = by_name(ROOT / "examples/italy/schemas/codes/it.bz.place.csv")
    places = {r["to:it.cadastral"]: r["code"] for r in rows(CODES / "it.istat.csv")}
    interior = {r["code"]: r["to:it.istat"] for r in rows(CODES / "it.interior.csv")}
    transfers = rows(DATA / "interior/allegato_01.csv") + rows(DATA / "interior/allegato_02.csv")
    requests = rows(DATA / "alessandria/segnalazioni-municipium_2023-2024.csv", ";")
    italian = list(workbooks.xls(DATA / "bz/BolzanoLinguaItaliana20232024.xls").items())[:1]
    german = workbooks.xlsx(DATA / "bz/BolzanoLinguaTedesca20232024.xlsx")
    return {
        "it-istat-divisions": outcome(rows(DATA / "istat/comuni-2020-01-01.csv"), division),
        "it-mim-schools": outcome(
            rows(DATA / "mim/scuole-paritarie-2023-24.csv"), lambda r: school(r, places, regions)
        ),
        "it-tn-schools": outcome(
            sheet_rows(workbooks.ods(DATA / "tn/Trento_Religione_23_24.ods")),
            trento,
            lambda r: r["POSIZIONE GIURIDICA"],
        ),
        "it-bz-schools-italian": outcome(sheet_rows(dict(italian)), bolzano_italian),
        "it-bz-schools-german": outcome(
            sheet_rows(german), lambda r: bolzano_german(r, german_places), lambda r: r["Istituti"] != "Totale"
        ),
        "it-dpc-regions": outcome([r for p in sorted((DATA / "dpc").glob("*.csv")) for r in rows(p)], epidemic_day),
        "it-interior-transfers": outcome(transfers, lambda r: transfer(r, interior, regions)),
        "it-alessandria-requests": outcome(requests, request, lambda r: r["Stato"] != "eliminata"),
    }


if __name__ == "__main__":
    for name, found in expected().items():
        print(name, found.row, dict(found.reasons))

"""Makes data/ and the code lists from the published originals: `python3 examples/italy/prepare.py ORIGINALS`.

Kept so that anyone can see what was done to the files. Most are copied byte for byte. From the school register the two
e-mail columns and the web-site column, in which schools also wrote personal addresses, are left out; from the workbooks of
Bolzano, who wrote them.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
CODES = HERE.parent.parent / "schemas" / "codes"
REGISTER = "it-statistics-istat/Elenco-codici-statistici-e-denominazioni-al-01_01_2020.csv"
SCHOOLS = "it-education-mim/SCUANAGRAFEPAR20232420230901.csv"
TRANSFERS = ("it-finance-interior/allegato_01.csv", "it-finance-interior/allegato_02.csv")
CROSSWALK = "it-finance-interior/COD_ISTAT_codINT.csv"
REQUESTS = "it-citizen-alessandria/segnalazioni-municipium_2023-2024.csv"
TRENTO = "it-education-trento/Trento_Religione_23_24.ods"
BOLZANO_ITALIAN = "it-education-bolzano/BolzanoLinguaItaliana20232024.xls"
BOLZANO_GERMAN = "it-education-bolzano/BolzanoLinguaTedesca20232024.xlsx"
CIVIL_PROTECTION = "it-health-civilprotection/regioni"
LEFT_OUT = {"INDIRIZZOEMAILSCUOLA", "INDIRIZZOPECSCUOLA", "SITOWEBSCUOLA"}
COMUNI = ["code", "name", "valid_from", "valid_to", "successor", "to:it.cadastral", "to:it.region"]
SHORT = {  # names of comuni as the German schools' file shortens them
    "021004": "Eppan", "021015": "Kaltern", "021018": "Kastelbell", "021024": "Kurtatsch", "021025": "Kurtinig",
    "021027": "Graun", "021031": "Völs", "021045": "Margreid", "021052": "Welsberg|Taisten", "021054": "Moos",
    "021067": "Prad", "021076": "Salurn", "021080": "St. Leonhard", "021083": "St. Martin", "021098": "Tramin",
    "021102": "Truden", "021103": "Taufers i.M.", "021118": "Unser Frau St. Felix",
}  # fmt: skip
SPELLINGS = {"02": "Valle d'Aosta", "04": "Trentino Alto Adige|Trentino-Alto Adige", "06": "Friuli-Venezia G."}


def main(originals: Path) -> None:
    """Write everything."""
    shutil.copyfile(originals / REGISTER, HERE / "data/istat/comuni-2020-01-01.csv")
    for name in (*TRANSFERS, CROSSWALK):
        shutil.copyfile(originals / name, HERE / "data/interior" / Path(name).name)
    shutil.copyfile(originals / REQUESTS, HERE / "data/alessandria" / Path(REQUESTS).name)
    schools(originals / SCHOOLS, HERE / "data/mim/scuole-paritarie-2023-24.csv")
    shutil.copyfile(originals / TRENTO, HERE / "data/tn" / Path(TRENTO).name)
    italian(originals / BOLZANO_ITALIAN, HERE / "data/bz" / Path(BOLZANO_ITALIAN).name)
    german(originals / BOLZANO_GERMAN, HERE / "data/bz" / Path(BOLZANO_GERMAN).name)
    for day in (originals / CIVIL_PROTECTION).glob("*.csv"):
        shutil.copyfile(day, HERE / "data/dpc" / day.name)
    register = read(originals / REGISTER)
    write(CODES / "it.istat.csv", COMUNI, comuni(register, read(CODES / "it.istat.csv")))
    write(HERE / "schemas/codes/it.bz.place.csv", ["code", "name", "aliases", "to:it.istat"], german_places(register))
    write(CODES / "it.region.csv", ["code", "name", "aliases"], regions(register))
    write(CODES / "it.interior.csv", ["code", "to:it.istat"], interior(read(originals / CROSSWALK)))


def read(path: Path) -> list[dict[str, str]]:
    """Rows by column name."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def schools(source: Path, target: Path) -> None:
    """The register without the columns that hold personal data."""
    with source.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    keep = [i for i, name in enumerate(rows[0]) if name not in LEFT_OUT]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([row[i] for i in keep] for row in rows)
    target.write_text(out.getvalue(), encoding="utf-8", newline="")


def italian(source: Path, target: Path) -> None:
    """XLS: the author's name, thrice in the file and always of the same length, becomes blanks. No other byte changes."""
    data = source.read_bytes()
    user = data.index(b"\x5c\x00\x70\x00") + 4  # the record WRITEACCESS: length, width, text
    length = int.from_bytes(data[user : user + 2], "little")
    name = data[user + 3 : user + 3 + length]
    target.write_bytes(data.replace(name, b" " * length))


def german(source: Path, target: Path) -> None:
    """XLSX: the author's names and the path in a user's folder become empty. All other parts are as they were."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename == "docProps/core.xml":
                data = re.sub(rb"(<dc:creator>|<cp:lastModifiedBy>)[^<]*", rb"\1", data)
            elif part.filename == "xl/workbook.xml":
                data = re.sub(rb'(absPath url=")[^"]*', rb"\1", data)
            new.writestr(part, data)


def comuni(register: list[dict[str, str]], known: list[dict[str, str]]) -> Iterable[list[str]]:
    """ISTAT's codes with their cadastral codes and regions. Days and successors, which have other sources, and codes that
    the register lacks stay as they are in the list."""
    by_code = {row["Codice Comune formato alfanumerico"]: row for row in register}
    for old in known:
        row = by_code.get(old["code"])
        if row is not None:
            named = {"name": row["Denominazione in italiano"], "to:it.region": row["Codice Regione"]}
            old = {**old, **named, "to:it.cadastral": row["Codice Catastale del comune"]}
        yield [old[name] for name in COMUNI]


def german_places(register: list[dict[str, str]]) -> Iterable[list[str]]:
    """The comuni of Bolzano by their German names."""
    for row in register:
        code = row["Codice Comune formato alfanumerico"]
        if code.startswith("021"):
            yield [code, row["Denominazione altra lingua"], SHORT.get(code, ""), code]


def regions(register: list[dict[str, str]]) -> Iterable[list[str]]:
    """The twenty regions with other spellings met in the files."""
    names = {row["Codice Regione"]: row["Denominazione regione"] for row in register}
    for code, name in sorted(names.items()):
        yield [code, name, SPELLINGS.get(code, "")]


def interior(crosswalk: list[dict[str, str]]) -> Iterable[list[str]]:
    """The interior ministry's codes; nine that lead to two comuni (mergers) are left out, so that none is guessed."""
    counts = Counter(row["codINT"] for row in crosswalk)
    for row in crosswalk:
        if counts[row["codINT"]] == 1:
            yield [row["codINT"], row["PRO_COM_T"]]


def write(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    """A code list."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

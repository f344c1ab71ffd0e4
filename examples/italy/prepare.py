"""Makes data/ and the code lists from the published originals: `python3 examples/italy/prepare.py ORIGINALS`.

Kept so that anyone can see what was done to the files. Three are copied byte for byte. From the school register the two
e-mail columns and the web-site column, in which schools also wrote personal addresses, are left out.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
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
LEFT_OUT = {"INDIRIZZOEMAILSCUOLA", "INDIRIZZOPECSCUOLA", "SITOWEBSCUOLA"}
SPELLINGS = {"02": "Valle d'Aosta", "04": "Trentino Alto Adige|Trentino-Alto Adige", "06": "Friuli-Venezia G."}


def main(originals: Path) -> None:
    """Write everything."""
    shutil.copyfile(originals / REGISTER, HERE / "data/istat/comuni-2020-01-01.csv")
    for name in (*TRANSFERS, CROSSWALK):
        shutil.copyfile(originals / name, HERE / "data/interior" / Path(name).name)
    shutil.copyfile(originals / REQUESTS, HERE / "data/alessandria" / Path(REQUESTS).name)
    schools(originals / SCHOOLS, HERE / "data/mim/scuole-paritarie-2023-24.csv")
    register = read(originals / REGISTER)
    write(CODES / "it.istat.csv", ["code", "name", "to:it.cadastral", "to:it.region"], comuni(register))
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


def comuni(register: list[dict[str, str]]) -> Iterable[list[str]]:
    """ISTAT's codes with their cadastral codes and regions."""
    for row in register:
        code, cadastral = row["Codice Comune formato alfanumerico"], row["Codice Catastale del comune"]
        yield [code, row["Denominazione in italiano"], cadastral, row["Codice Regione"]]


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

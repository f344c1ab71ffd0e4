"""Makes data/ and the code lists from the published originals: `python3 examples/italy/prepare.py ORIGINALS`.

Kept so that anyone can see what was done to the files. Most are copied byte for byte. From the school register the two
e-mail columns and the web-site column, in which schools also wrote personal addresses, are left out; from the workbooks of
Bolzano, who wrote them.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
BOUNDARIES = "it-boundaries/limits_IT_regions.topo.json"
STRAY = 0.005  # degrees, about half a kilometre, that a boundary may be off
SMALLEST = 0.001  # square degrees of an island that is kept, about ten square kilometres
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
    regions_of(originals / BOUNDARIES, HERE / "boundaries/regions.geojson")
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


Point = tuple[float, float]


def regions_of(source: Path, target: Path) -> None:
    """TopoJSON to GeoJSON, thinned: two neighbours share each arc, so their common boundary stays one. Outer rings stay
    clockwise and holes the other way, as plotly and D3 want them (RFC 7946 has it the other way round)."""
    topology = json.loads(source.read_text(encoding="utf-8"))
    arcs = [thinned(points(arc, topology["transform"])) for arc in topology["arcs"]]
    made = [feature(one, arcs) for one in topology["objects"]["regions"]["geometries"]]
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in made]
    text = '{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")


def points(arc: list[list[int]], transform: dict[str, list[float]]) -> list[Point]:
    """Degrees from the steps between whole numbers."""
    (scale_x, scale_y), (left, low) = transform["scale"], transform["translate"]
    x = y = 0
    made = []
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        made.append((x * scale_x + left, y * scale_y + low))
    return made


def thinned(line: list[Point]) -> list[Point]:
    """The points without which it would stray too far (Douglas and Peucker); of a closed line at least a triangle."""
    if len(line) < 3:
        return line
    far, at = max((distance(p, line[0], line[-1]), i) for i, p in enumerate(line[1:-1], 1))
    if far <= STRAY and line[0] != line[-1]:
        return [line[0], line[-1]]
    return [*thinned(line[: at + 1])[:-1], *thinned(line[at:])]


def distance(point: Point, start: Point, end: Point) -> float:
    """From the straight line between two points; from the one point where they are the same."""
    (x, y), (x0, y0), (x1, y1) = point, start, end
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    if not length:
        return float(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5)
    return float(abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length)


def feature(one: dict[str, Any], arcs: list[list[Point]]) -> dict[str, Any]:
    """A region with its code and name. Its largest part stays, others where they can be seen; so with holes."""
    parts = one["arcs"] if one["type"] == "MultiPolygon" else [one["arcs"]]
    polygons = sorted(
        ([ring(r, arcs) for r in part] for part in parts), key=lambda p: area(p[0])
    )  # clockwise: negative
    kept = [[r for r in part if r is part[0] or area(r) >= SMALLEST] for part in polygons]
    kept = [part for i, part in enumerate(kept) if i == 0 or -area(part[0]) >= SMALLEST]
    properties = {name: one["properties"][name] for name in ("reg_istat_code", "reg_name")}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "MultiPolygon", "coordinates": kept}}


def ring(numbers: list[int], arcs: list[list[Point]]) -> list[Point]:
    """A closed line of arcs, those with a negative number backwards; to a thousandth of a degree."""
    made: list[Point] = []
    for number in numbers:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        for x, y in arc:
            point = (round(x, 3), round(y, 3))
            if not made or made[-1] != point:
                made.append(point)
    return made


def area(line: list[Point]) -> float:
    """Signed, in square degrees: negative for a clockwise line."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(line)) / 2


def write(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    """A code list."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

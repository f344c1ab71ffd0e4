"""Workbooks as rows of text, with the standard library alone: what the hub's reader is held against.

Each function gives the sheets by name; a sheet is a list of rows that are not blank, a row the texts of its cells from the
first column on. Whole numbers are written without a point, as the hub writes them.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path

Sheets = dict[str, list[list[str]]]

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"

BOUNDSHEET, SST, CONTINUE, EOF = 0x0085, 0x00FC, 0x003C, 0x000A
LABELSST, NUMBER, RK, MULRK, FORMULA = 0x00FD, 0x0203, 0x027E, 0x00BD, 0x0006


def number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def rows(cells: dict[int, dict[int, str]]) -> list[list[str]]:
    """In order, without blank ones."""
    found = [[row.get(i, "") for i in range(max(row, default=-1) + 1)] for _n, row in sorted(cells.items())]
    return [row for row in found if any(row)]


# --- XLSX (ECMA-376) --------------------------------------------------------------------------------------------------


def xlsx(path: Path) -> Sheets:
    with zipfile.ZipFile(path) as archive:
        shared = ET.fromstring(archive.read("xl/sharedStrings.xml"))
        texts = ["".join(t.text or "" for t in item.iter(f"{MAIN}t")) for item in shared]
        related = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        targets = {r.get("Id"): r.get("Target", "") for r in related}
        book = ET.fromstring(archive.read("xl/workbook.xml"))
        return {
            sheet.get("name", ""): xlsx_rows(ET.fromstring(archive.read(f"xl/{targets[sheet.get(RELATION)]}")), texts)
            for sheet in book.iter(f"{MAIN}sheet")
        }


def xlsx_rows(sheet: ET.Element, texts: list[str]) -> list[list[str]]:
    cells: dict[int, dict[int, str]] = {}
    for cell in sheet.iter(f"{MAIN}c"):
        value, place = cell.findtext(f"{MAIN}v"), cell.get("r", "")
        if value is None:
            continue
        letters = place.rstrip("0123456789")
        column = 0
        for letter in letters:
            column = column * 26 + ord(letter) - 64
        kind = cell.get("t", "n")
        text = texts[int(value)] if kind == "s" else number(float(value)) if kind == "n" else value
        cells.setdefault(int(place[len(letters) :]), {})[column - 1] = text
    return rows(cells)


# --- ODS (ISO/IEC 26300) ----------------------------------------------------------------------------------------------


def ods(path: Path) -> Sheets:
    with zipfile.ZipFile(path) as archive:
        document = ET.fromstring(archive.read("content.xml"))
    return {table.get(f"{TABLE}name", ""): ods_rows(table) for table in document.iter(f"{TABLE}table")}


def ods_rows(table: ET.Element) -> list[list[str]]:
    """Repeated rows are blank in the files here; repeated cells count by their number."""
    cells: dict[int, dict[int, str]] = {}
    for line, row in enumerate(table.iter(f"{TABLE}table-row")):
        place = 0
        for cell in row:
            if cell.get(f"{OFFICE}value-type"):
                value = cell.get(f"{OFFICE}value")
                text = "\n".join("".join(p.itertext()) for p in cell.iter(f"{TEXT}p"))
                cells.setdefault(line, {})[place] = text if value is None else number(float(value))
            place += int(cell.get(f"{TABLE}number-columns-repeated", "1"))
    return rows(cells)


# --- XLS (MS-CFB, MS-XLS) ---------------------------------------------------------------------------------------------


def xls(path: Path) -> Sheets:
    stream = workbook_stream(path.read_bytes())
    texts = shared_texts(stream)
    found: Sheets = {}
    for kind, body in records(stream, 0):
        if kind == BOUNDSHEET:
            (at,), wide = struct.unpack_from("<I", body), body[7] & 1
            name = body[8 : 8 + body[6] * (1 + wide)].decode("utf-16-le" if wide else "latin-1")
            found[name] = xls_rows(stream, at, texts)
    return found


def workbook_stream(data: bytes) -> bytes:
    """The stream `Workbook` of a compound file whose sector table fits into its header."""
    size = 1 << struct.unpack_from("<H", data, 30)[0]
    tables, first = struct.unpack_from("<II", data, 44)

    def sector(place: int) -> bytes:
        return data[(place + 1) * size : (place + 2) * size]

    table = b"".join(sector(n) for n in struct.unpack_from(f"<{tables}I", data, 76))
    following = struct.unpack(f"<{len(table) // 4}I", table)

    def chain(start: int) -> bytes:
        parts = []
        while start < 0xFFFFFFFA:
            parts.append(sector(start))
            start = following[start]
        return b"".join(parts)

    folder = chain(first)
    for at in range(0, len(folder), 128):
        length = struct.unpack_from("<H", folder, at + 64)[0]
        if folder[at : at + max(length - 2, 0)].decode("utf-16-le") == "Workbook":
            start, whole = struct.unpack_from("<II", folder, at + 116)
            return chain(start)[:whole]
    raise ValueError("no stream `Workbook`")


def records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Up to the end of the substream."""
    while True:
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == EOF:
            return


def shared_texts(stream: bytes) -> list[str]:
    """The table of texts. A text may be cut by the end of a record; the next begins with its width anew."""
    parts: list[bytes] = []
    for kind, body in records(stream, 0):
        if kind == SST or (kind == CONTINUE and parts):
            parts.append(body)
        elif parts:
            break
    texts: list[str] = []
    part, at = 0, 8
    for _n in range(struct.unpack_from("<I", parts[0], 4)[0]):
        if at == len(parts[part]):
            part, at = part + 1, 0
        length, options = struct.unpack_from("<HB", parts[part], at)
        at += 3
        runs, extra = 0, 0
        if options & 8:
            runs, at = struct.unpack_from("<H", parts[part], at)[0], at + 2
        if options & 4:
            extra, at = struct.unpack_from("<I", parts[part], at)[0], at + 4
        text = ""
        while True:
            wide = options & 1
            here = parts[part][at : at + (length - len(text)) * (1 + wide)]
            text += here.decode("utf-16-le" if wide else "latin-1")
            at += len(here)
            if len(text) == length:
                break
            part, at, options = part + 1, 1, parts[part + 1][0]
        at += runs * 4 + extra
        texts.append(text)
    return texts


def xls_rows(stream: bytes, at: int, texts: list[str]) -> list[list[str]]:
    cells: dict[int, dict[int, str]] = {}
    for kind, body in records(stream, at):
        if kind not in (LABELSST, NUMBER, RK, MULRK, FORMULA):
            continue
        row, column = struct.unpack_from("<HH", body)
        for i, value in enumerate(xls_values(kind, body, texts)):
            cells.setdefault(row, {})[column + i] = value
    return rows(cells)


def xls_values(kind: int, body: bytes, texts: list[str]) -> list[str]:
    if kind == LABELSST:
        return [texts[struct.unpack_from("<I", body, 6)[0]]]
    if kind in (NUMBER, FORMULA):
        return [number(struct.unpack_from("<d", body, 6)[0])]
    if kind == RK:
        return [number(rk(struct.unpack_from("<I", body, 6)[0]))]
    return [number(rk(struct.unpack_from("<I", body, place)[0])) for place in range(6, len(body) - 2, 6)]


def rk(raw: int) -> float:
    """30 bits: a whole number or the head of a double, perhaps in hundredths."""
    value: float = (
        (raw >> 2) - ((raw >> 31) << 30) if raw & 2 else struct.unpack("<d", struct.pack("<Q", (raw & ~3) << 32))[0]
    )
    return value / 100 if raw & 1 else value

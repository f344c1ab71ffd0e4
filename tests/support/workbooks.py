"""Workbooks cell by cell with the standard library alone: what the hub's reader is held against.

Each gives the sheets by name, each a list of lines with a line's cells from the first column on; blank lines are left out.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path

Cell = str | float
Sheets = dict[str, list[list[Cell]]]

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


def line(cells: dict[int, Cell]) -> list[Cell]:
    """Cells by column as a list."""
    return [cells.get(i, "") for i in range(max(cells, default=-1) + 1)]


# --- XLSX (ECMA-376) --------------------------------------------------------------------------------------------------


def xlsx(path: Path) -> Sheets:
    with zipfile.ZipFile(path) as archive:
        texts = []
        if "xl/sharedStrings.xml" in archive.namelist():
            shared = ET.fromstring(archive.read("xl/sharedStrings.xml"))
            texts = ["".join(t.text or "" for t in item.iter(f"{MAIN}t")) for item in shared]
        related = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        targets = {r.get("Id"): r.get("Target", "") for r in related}
        found = {}
        for sheet in ET.fromstring(archive.read("xl/workbook.xml")).iter(f"{MAIN}sheet"):
            target = targets[sheet.get(RELATION)].removeprefix("/xl/")
            found[sheet.get("name", "")] = _xlsx_sheet(ET.fromstring(archive.read(f"xl/{target}")), texts)
        return found


def _xlsx_sheet(sheet: ET.Element, texts: list[str]) -> list[list[Cell]]:
    found = []
    for row in sheet.iter(f"{MAIN}row"):
        cells: dict[int, Cell] = {}
        for cell in row.iter(f"{MAIN}c"):
            value, kind = cell.findtext(f"{MAIN}v"), cell.get("t", "n")
            if kind == "inlineStr":
                cells[_column(cell.get("r", ""))] = "".join(t.text or "" for t in cell.iter(f"{MAIN}t"))
            elif value is not None:
                cells[_column(cell.get("r", ""))] = (
                    texts[int(value)] if kind == "s" else float(value) if kind == "n" else value
                )
        if any(c != "" for c in cells.values()):
            found.append(line(cells))
    return found


def _column(reference: str) -> int:
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter) - 64
    return number - 1


# --- ODS (ISO/IEC 26300) ----------------------------------------------------------------------------------------------


def ods(path: Path) -> Sheets:
    with zipfile.ZipFile(path) as archive:
        document = ET.fromstring(archive.read("content.xml"))
    return {table.get(f"{TABLE}name", ""): list(_ods_rows(table)) for table in document.iter(f"{TABLE}table")}


def _ods_rows(table: ET.Element) -> Iterator[list[Cell]]:
    for row in table.iter(f"{TABLE}table-row"):
        cells: dict[int, Cell] = {}
        place = 0
        for cell in row:
            if cell.get(f"{OFFICE}value-type"):
                number = cell.get(f"{OFFICE}value")
                text = "\n".join("".join(p.itertext()) for p in cell.iter(f"{TEXT}p"))
                cells[place] = text if number is None else float(number)
            place += int(cell.get(f"{TABLE}number-columns-repeated", "1"))
        if any(c != "" for c in cells.values()):
            yield from [line(cells)] * int(row.get(f"{TABLE}number-rows-repeated", "1"))


# --- XLS (MS-CFB, MS-XLS) ---------------------------------------------------------------------------------------------


def xls(path: Path) -> Sheets:
    stream = workbook_stream(path.read_bytes())
    texts = _shared_texts(stream)
    return {name: _xls_sheet(stream, at, texts) for name, at in _bound_sheets(stream)}


def workbook_stream(data: bytes) -> bytes:
    """The stream `Workbook` of a compound file whose sector table fits into its header."""
    size = 1 << struct.unpack_from("<H", data, 30)[0]
    tables, first = struct.unpack_from("<II", data, 44)

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

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
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == 0x000A:
            return


def _bound_sheets(stream: bytes) -> Iterator[tuple[str, int]]:
    for kind, body in records(stream, 0):
        if kind == 0x0085:
            length, wide = body[6], body[7] & 1
            name = body[8 : 8 + length * (1 + wide)].decode("utf-16-le" if wide else "latin-1")
            yield name, struct.unpack_from("<I", body)[0]


def _shared_texts(stream: bytes) -> list[str]:
    """The workbook's table of texts. A text may be cut by the end of a record; the next one begins with its width anew."""
    parts: list[bytes] = []
    for kind, body in records(stream, 0):
        if kind == 0x00FC or (kind == 0x003C and parts):
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
        behind = 0  # bytes of formats and phonetics behind the text
        if options & 8:
            behind, at = 4 * struct.unpack_from("<H", parts[part], at)[0], at + 2
        if options & 4:
            behind, at = behind + struct.unpack_from("<I", parts[part], at)[0], at + 4
        text = ""
        while True:
            wide = options & 1
            here = parts[part][at : at + (length - len(text)) * (1 + wide)]
            text += here.decode("utf-16-le" if wide else "latin-1")
            at += len(here)
            if len(text) == length:
                break
            part, at, options = part + 1, 1, parts[part + 1][0]
        at += behind
        texts.append(text)
    return texts


def _xls_sheet(stream: bytes, at: int, texts: list[str]) -> list[list[Cell]]:
    rows: dict[int, dict[int, Cell]] = {}
    for kind, body in records(stream, at):
        if kind in (0x00FD, 0x0203, 0x027E, 0x00BD, 0x0006):
            row, column = struct.unpack_from("<HH", body)
            for i, value in enumerate(_xls_values(kind, body, texts)):
                rows.setdefault(row, {})[column + i] = value
        elif kind == 0x0204:
            raise ValueError("a text outside the table of texts")
    return [line(rows[n]) for n in sorted(rows)]


def _xls_values(kind: int, body: bytes, texts: list[str]) -> list[Cell]:
    if kind == 0x00FD:
        return [texts[struct.unpack_from("<I", body, 6)[0]]]
    if kind in (0x0203, 0x0006):
        return [float(struct.unpack_from("<d", body, 6)[0])]
    if kind == 0x027E:
        return [_rk(struct.unpack_from("<I", body, 6)[0])]
    return [_rk(struct.unpack_from("<I", body, at)[0]) for at in range(6, len(body) - 2, 6)]


def _rk(raw: int) -> float:
    """30 bits: a whole number or the head of a double, perhaps in hundredths."""
    value: float = (
        (raw >> 2) - ((raw >> 31) << 30) if raw & 2 else struct.unpack("<d", struct.pack("<Q", (raw & ~3) << 32))[0]
    )
    return value / 100 if raw & 1 else value

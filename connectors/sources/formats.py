"""Which reader a file needs: by its declared format, else by its ending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from connectors.sources.delimited import Delimited, Dialect, Rows
from connectors.sources.ndjson import JsonLines
from connectors.sources.specs import FileFormat, FilesSpec

ENDINGS: Mapping[str, FileFormat] = {
    "tsv": "tsv", "ndjson": "ndjson", "jsonl": "ndjson", "json": "json", "geojson": "geojson", "topojson": "topojson",
    "xml": "xml", "xlsx": "workbook", "xlsm": "workbook", "xls": "workbook", "ods": "workbook",
}  # fmt: skip
TEXTS = ("csv", "tsv", "ndjson")  # read line by line, resumed at a byte
OWN_ENCODING = ("xml", "workbook")  # say themselves how they are encoded


class Reader(Protocol):
    """One file's bytes → columns. `names` is known once the first rows were read."""

    names: list[str]

    @property
    def kept(self) -> list[int]:
        """Places of the columns that are wanted."""

    def resume(self, names: list[str], row: int, consumed: int) -> None:
        """Go on after `row` rows and, of texts, `consumed` bytes."""

    def read(self, parts: Iterator[bytes]) -> Iterator[Rows]:
        """All rows, in order. Raises FileRefused."""


class DocumentReader(Reader, Protocol):
    """Of a file that makes sense only as a whole."""

    def verify(self, parts: Iterator[bytes]) -> None:
        """Raises FileRefused for a document that cannot be read to its end."""


def format_of(spec: FilesSpec, name: str) -> FileFormat:
    """By the setting, else by the ending; `topo.json` is TopoJSON."""
    if spec.format is not None:
        return spec.format
    plain = name.lower().removesuffix(".gz")
    return "topojson" if plain.endswith(".topo.json") else ENDINGS.get(plain.rpartition(".")[2], "csv")


def text_reader(spec: FilesSpec, name: str, encoding: str, wanted: frozenset[str] | None) -> Reader:
    """For CSV, TSV and NDJSON. `encoding` is that of the stream."""
    form = format_of(spec, name)
    if form == "ndjson":
        return JsonLines(encoding, wanted=wanted)
    dialect = Dialect(
        delimiter=b"\t" if form == "tsv" else spec.delimiter.encode(),
        quote=spec.quote.encode(),
        header=spec.header,
        columns=spec.columns,
        nulls=spec.nulls,
        encoding=encoding,
    )
    return Delimited(dialect, name, wanted=wanted)


def document_reader(spec: FilesSpec, name: str, wanted: frozenset[str] | None) -> DocumentReader:
    """For JSON, GeoJSON, TopoJSON, XML and workbooks. Their libraries are imported when one is read."""
    form = format_of(spec, name)
    if form == "workbook":
        from connectors.sources.workbook import Layout, Workbook

        layout = Layout(
            sheet=spec.sheet,
            header=spec.header,
            header_rows=spec.header_rows,
            columns=spec.columns,
            group_column=spec.group_column,
        )
        return Workbook(layout, name, wanted=wanted, nulls=spec.nulls)
    if form == "xml":
        from connectors.sources.elements import XmlElements

        return XmlElements(spec.items or "*/*", name, encoding=spec.encoding, wanted=wanted, nulls=spec.nulls)
    from connectors.sources.items import JsonItems

    assert form in ("json", "geojson", "topojson")
    return JsonItems(form, spec.items, name, wanted=wanted, nulls=spec.nulls)

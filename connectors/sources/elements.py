"""XML documents → rows: the elements at a path. No DTD, no entity, nothing from outside (S4, defusedxml)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from connectors.sources.bytes import as_utf8
from connectors.sources.delimited import MAX_QUOTED, MAX_ROW
from connectors.sources.documents import Document, Feed, Found
from connectors.sources.objects import MAX_DEPTH, Bad, flatten
from hub.errors import FileRefused
from hub.model import ReadFailure

DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
DEEPEST = 200  # levels of a document, records and all
MANY = 100_000  # elements of one record


class XmlElements(Document):
    """`path`: names of elements from the root on, with `/` between them; `*` is any name. Names are without namespace.

    Attributes become columns `@name`, the text of an element with attributes or children `#text`, children their names,
    children of children dotted names, and repeated children JSON arrays."""

    def __init__(
        self,
        path: str,
        where: str,
        *,
        encoding: str | None,
        wanted: frozenset[str] | None,
        nulls: tuple[str, ...],
    ) -> None:
        super().__init__(where, wanted=wanted, nulls=nulls)
        self._path, self._encoding = path.strip("/").split("/"), encoding

    def _find(self, parts: Iterator[bytes]) -> Iterator[Found]:
        feed = Feed(self._as_utf8(parts), self._where)
        parser = DefusedXMLParser(encoding="utf-8", forbid_dtd=True)
        reached = False
        try:
            for element in self._records(iterparse(feed, events=("start", "end"), parser=parser), feed):
                reached = True
                yield _row(element)
        except ParseError as error:
            raise FileRefused("is not well-formed XML", where=self._where) from error
        except DefusedXmlException as error:
            raise FileRefused("has a DTD or entities, which are never read", where=self._where) from error
        if not reached:
            raise FileRefused(f"has no element at `{'/'.join(self._path)}`", where=self._where, remedy="check `items:`")

    def _records(self, events: Iterator[Any], feed: Feed) -> Iterator[Element]:
        """The elements at the path, each taken out of the tree again."""
        stack: list[Element] = []
        record: Element | None = None
        size = 0
        for event, element in events:
            feed.found()
            if event == "start":
                stack.append(element)
                size += 1
                if len(stack) > DEEPEST or size > MANY:
                    raise FileRefused("is nested too deeply, or has a record without end", where=self._where)
                if record is None and self._at_path(stack):
                    record, size = element, 0
                continue
            stack.pop()
            if record is not None and element is record:
                yield record
                record = None
            if record is None:
                size = 0
                if stack:
                    stack[-1].remove(element)

    def _at_path(self, stack: list[Element]) -> bool:
        return len(stack) == len(self._path) and all(
            wanted in ("*", _local(e.tag)) for wanted, e in zip(self._path, stack, strict=True)
        )

    def _as_utf8(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """By what is declared: in the settings, by a byte order mark, or by the document."""
        first = next(parts, b"")
        declared = DECLARED.match(first.removeprefix(codecs.BOM_UTF8))
        encoding = self._encoding or (declared.group(1).decode() if declared else "utf-8")
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif first.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        if encoding.lower() in ("gb2312", "gbk"):
            encoding = "gb18030"  # which holds both
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise FileRefused("declares an encoding that is not known", where=self._where) from None
        return as_utf8(_with(first, parts), encoding, self._where)


def _with(first: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from parts


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _row(element: Element) -> Found:
    try:
        data = _object(element, 0)
        row = flatten(data if isinstance(data, dict) else {"#text": data})
        if sum(len(v) for v in row.values() if v) > MAX_ROW:
            raise Bad("TOO_LARGE")
    except Bad as bad:
        return ReadFailure(row=0, reason=str(bad), raw="".join(element.itertext())[:MAX_QUOTED].encode())
    return row


def _object(element: Element, depth: int) -> Any:
    """Text, or an object of attributes and children."""
    if depth > MAX_DEPTH:
        raise Bad("TOO_DEEP")
    text = (element.text or "").strip()
    if not len(element) and not element.attrib:
        return text
    made: dict[str, Any] = {f"@{_local(n)}": v for n, v in element.attrib.items()}
    if text:
        made["#text"] = text
    for child in element:
        name, value = _local(child.tag), _object(child, depth + 1)
        if name not in made:
            made[name] = value
        elif isinstance(made[name], list):
            made[name].append(value)
        else:
            made[name] = [made[name], value]
    return made

"""What a request says: path parts decoded once, query parameters, and bodies (registry-api §1 and §2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Path, Query, Request

from hub.api.registry.answers import BadRequest
from hub.api.registry.edge import CHARSET
from hub.errors import SchemaInvalid
from hub.registry.browse import Shown
from hub.registry.errors import SchemaNotFound, SubjectInvalid
from hub.registry.model import MAX_INT, NUMBER, Draft, Page, Reference, Wanted, version_of

DEFAULT_CONTEXT = ":.:"
Body = Mapping[str, Any]


def _flag(description: str) -> Any:
    return Query(description=description, json_schema_extra={"type": "boolean"})


def _number(description: str) -> Any:
    return Query(description=description, json_schema_extra={"type": "integer"})


Flag = Annotated[str, _flag("`true` in any case is true, all else false.")]


def true(text: str) -> bool:
    """A boolean of the query string."""
    return text.lower() == "true"


async def subject_of(
    subject: Annotated[
        str, Path(description="A subject, percent-encoded.", examples=["it-mim.education.school.v1-value"])
    ],
) -> str:
    """The subject of the path. Raises SubjectInvalid when it is no UTF-8."""
    try:
        decoded = unquote_to_bytes(subject.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise SubjectInvalid(subject) from None
    return decoded.removeprefix(DEFAULT_CONTEXT)


async def version_in(
    version: Annotated[str, Path(description="1 … 2^31-1, `latest` or -1.", examples=["1", "latest", "-1"])],
) -> int:
    """The version of the path. Raises VersionInvalid."""
    return version_of(version)


async def id_of(id: Annotated[str, Path(description="A schema's id.", examples=["1"])]) -> int:
    """The id of the path: what is no number is no path either."""
    if not NUMBER.fullmatch(id):
        raise BadRequest(404)
    number = int(id)
    if not 1 <= number <= MAX_INT:
        raise SchemaNotFound(id)
    return number


async def page_of(
    offset: Annotated[str, _number("Skip so many.")] = "0",
    limit: Annotated[str, _number("Then so many at most; 0 or less: all.")] = "-1",
) -> Page:
    """Paging of lists."""
    return Page(offset=min(max(_whole(offset, "offset"), 0), MAX_INT), limit=min(_whole(limit, "limit"), MAX_INT))


async def shown_by(deleted: Flag = "", deletedOnly: Flag = "") -> Shown:
    """Which versions a list counts."""
    return Shown(deleted=true(deleted), deleted_only=true(deletedOnly))


async def body_of(request: Request) -> Body:
    """The JSON object of a request. Raises BadRequest."""
    raw = await request.body()
    try:
        found = json.loads(raw.decode(request.scope[CHARSET]))
    except (ValueError, RecursionError):
        raise BadRequest(400, "the body is not JSON in the encoding that Content-Type says") from None
    if not isinstance(found, dict):
        raise BadRequest(400, "the body is not a JSON object")
    return found


SubjectOf = Annotated[str, Depends(subject_of)]
VersionIn = Annotated[int, Depends(version_in)]
IdOf = Annotated[int, Depends(id_of)]
PageOf = Annotated[Page, Depends(page_of)]
ShownBy = Annotated[Shown, Depends(shown_by)]
BodyOf = Annotated[Body, Depends(body_of)]


def draft_of(body: Body, normalise: str) -> Draft:
    """A schema as sent; an empty text when there is none. Raises BadRequest, SchemaInvalid for what is no Avro."""
    kind = optional(body, "schemaType", str)
    if kind not in (None, "AVRO"):
        raise SchemaInvalid(f"this registry knows AVRO alone, not {kind[:40]!r}")
    return Draft(
        text=optional(body, "schema", str) or "",
        references=tuple(_reference(r) for r in optional(body, "references", list) or ()),
        metadata=optional(body, "metadata", dict),
        rule_set=optional(body, "ruleSet", dict),
        normalise=true(normalise),
    )


def wanted_of(body: Body) -> Wanted:
    """The numbers that a registration asks for. Raises SchemaInvalid for those that cannot be."""
    wanted = Wanted(id=optional(body, "id", int), version=optional(body, "version", int))
    for name, number in (("id", wanted.id), ("version", wanted.version)):
        if number is not None and not 1 <= number <= MAX_INT:
            raise SchemaInvalid(f"`{name}` must be between 1 and 2^31-1")
    return wanted


def optional(body: Body, name: str, kind: type) -> Any:
    """A property, or None when it is missing or null. Raises BadRequest when it is of another type."""
    found = body.get(name)
    if found is not None and (not isinstance(found, kind) or (kind is int and isinstance(found, bool))):
        raise BadRequest(400, f"`{name}` is not {WORDS[kind]}")
    return found


WORDS = {str: "a string", int: "a whole number", list: "a list", dict: "an object", bool: "true or false"}


def _reference(data: Any) -> Reference:
    if not isinstance(data, dict):
        raise BadRequest(400, "a reference is not an object")
    name, subject, version = (optional(data, n, k) for n, k in (("name", str), ("subject", str), ("version", int)))
    if name is None or subject is None or version is None:
        raise SchemaInvalid("a reference needs `name`, `subject` and `version`")
    return Reference(name=name, subject=subject.removeprefix(DEFAULT_CONTEXT), version=version)


def _whole(text: str, name: str) -> int:
    if not NUMBER.fullmatch(text):
        raise BadRequest(400, f"`{name}` is not a whole number")
    return int(text)

"""The registry's OpenAPI: schemas of bodies and answers, written down once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hub.api.registry.negotiation import REQUEST_TYPES, TYPES

Schema = dict[str, Any]
FAILURES = (400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 421, 422, 500)
STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}


def listed(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def thing(required: dict[str, Schema], more: dict[str, Schema] | None = None) -> Schema:
    """An object."""
    return {"type": "object", "required": list(required), "properties": {**required, **(more or {})}}


ANY: Schema = {}
REFERENCE = thing({"name": STRING, "subject": STRING, "version": INTEGER})
DETAILS = {"references": listed(REFERENCE), "metadata": {"type": "object"}, "ruleSet": {"type": "object"}}
SCHEMA = thing({"schema": STRING}, {**DETAILS, "maxId": INTEGER, "subject": STRING, "version": INTEGER, "guid": STRING})
VERSION = thing(
    {"subject": STRING, "version": INTEGER, "id": INTEGER, "schema": STRING},
    {**DETAILS, "guid": STRING, "ts": INTEGER, "deleted": BOOLEAN},
)
PLACE = thing({"subject": STRING, "version": INTEGER})
ID = thing({"id": INTEGER})
TEXT: Schema = {
    "type": "string",
    "examples": ['"string"', '{"type":"record","name":"School","fields":[{"name":"id","type":"string"}]}'],
}
DRAFT = thing({}, {"schema": TEXT, "schemaType": {"enum": ["AVRO"]}, **DETAILS, "id": INTEGER, "version": INTEGER})
COMPATIBLE = thing({"is_compatible": BOOLEAN}, {"messages": listed(STRING)})
LEVEL = thing({"compatibilityLevel": STRING}, {"normalize": BOOLEAN})
NEW_LEVEL = thing({}, {"compatibility": {"type": "string", "examples": ["FULL", "NONE"]}, "normalize": BOOLEAN})
MODE = thing({"mode": STRING})
NEW_MODE = thing({}, {"mode": {"type": "string", "examples": ["READWRITE", "IMPORT"]}})
ERROR = thing({"error_code": INTEGER, "message": STRING})


def answers(schema: Schema) -> dict[int | str, dict[str, Any]]:
    """What an endpoint answers: success, and every failure that the edge or the handler may give."""
    found: dict[int | str, dict[str, Any]] = {200: {"description": "Done", "content": _content(schema)}}
    for status in FAILURES:
        found[status] = {"description": HTTPStatus(status).phrase, "content": _content(ERROR)}
    return found


def body(schema: Schema) -> dict[str, Any]:
    """What an endpoint takes."""
    content = {name: {"schema": schema} for name in REQUEST_TYPES if name.endswith("json")}
    return {"requestBody": {"required": True, "content": content}}


def _content(schema: Schema) -> dict[str, Any]:
    return {name: {"schema": schema} for name in TYPES}

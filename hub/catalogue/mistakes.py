"""One mistake of a configuration file, said so that a person can mend it (R35). Pure."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hub.catalogue.yaml import Document
from hub.errors import ConfigurationInvalid

Model = TypeVar("Model", bound=BaseModel)

MESSAGES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must have fields of its own",
    "mapping_type": "must have fields of its own",
    "model_type": "must have fields of its own",
    "model_attributes_type": "must have fields of its own",
    "string_pattern_mismatch": "is not spelled as it must be",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is wrong, where, and what was probably meant."""

    file: str  # relative to the project; or the name of a variable or flag
    line: int  # 1 = first; 0 = the file as a whole
    path: str  # field path, such as `publish.mode`; empty for the file as a whole
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, self.path, self.message] if self.path else [place, self.message]
        return ": ".join(parts) + (f" ({self.suggestion})" if self.suggestion else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is spelled most like this one; empty when none is near."""
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    close = difflib.get_close_matches(name.casefold(), folded, 1, 0.6)
    return folded[close[0]] if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion for a name that is not known, or nothing."""
    found = nearest(name, known)
    return f"did you mean `{found}`?" if found else ""


def dotted(path: Sequence[str | int]) -> str:
    """`("publish", "key", 0)` → `publish.key[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass(frozen=True, kw_only=True)
class Place:
    """A document, or a part of it, that mistakes are said about."""

    file: str
    document: Document
    prefix: tuple[str | int, ...] = ()

    def mistake(self, path: Sequence[str | int], message: str, suggestion: str = "") -> Mistake:
        """A mistake at a field, with its line."""
        whole = (*self.prefix, *path)
        line = self.document.line(".".join(str(part) for part in whole))
        return Mistake(file=self.file, line=line, path=dotted(whole), message=message, suggestion=suggestion)


def of_error(error: ConfigurationInvalid, file: str) -> Mistake:
    """A file that could not be read as YAML. The error's `where` is the file, or the file and a line."""
    line = error.where.rpartition(":")[2]
    return Mistake(
        file=file, line=int(line) if line.isdecimal() else 0, path="", message=error.message, suggestion=error.remedy
    )


def checked(model: type[Model], data: Any, place: Place) -> tuple[Model | None, list[Mistake]]:
    """The value of a model, or every reason why the data is not one. Messages never quote a value (S16)."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        found = []
        for one in error.errors(include_url=False):
            path = tuple(p for p in one["loc"] if p != "[key]")
            found.append(place.mistake(path, *explain(one["type"], one["msg"], model, path, one.get("input"))))
        return None, found


def explain(kind: str, message: str, model: type[BaseModel], path: Sequence[str | int], given: Any) -> tuple[str, str]:
    """Message and suggestion for one of pydantic's errors."""
    if kind == "extra_forbidden":
        return MESSAGES[kind], did_you_mean(str(path[-1]), _names(model, path[:-1]))
    if kind == "literal_error":
        wanted = message.removeprefix("Input should be ").replace(" or ", ", ").split(", ")
        suggestion = did_you_mean(given, [w.strip("'") for w in wanted]) if isinstance(given, str) else ""
        return "must be " + message.removeprefix("Input should be "), suggestion
    if kind == "string_type" and isinstance(given, (int, float)):
        return MESSAGES[kind], "put it in quotes"
    if kind in ("tuple_type", "list_type"):
        return MESSAGES[kind], "write `[one, two]`, also for a single one"
    if kind.startswith("date_"):
        return "must be a date such as 2027-12-31", ""
    if kind in ("value_error", "assertion_error"):
        text = message.partition(", ")[2] or message
        head, _, remedy = text.partition(" | ")
        return head, remedy
    return MESSAGES.get(kind) or message.replace("Input should be", "must be", 1), ""


def _names(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The fields that may stand at a path of a model."""
    at: type[BaseModel] | None = model
    for part in path:
        fields = {} if at is None else {f.alias or name: f for name, f in at.model_fields.items()}
        if isinstance(part, str):
            at = _model_in(fields[part].annotation) if part in fields else None
    return [] if at is None else [f.alias or name for name, f in at.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(a) for a in typing.get_args(annotation))
    return next((m for m in found if m is not None), None)

"""Code lists from files: `schemas/codes/it.istat.csv` with `it.istat.yaml` beside it.

The CSV has a header and the columns `code` and, as wanted, `name`, `aliases` (with `|` between them), `valid_from`,
`valid_to` (the first day on which it no longer holds), `successor`, and `to:<list>` for a cross-walk to another list. A
code with several lives has a row for each, the oldest first. The YAML beside it says `list`, `version`,
`title`, `source`, `licence`. A short list may stand in the YAML alone, as `codes:` with the same names per entry.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, overload

from pydantic import BeforeValidator, Field

from hub.catalogue.declared import unreadable
from hub.catalogue.mistakes import Mistake, Place, checked, did_you_mean, of_error
from hub.catalogue.specs import Spec, Words
from hub.catalogue.yaml import load_yaml
from hub.errors import ConfigurationInvalid
from hub.mapping.codelists import Code, CodeList, CodeLists

FOLDER = "codes"
MAX_BYTES = 64 * 1024 * 1024  # of one CSV file
CROSSWALK = "to:"
COLUMNS = ("code", "name", "aliases", "valid_from", "valid_to", "successor")


Edition = Annotated[str, BeforeValidator(lambda v: v.isoformat() if isinstance(v, date) else v)]


class CodeListSpec(Spec):
    """What a code list's YAML says."""

    list: str = Field(description="Name used in `code(…)`: the file's name.", pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")
    version: Edition = Field(description="Day or number of this edition.", min_length=1, max_length=100)
    title: Words = Field(description="Its title.")
    source: str = Field(description="Who publishes it, and where.", min_length=1, max_length=2000)
    licence: str = Field(description="The licence it is published under.", min_length=1, max_length=300)
    codes: tuple[dict[str, str], ...] | None = Field(None, description="The entries, where there is no CSV file.")


class Unread(Sequence[Code]):
    """The entries of a CSV file that was checked before it was shipped: read when somebody first asks for one.

    Any use raises ConfigurationInvalid when the file is not what was shipped."""

    def __init__(self, path: Path, file: str) -> None:
        self._path, self._file = path, file

    @cached_property
    def _codes(self) -> Sequence[Code]:
        try:
            codes, mistakes = _from_csv(self._path, self._file)
        except OSError as error:
            raise _damaged(self._file) from error
        if mistakes:
            raise _damaged(self._file, mistakes)
        return codes

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Code]:
        return iter(self._codes)

    @overload
    def __getitem__(self, at: int) -> Code: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Code]: ...
    def __getitem__(self, at: int | slice) -> Code | Sequence[Code]:
        return self._codes[at]


def _damaged(file: str, mistakes: Sequence[Mistake] = ()) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        "a code list that came with Datong cannot be read",
        where=file,
        remedy="install Datong again",
        mistakes=tuple(map(str, mistakes)),
    )


def load_codes(
    folders: Sequence[Path], shown: Mapping[Path, str], *, shipped: Collection[Path] = ()
) -> tuple[CodeLists, list[Mistake]]:
    """All lists below the folders' `codes`; a list in an earlier folder hides one of that name in a later one.

    `shown` has the words for each folder in mistakes. Lists with mistakes are left out. CSV files of `shipped` folders are
    read when a mapping uses their list: most do not, and a project starts without them.
    """
    lists: dict[str, CodeList] = {}
    mistakes: list[Mistake] = []
    for folder in folders:
        here: dict[str, CodeList] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            file = f"{shown[folder]}/{FOLDER}/{path.name}"
            one, found = _read(path, file, folder in shipped)
            mistakes += found
            if one is not None:
                here[one.name] = one
        mistakes += _alone(folder, shown[folder])
        lists = here | lists
    return CodeLists(lists=lists), mistakes


def _alone(folder: Path, shown: str) -> Iterator[Mistake]:
    for path in sorted((folder / FOLDER).glob("*.csv")):
        if not path.with_suffix(".yaml").exists():
            yield Mistake(
                file=f"{shown}/{FOLDER}/{path.name}",
                line=0,
                path="",
                message="there is no YAML beside it that says version, title, source and licence",
                suggestion=f"write {path.stem}.yaml",
            )


def _read(path: Path, file: str, shipped: bool) -> tuple[CodeList | None, Sequence[Mistake]]:
    """A project is read several times by one process: a list that did not change is parsed once."""
    try:
        return _parsed(path, file, shipped, _mark(path), _mark(path.with_suffix(".csv")))
    except OSError:  # which is not remembered
        return None, [unreadable(file)]


def _mark(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _parsed(
    path: Path, file: str, shipped: bool, *_marks: tuple[int, int]
) -> tuple[CodeList | None, Sequence[Mistake]]:
    try:
        document = load_yaml(path.read_bytes(), file)
    except ConfigurationInvalid as error:
        return None, [of_error(error, file)]
    place = Place(file=file, document=document)
    spec, mistakes = checked(CodeListSpec, document.data, place)
    if spec is None:
        return None, mistakes
    if spec.list != path.stem:
        mistakes.append(place.mistake(("list",), "is not the file's name", f"`{path.stem}`"))
    csv_path = path.with_suffix(".csv")
    codes: Sequence[Code]
    if spec.codes is not None:
        rows = [(document.line(f"codes.{i}"), row) for i, row in enumerate(spec.codes)]
        codes, found = _codes(rows, file)
    elif csv_path.exists() and shipped:
        codes, found = Unread(csv_path, file.removesuffix("yaml") + "csv"), []
    elif csv_path.exists():
        codes, found = _from_csv(csv_path, file.removesuffix("yaml") + "csv")
    else:
        codes, found = [], [place.mistake((), "has neither `codes` nor a CSV file beside it")]
    mistakes += found
    if mistakes:
        return None, mistakes
    return CodeList(name=spec.list, version=spec.version, codes=codes, title=spec.title.model_dump()), []


def _from_csv(path: Path, file: str) -> tuple[list[Code], list[Mistake]]:
    if path.stat().st_size > MAX_BYTES:
        return [], [Mistake(file=file, line=0, path="", message=f"has more than {MAX_BYTES:,} bytes")]
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), restkey="", strict=True)
        unknown = [n for n in reader.fieldnames or () if n not in COLUMNS and not n.startswith(CROSSWALK)]
        if unknown or "code" not in (reader.fieldnames or ()):
            return [], _header(file, unknown)
        rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        return [], [Mistake(file=file, line=0, path="", message="the file is not UTF-8")]
    except csv.Error:
        return [], [Mistake(file=file, line=reader.line_num, path="", message="this is not CSV")]
    return _codes(rows, file)


def _header(file: str, unknown: Sequence[str]) -> list[Mistake]:
    if not unknown:
        return [Mistake(file=file, line=1, path="code", message="the header has no such column")]
    return [
        Mistake(file=file, line=1, path=n, message="is no column of a code list", suggestion=did_you_mean(n, COLUMNS))
        for n in unknown
    ]


def _codes(rows: Sequence[tuple[int, Mapping[str, Any]]], file: str) -> tuple[list[Code], list[Mistake]]:
    made: list[Code] = []
    known: dict[str, Code] = {}  # the newest entry of each code
    mistakes: list[Mistake] = []
    for line, row in rows:
        wrong = _wrong(row, known)
        if wrong:
            path, message = wrong
            mistakes.append(Mistake(file=file, line=line, path=path, message=message))
            continue
        known[row["code"]] = Code(
            code=row["code"],
            name=row.get("name") or "",
            aliases=tuple(a for a in (row.get("aliases") or "").split("|") if a),
            valid_from=row.get("valid_from") or None,
            valid_to=row.get("valid_to") or None,
            successor=row.get("successor") or None,
            to={other: row[column] for column, other in _crosswalks(tuple(row)) if row[column]},
        )
        made.append(known[row["code"]])
    return made, mistakes


@lru_cache(maxsize=64)
def _crosswalks(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The columns among these that lead to other lists, and to which."""
    return tuple((n, n.removeprefix(CROSSWALK)) for n in names if n.startswith(CROSSWALK))


@lru_cache(maxsize=64)
def _unknown(names: tuple[str, ...]) -> str | None:
    """The first of these that is no column of a code list."""
    return next((n for n in names if n not in COLUMNS and not n.startswith(CROSSWALK)), None)


def _wrong(row: Mapping[str, Any], known: Mapping[str, Code]) -> tuple[str, str] | None:
    """The first thing wrong with an entry: field and message."""
    if set(map(type, row.values())) != {str}:
        return "", "the row has another number of columns than the header"
    unknown = _unknown(tuple(row))
    if unknown is not None:
        return unknown, "is no column of a code list"
    if not row.get("code"):
        return "code", "is missing"
    for name in ("valid_from", "valid_to"):
        if row.get(name) and not _is_date(row[name]):
            return name, "must be a date such as 2027-12-31"
    before = known.get(row["code"])
    if before is not None and not (before.valid_to and before.valid_to <= (row.get("valid_from") or "")):
        return "code", "stands in the list twice for the same days"
    return None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10

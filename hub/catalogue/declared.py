"""One declaration and the place it stands in, so that later checks can name a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hub.catalogue.mistakes import Mistake, Place, checked, of_error
from hub.catalogue.specs import AgencySpec, Spec
from hub.catalogue.yaml import MAX_BYTES, Document, is_text, load_yaml
from hub.errors import ConfigurationInvalid

Of = TypeVar("Of", bound=Spec)
AGENCIES = "agencies.yaml"


@dataclass(frozen=True, kw_only=True)
class Declared(Generic[Of]):
    """A spec that is well-formed by itself."""

    spec: Of
    place: Place

    @property
    def file(self) -> str:
        """The file it stands in."""
        return self.place.file


@dataclass(frozen=True, kw_only=True)
class Folder(Generic[Of]):
    """What a folder of declarations holds."""

    declared: tuple[Declared[Of], ...]
    malformed: tuple[Place, ...]  # files that are YAML but no such declaration
    mistakes: tuple[Mistake, ...]
    claimed: Mapping[str, str]  # name → file, also of files with mistakes: they declare it, if badly


def read_folder(
    project: Path, folder: str, model: type[Of], name_field: str, instead: Mapping[str, bytes] | None = None
) -> Folder[Of]:
    """Every `*.yaml` of a folder, in the order of their names. One bad file leaves the others alone.

    `instead` has texts by file (`connectors.d/a.yaml`) that count as what stands there, whether or not anything does."""
    instead = instead or {}
    declared: list[Declared[Of]] = []
    malformed: list[Place] = []
    mistakes: list[Mistake] = []
    claimed: dict[str, str] = {}
    names = set(_yaml_files(project / folder, folder, mistakes))
    names |= {file.removeprefix(f"{folder}/") for file in instead if file.startswith(f"{folder}/")}
    for name in sorted(names):
        file = f"{folder}/{name}"
        if not is_text(name):
            shown = file.encode(errors="replace").decode()
            mistakes.append(
                Mistake(file=shown, line=0, path="", message="its name is not UTF-8", suggestion="rename it")
            )
            continue
        path = project / file
        document = _parsed(instead[file], file, mistakes) if file in instead else read_document(path, file, mistakes)
        if document is None:
            continue
        place = Place(file=file, document=document)
        given = document.data.get(name_field)
        if isinstance(given, str) and given in claimed:
            mistakes.append(place.mistake((name_field,), f"`{given}` is declared in {claimed[given]} already"))
        elif isinstance(given, str):
            claimed[given] = file
        spec, found = checked(model, document.data, place)
        mistakes += found
        if spec is None:
            malformed.append(place)
        else:
            declared.append(Declared(spec=spec, place=place))
    return Folder(declared=tuple(declared), malformed=tuple(malformed), mistakes=tuple(mistakes), claimed=claimed)


@dataclass(frozen=True, kw_only=True)
class Agencies:
    """What `agencies.yaml` says."""

    declared: Mapping[str, AgencySpec]
    claimed: frozenset[str] | None  # also ids of entries with mistakes; None where the file could not be read at all
    mistakes: tuple[Mistake, ...]


def read_agencies(project: Path) -> Agencies:
    """The agencies of `agencies.yaml`. A bad entry leaves the others alone."""
    mistakes: list[Mistake] = []
    path = project / AGENCIES
    document = read_optional(path, AGENCIES, mistakes)
    if document is None:
        return Agencies(declared={}, claimed=None, mistakes=tuple(mistakes))
    place = Place(file=AGENCIES, document=document)
    mistakes += strangers(place, "agencies")
    entries = document.data.get("agencies", [])
    if not isinstance(entries, list):
        mistakes.append(place.mistake(("agencies",), "must be a list", "of `- {id: …, name: …}`"))
        return Agencies(declared={}, claimed=None, mistakes=tuple(mistakes))
    agencies: dict[str, AgencySpec] = {}
    for one, found in _entries(entries, place):
        mistakes += found
        if one is not None:
            agencies[one.id] = one
    claimed = frozenset(str(e["id"]) for e in entries if isinstance(e, dict) and "id" in e)
    return Agencies(declared=agencies, claimed=claimed, mistakes=tuple(mistakes))


def _entries(entries: list[Any], place: Place) -> Iterator[tuple[AgencySpec | None, list[Mistake]]]:
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        at = Place(file=place.file, document=place.document, prefix=("agencies", i))
        spec, found = checked(AgencySpec, entry, at)
        if spec is None:
            yield None, found
        elif spec.id in seen:
            yield None, [at.mistake(("id",), f"`{spec.id}` stands in the list twice")]
        else:
            seen.add(spec.id)
            yield spec, found


def strangers(place: Place, key: str) -> list[Mistake]:
    """What stands beside the one key of a file whose entries all stand under it."""
    known = f"{key} stand under `{key}:`"
    return [place.mistake((k,), "is not known here", known) for k in place.document.data if k != key]


def read_document(path: Path, file: str, mistakes: list[Mistake]) -> Document | None:
    """A YAML file, or None and a mistake."""
    try:
        with path.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except OSError:
        mistakes.append(unreadable(file))
        return None
    return _parsed(raw, file, mistakes)


def read_optional(path: Path, file: str, mistakes: list[Mistake]) -> Document | None:
    """The same for a file that need not be there: then it is empty. A link that leads nowhere is there."""
    return read_document(path, file, mistakes) if path.exists() or path.is_symlink() else Document({}, {})


def unreadable(file: str, what: str = "file") -> Mistake:
    """What is there and gives nothing: no rights, no target of a link, no disk."""
    return Mistake(
        file=file,
        line=0,
        path="",
        message=f"the {what} cannot be read",
        suggestion="see its rights, and where it leads if it is a link",
    )


def _parsed(raw: bytes, file: str, mistakes: list[Mistake]) -> Document | None:
    try:
        return load_yaml(raw, file)
    except ConfigurationInvalid as error:
        mistakes.append(of_error(error, file))
        return None


def _yaml_files(folder: Path, shown: str, mistakes: list[Mistake]) -> Iterator[str]:
    """Names in a folder, which need not be there; also of links that lead nowhere."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        if folder.exists() or folder.is_symlink():
            mistakes.append(unreadable(shown, "folder"))
        return
    for path in entries:
        if path.suffix in (".yaml", ".yml") and (path.is_file() or not path.exists()):
            yield path.name

"""A small sound project, to be broken by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hub.catalogue.load import Catalogue

FILES = {
    "agencies.yaml": """\
agencies:
  - id: it-mim
    name: {en: Ministry of Education, zh: 教育部}
  - id: it-lom
    name: {en: Lombardy}
""",
    "topics.d/school.yaml": """\
topic: it-mim.education.school.v1
title: {en: Schools, zh: 学校}
partitions: 4
scope: [region]
event_time: opened
freshness: 26h
""",
    "connectors.d/schools.yaml": """\
connector: it-mim-schools
agency: it-mim
source:
  kind: files
  path: data/schools-*.csv
schedule: "0 3 * * *"
publish:
  topic: it-mim.education.school.v1
  schema: education/school.avsc
  key: [school_id]
  mode: snapshot
  where: Grade <> 'X'
  fields:
    school_id: upper(trim(Code))
    region: code(Region, 'test.short', 'test.long')
    pupils: to_int(column('Total pupils'))
    address:
      street: title_case(Street)
  checks:
    plausible: pupils >= 0
""",
    "grants.d/planning.yaml": """\
grant: planning-schools
agency: it-lom
topic: it-mim.education.school.v1
purpose: school building plan 2027
fields: [school_id, region, address.street]
where: region = '03'
until: 2027-12-31
""",
    "schemas/education/school.avsc": """\
{"type": "record", "name": "School", "namespace": "it.test", "fields": [
  {"name": "school_id", "type": "string"},
  {"name": "region", "type": "string"},
  {"name": "pupils", "type": ["null", "int"], "default": null},
  {"name": "opened", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
  {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
    {"name": "street", "type": ["null", "string"], "default": null}]}}
]}
""",
    "schemas/codes/test.short.yaml": """\
list: test.short
version: 2026-06-30
title: {en: Short codes}
source: made for this test
licence: CC0-1.0
""",
    "schemas/codes/test.short.csv": """\
code,name,valid_to,to:test.long
03,Lombardia,,LOMBARDIA
20,Sardegna,2027-01-01,SARDEGNA
""",
}


class FilesKind(BaseModel):
    """A kind of source as `connectors` has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["files"] = Field(description="Always `files`.")
    path: str = Field(description="Glob.")
    header: int = Field(1, description="Line of the header.", ge=0)


class SqlKind(BaseModel):
    """Another kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sql"] = Field(description="Always `sql`.")
    url: str = Field(description="URL.")


KINDS: dict[str, type[BaseModel]] = {"files": FilesKind, "sql": SqlKind}

Edit = Callable[..., Catalogue]


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


@pytest.fixture
def edited(project: Path) -> Edit:
    """`edited(file, old, new)` replaces a text in one file of the sound project and reads the catalogue."""

    def edit(file: str = "", old: str = "", new: str = "", **options: object) -> Catalogue:
        if file:
            path = project / file
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return Catalogue.load(project, KINDS, **options)  # type: ignore[arg-type]

    return edit

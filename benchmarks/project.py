"""An ordinary project around the workload: settings, agencies, one connector, one topic, a schema, three code lists."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.schema import MUNICIPALITY, SCHEMA, SEX, STATUS

FIELDS = """\
    record_id: to_long(RECNO)
    person_id: trim(NAT_ID)
    family_name: upper(trim(SURNAME))
    given_names: nullif(trim(FORENAMES), '')
    birth_date: to_date(DOB, '%Y-%m-%d', '%d/%m/%Y', '%d.%m.%Y')
    sex: code(SEX_CD, 'bench.sex', 'bench.symbol')
    status: code(STATUS_CD, 'bench.status', 'bench.status.name')
    municipality: code(MUNI_CD, 'bench.muni', 'bench.muni.name')
    amount: to_double(AMT)
    household_size: to_int(nullif(HH_SIZE, ''))
    updated_at: to_timestamp(UPD_TS, '%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%SZ', 'UTC')
    address:
      street: trim(STREET)
      postcode: trim(PCODE)
      city: trim(CITY)
      country: nullif(CTRY, '')
    tags: split(TAGS, '|')
    phone: concat('********', substr(nullif(PHONE, ''), 9))
"""
FILES = '{kind: files, path: "data/*.csv", nulls: [], stable_after_s: 0}'
CONNECTOR = """\
connector: {connector}
agency: bench
source: {source}
publish:
  topic: {topic}
  schema: benefit.avsc
  key: [person_id]
  mode: {mode}
  fields:
{fields}  checks:
    eleven_digits: matches(person_id, '^[0-9]{{11}}$')
    amount_in_range: amount >= 0 AND amount < 5300
    household: household_size BETWEEN 0 AND 50
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is written, and under which names: on Kafka each run needs its own."""

    directory: Path
    tag: str = "v1"
    mode: str = "append"
    fields: str = FIELDS
    schema: Mapping[str, object] = field(default_factory=lambda: SCHEMA)
    source: str | None = None  # None: the extract

    @property
    def connector(self) -> str:
        """The connector's name."""
        return f"benefits-{self.tag}"

    @property
    def content(self) -> str:
        """How its records are decoded: see `benchmarks.content`."""
        return "table" if self.source else "extract"

    @property
    def topic(self) -> str:
        """The topic's name."""
        return f"bench.social.benefit.{self.tag}"

    def write(self, extract: Path | None) -> None:
        """All files, with a hard link to the extract, or a copy where there are none. None: the source is no file."""
        for folder in ("connectors.d", "topics.d", "schemas/codes", "data"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        agencies = ("bench: {en: Benchmark, zh: 基准}", "reader: {en: Reader, zh: 读者}")
        lines = "".join(f"  - {{id: {a.replace(': ', ', name: ', 1)}}}\n" for a in agencies)
        self._text("datong.yaml", "http: {port: 8080}\n")
        self._text("agencies.yaml", f"agencies:\n{lines}")
        named = {"connector": self.connector, "topic": self.topic, "mode": self.mode}
        connector = CONNECTOR.format(**named, source=self.source or FILES, fields=self.fields)
        self._text(f"connectors.d/{self.connector}.yaml", connector)
        topic = f"topic: {self.topic}\ntitle: {{en: Benefits, zh: 津贴}}\npartitions: 4\nsharing: conditional\n"
        self._text(f"topics.d/{self.connector}.yaml", topic)
        self._text("schemas/benefit.avsc", json.dumps(self.schema))
        self._codes("bench.sex", "code,to:bench.symbol", SEX)
        self._codes("bench.status", "code,name", STATUS)
        self._codes("bench.muni", "code,name", MUNICIPALITY)
        if extract is not None:
            _link(extract, self.directory / "data/extract.csv")

    def grant(self, fields: list[str], where: str) -> None:
        """Let the agency `reader` have some fields of some records."""
        (self.directory / "grants.d").mkdir(exist_ok=True)
        text = f"grant: some\nagency: reader\ntopic: {self.topic}\npurpose: measuring\nfields: [{', '.join(fields)}]\n"
        self._text("grants.d/some.yaml", f"{text}where: {where}\nuntil: 2099-12-31\n")

    def _codes(self, name: str, header: str, codes: Mapping[str, str]) -> None:
        lines = [header, *[f"{code},{label}" for code, label in codes.items()]]
        self._text(f"schemas/codes/{name}.csv", "\n".join(lines) + "\n")
        about = f'list: {name}\nversion: "1"\ntitle: {{en: {name}, zh: 代码}}\nsource: generated\nlicence: Apache-2.0\n'
        self._text(f"schemas/codes/{name}.yaml", about)

    def _text(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)

"""What `datong init` writes: a project that works at once, with one small file to publish."""

from __future__ import annotations

DATONG_YAML = """\
# Settings of this hub. `datong config show` prints every setting, its value and where it comes from.
http:
  host: 127.0.0.1
  port: 8080
"""

AGENCIES_YAML = """\
# The agencies that publish or subscribe here. The id is the first segment of an agency's topics.
agencies:
  - id: city-library
    name: {en: City library office, zh: 市图书馆办公室}
  - id: city-planning
    name: {en: City planning office, zh: 市规划办公室}
"""

CONNECTOR_YAML = """\
connector: city-library-branches
agency: city-library
source:
  kind: files
  path: "data/branches*.csv"
schedule: every 1h
publish:
  topic: city-library.culture.branch.v1
  schema: culture/branch.avsc
  key: [branch_id]
  mode: snapshot
  fields:
    branch_id: upper(trim(Code))
    name: trim(Name)
    district: trim(District)
    seats: to_int(Seats)
    opened_on: to_date(Opened, '%d/%m/%Y', '%Y-%m-%d')
  checks:
    some_seats: seats > 0
"""

TOPIC_YAML = """\
topic: city-library.culture.branch.v1
title: {en: Library branches, zh: 图书馆分馆}
description: {en: Every branch with its reading seats., zh: 各分馆及其阅览座位数。}
partitions: 1
scope: [district]
freshness: 26h
sharing: conditional
"""

GRANT_YAML = """\
grant: planning-branches
agency: city-planning
topic: city-library.culture.branch.v1
purpose: school and library building plan 2027
fields: [branch_id, district, seats]
where: district = 'North'
until: 2099-12-31
"""

SCHEMA = """\
{
  "type": "record",
  "name": "Branch",
  "namespace": "gov.datong.culture",
  "doc": "A public library branch.",
  "doc_zh": "公共图书馆分馆。",
  "fields": [
    {"name": "branch_id", "type": "string", "doc": "Code of the branch.", "doc_zh": "分馆编码。", "classification": "public"},
    {"name": "name", "type": "string", "doc": "Name.", "doc_zh": "名称。", "classification": "public"},
    {"name": "district", "type": "string", "doc": "District of the city.", "doc_zh": "所在区。", "classification": "public"},
    {"name": "seats", "type": "int", "unit": "seats", "doc": "Reading seats.", "doc_zh": "阅览座位数。",
     "classification": "public"},
    {"name": "opened_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null,
     "doc": "Day of opening.", "doc_zh": "启用日期。", "classification": "public"}
  ]
}
"""

DATA_CSV = """\
Code,Name,District,Seats,Opened
b-001,Central Library,North,240,12/05/1931
b-002,Harbour Branch,South,65,1999-03-01
b-003,Old Mill Reading Room,North,18,
b-004,Station Kiosk,South,none,04/11/2018
"""

GITIGNORE = """\
var/
secrets.d/
*.token
"""

FILES = {
    "datong.yaml": DATONG_YAML,
    "agencies.yaml": AGENCIES_YAML,
    "connectors.d/city-library-branches.yaml": CONNECTOR_YAML,
    "topics.d/branch.yaml": TOPIC_YAML,
    "grants.d/planning.yaml": GRANT_YAML,
    "schemas/culture/branch.avsc": SCHEMA,
    "data/branches.csv": DATA_CSV,
    ".gitignore": GITIGNORE,
}

"""The catalogue finds every mistake at once, each with its line, and keeps what is sound."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hub.access.decide import Refusal, Request, decide
from hub.catalogue.load import Catalogue
from hub.errors import NotFound, SourceUnavailable

CONNECTOR, TOPIC, GRANT = "connectors.d/schools.yaml", "topics.d/school.yaml", "grants.d/planning.yaml"
NAME = "it-mim.education.school.v1"
COLUMNS = pa.schema([(n, pa.string()) for n in ("Code", "Region", "Total pupils", "Street", "Grade")])

BROKEN = """\
connector: it-mim-schools
agency: it-mmi
descripton: a typing error
source:
  kind: files
  pth: data/schools-*.csv
  header: -1
schedule: "every day"
publish:
  topic: it-mim.education.shool.v1
  schema: education/shcool.avsc
  key: school_id
  mode: snapshots
  optional: [A, A]
  fields:
    school_id: 5
    address:
      street: title_case(Street)
  checks: []
"""

MISFIT = """\
connector: it-mim-schools
agency: it-lom
source:
  kind: file
  path: data/schools-*.csv
publish:
  topic: it-mim.education.shool.v1
  schema: education/school.avsc
  key: [scool_id, pupils]
  mode: snapshot
  where: Grde <> 'X'
  fields:
    school_id: uper(Code)
    pupils: to_int(
    adress.street: Street
    opened: Region
  checks:
    plausible: pupil >= 0
"""


def found(catalogue: Catalogue, file: str = CONNECTOR) -> dict[tuple[int, str], str]:
    return {(m.line, m.path): f"{m.message} ({m.suggestion})" for m in catalogue.mistakes if m.file == file}


def one(catalogue: Catalogue, file: str, line: int, path: str) -> str:
    mistakes = found(catalogue, file)
    assert list(mistakes) == [(line, path)], [str(m) for m in catalogue.mistakes]
    return mistakes[line, path]


def test_a_sound_project_has_no_mistakes(edited: Any) -> None:
    catalogue = edited(discover=lambda _c: COLUMNS)
    assert [str(m) for m in catalogue.mistakes] == []
    connector = catalogue.connectors["it-mim-schools"]
    assert connector.source.path == "data/schools-*.csv"
    assert connector.kind == "files"
    assert connector.publish.mapping.fields["address.street"] == "title_case(Street)"
    assert connector.timing.kind == "cron"
    assert catalogue.topics[NAME].freshness == timedelta(hours=26)
    assert catalogue.grants["planning-schools"].until == date(2027, 12, 31)
    assert set(catalogue.agencies) == {"it-mim", "it-lom"}
    assert catalogue.codes.versions == {"test.short": "2026-06-30"}
    assert '"School"' in catalogue.schema_text("education/school.avsc")
    assert catalogue.publisher(NAME) == connector


def test_S5_every_form_mistake_of_one_file_at_once_with_its_line(edited: Any, project: Path) -> None:
    (project / CONNECTOR).write_text(BROKEN)
    mistakes = found(edited())
    assert set(mistakes) == {
        (2, "agency"),
        (3, "descripton"),
        (4, "source.path"),
        (6, "source.pth"),
        (7, "source.header"),
        (10, "publish.topic"),
        (11, "publish.schema"),
        (8, "schedule"),
        (12, "publish.key"),
        (13, "publish.mode"),
        (14, "publish.optional"),
        (15, "publish.fields.region"),  # which the schema that was meant requires
        (16, "publish.fields.school_id"),
        (19, "publish.checks"),
    }
    assert "`it-mim`" in mistakes[2, "agency"]
    assert "`education/school.avsc`" in mistakes[11, "publish.schema"]
    assert "`path`" in mistakes[6, "source.pth"]
    assert "`description`" in mistakes[3, "descripton"]
    assert "`snapshot`" in mistakes[13, "publish.mode"]
    assert "quotes" in mistakes[16, "publish.fields.school_id"]


def test_R13_every_misfit_of_one_file_at_once_with_its_line(edited: Any, project: Path) -> None:
    (project / CONNECTOR).write_text(MISFIT)
    mistakes = found(edited(discover=lambda _c: COLUMNS))
    assert set(mistakes) == {
        (4, "source.kind"),
        (7, "publish.topic"),
        (9, "publish.key[0]"),
        (9, "publish.key[1]"),
        (12, "publish.fields.region"),
        (13, "publish.fields.school_id"),
        (14, "publish.fields.pupils"),
        (15, "publish.fields.adress.street"),
        (18, "publish.checks.plausible"),
    }  # the types of an unsound source's columns are not known yet
    assert "`files`" in mistakes[4, "source.kind"]
    assert "`school_id`" in mistakes[9, "publish.key[0]"]
    assert "null" in mistakes[9, "publish.key[1]"]
    assert "`address.street`" in mistakes[15, "publish.fields.adress.street"]


def test_form_and_mapping_mistakes_of_one_file_show_together(edited: Any, project: Path) -> None:
    text = MISFIT.replace("kind: file\n", "kind: files\n").replace("agency: it-lom", "agency: 5\nextra: x")
    (project / CONNECTOR).write_text(text)
    mistakes = found(edited(discover=lambda _c: COLUMNS))
    assert {(2, "agency"), (3, "extra"), (8, "publish.topic"), (14, "publish.fields.school_id")} <= set(mistakes)
    assert "R9" not in str(mistakes)


def test_form_and_field_mistakes_of_a_grant_show_together(edited: Any) -> None:
    catalogue = edited(GRANT, "fields: [school_id, region, address.street]", "feilds: [x]\nfields: [region, nme]")
    assert {p for _, p in found(catalogue, GRANT)} == {"feilds", "fields", "fields[1]"}


def test_a_missing_schema_hides_no_mistake_of_the_expressions(edited: Any, project: Path) -> None:
    path = project / CONNECTOR
    path.write_text(path.read_text().replace("upper(trim(Code))", "uper(Code)").replace("Grade <> 'X'", "Grade <>"))
    path.write_text(path.read_text().replace("education/school.avsc", "health/clinic.avsc"))
    mistakes = found(edited(discover=lambda _c: COLUMNS))
    assert {p for _, p in mistakes} == {"publish.schema", "publish.where", "publish.fields.school_id"}
    assert "`upper`" in mistakes[14, "publish.fields.school_id"]


def test_a_kind_that_was_meant_shows_the_mistakes_of_its_settings(edited: Any) -> None:
    mistakes = found(edited(CONNECTOR, "kind: files\n  path:", "kind: file\n  pth:"))
    assert "`path`" in mistakes[5, "source.pth"]
    assert set(mistakes) == {(4, "source.kind"), (3, "source.path"), (5, "source.pth")}


@pytest.mark.parametrize(
    ("text", "line"), [("agencies: {it-mim: {name: x}}\n", 1), ("agencies: [\n", 2), ("- it-mim\n", 1)]
)
def test_agencies_that_nobody_can_read_are_the_only_mistake(edited: Any, project: Path, text: str, line: int) -> None:
    (project / "agencies.yaml").write_text(text)
    assert [(m.file, m.line) for m in edited().mistakes] == [("agencies.yaml", line)]


UNREAD = (
    "agencies.yaml", "bindings.yaml", "topics.d/school.yaml", "connectors.d/schools.yaml", "grants.d/one.yaml",
    "subscriptions.d/one.yml", "maps.d/one.yaml", "alerts.d/one.yaml", "schemas/codes/it.one.yaml", "grants.d",
)  # fmt: skip


@pytest.mark.parametrize("file", UNREAD)
def test_R35_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read_wherever_it_stands(
    edited: Any, project: Path, file: str
) -> None:
    path = project / file
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(project / "gone")
    (mistake,) = (m for m in edited().mistakes if m.file == file)
    assert "cannot be read" in mistake.message
    assert "link" in mistake.suggestion
    path.unlink()
    assert file not in {m.file for m in edited().mistakes}, "what is not there at all is no mistake of its own"


def test_an_agency_with_a_mistake_is_declared_all_the_same(edited: Any) -> None:
    assert {m.file for m in edited("agencies.yaml", "name: {en: Lombardy}", "nam: {en: Lombardy}").mistakes} == {
        "agencies.yaml"
    }


def test_R9_topic_and_agency_mistakes_both_show(edited: Any, project: Path) -> None:
    (project / CONNECTOR).write_text(MISFIT.replace("kind: file\n", "kind: files\n"))
    catalogue = edited(discover=lambda _c: COLUMNS)
    said = [m.message for m in catalogue.mistakes if m.path == "publish.topic"]
    assert len(said) == 2
    assert any("R9" in m for m in said)
    assert (11, "publish.where") in found(catalogue)  # a column that the source does not have
    assert (16, "publish.fields.opened") in found(catalogue)  # text is not a date


def test_R9_a_topic_begins_with_its_agency(edited: Any) -> None:
    said = one(edited(CONNECTOR, "agency: it-mim", "agency: it-lom"), CONNECTOR, 8, "publish.topic")
    assert "R9" in said
    assert "`it-lom.education.school.v1`" in said


def test_R9_the_agency_of_a_topic_is_declared(edited: Any) -> None:
    catalogue = edited("agencies.yaml", "id: it-mim", "id: it-mimm")
    assert "`it-mimm`" in found(catalogue)[2, "agency"]
    assert (1, "topic") in found(catalogue, TOPIC)


def test_an_undeclared_topic_names_the_nearest_and_the_file_to_write(edited: Any, project: Path) -> None:
    assert f"`{NAME}`" in one(edited(CONNECTOR, "school.v1", "shool.v1"), CONNECTOR, 8, "publish.topic")
    (project / TOPIC).unlink()
    (project / GRANT).unlink()
    assert "topics.d/shool.yaml" in one(edited(), CONNECTOR, 8, "publish.topic")


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "said"),
    [
        ("education/school.avsc", "education/shool.avsc", 9, "publish.schema", "`education/school.avsc`"),
        ("education/school.avsc", "../school.avsc", 9, "publish.schema", "below `schemas/`"),
        ("key: [school_id]", "key: []", 10, "publish.key", "needs a key"),
        ("key: [school_id]", "key: [address]", 10, "publish.key[0]", "no plain field"),
        ("    region: code", "    # region: code", 13, "publish.fields.region", "requires this field"),
        ("'test.long'", "'test.lon'", 15, "publish.fields.region", "cross-walk"),
        ("kind: files", "kind: sqlite", 4, "source.kind", "sql"),
        ("path: data", "header: -1\n  path: data", 5, "source.header", "greater"),
        ('"0 3 * * *"', '"0 3 * *"', 6, "schedule", "every 15m"),
        ("  checks:", "  checks: {x: 1}\n  cheks:", 19, "publish.checks.x", "quotes"),
    ],
)
def test_one_mistake_of_a_connector(edited: Any, old: str, new: str, line: int, path: str, said: str) -> None:
    mistakes = found(edited(CONNECTOR, old, new))
    assert said in mistakes[line, path], mistakes


def test_R13_columns_are_checked_where_they_are_known(edited: Any) -> None:
    few = pa.schema([(n, pa.string()) for n in ("Cod", "Region", "Total pupils", "Street", "Grade")])
    said = one(edited(discover=lambda _c: few), CONNECTOR, 14, "publish.fields.school_id")
    assert "`Cod`" in said
    said = found(
        edited(CONNECTOR, "to_int(column('Total pupils'))", "column('Total pupils')", discover=lambda _c: COLUMNS)
    )
    assert "to_int" in said[16, "publish.fields.pupils"]


def test_a_source_that_cannot_be_seen_is_said_and_the_rest_still_checked(edited: Any) -> None:
    def discover(_connector: object) -> pa.Schema:
        raise SourceUnavailable("no file matches", remedy="look at source.path")

    said = found(edited(CONNECTOR, "upper(trim(Code))", "uper(Code)", discover=discover))
    assert set(said) == {(3, "source"), (14, "publish.fields.school_id")}


def test_a_broken_file_leaves_the_others_alone(edited: Any, project: Path) -> None:
    (project / "connectors.d/a.yaml").write_text("connector: [\n")
    (project / "connectors.d/z.yaml").write_text(BROKEN)
    (project / "grants.d/a.yaml").write_text("grant: x\n")
    (project / "topics.d/a.yaml").write_text("topic: NO\n")
    catalogue = edited()
    assert set(catalogue.connectors) == {"it-mim-schools"}
    assert set(catalogue.grants) == {"planning-schools"}
    assert {m.file for m in catalogue.mistakes} == {f"{d}.d/a.yaml" for d in ("connectors", "grants", "topics")} | {
        "connectors.d/z.yaml"
    }


def test_two_connectors_of_one_topic_agree(edited: Any, project: Path) -> None:
    other = (
        (project / CONNECTOR)
        .read_text()
        .replace("it-mim-schools", "it-mim-more")
        .replace("mode: snapshot", "mode: upsert")
    )
    (project / "connectors.d/more.yaml").write_text(other)
    catalogue = edited()
    assert "with another mode" in one(catalogue, CONNECTOR, 11, "publish.mode")
    assert set(catalogue.connectors) == {"it-mim-more"}


def test_a_sound_connector_wins_over_a_broken_one_of_its_topic(edited: Any, project: Path) -> None:
    other = (
        (project / CONNECTOR)
        .read_text()
        .replace("it-mim-schools", "it-mim-a")
        .replace("mode: snapshot", "mode: append")
    )
    (project / "connectors.d/a.yaml").write_text(other.replace("upper(", "uper("))
    assert set(edited().connectors) == {"it-mim-schools"}


def test_a_name_is_declared_once(edited: Any, project: Path) -> None:
    (project / "topics.d/twice.yaml").write_text((project / TOPIC).read_text())
    catalogue = edited()
    assert "topics.d/school.yaml" in one(catalogue, "topics.d/twice.yaml", 1, "topic")
    assert set(catalogue.topics) == {NAME}


def test_R19_scope_belongs_to_keyed_topics_and_to_the_schema(edited: Any) -> None:
    assert "`region`" in one(edited(TOPIC, "[region]", "[regoin]"), TOPIC, 4, "scope[0]")


def test_R19_an_append_topic_has_no_scope(edited: Any) -> None:
    catalogue = edited(CONNECTOR, "mode: snapshot", "mode: append")
    assert "R19" in one(catalogue, TOPIC, 4, "scope")
    assert catalogue.topics == {}
    assert catalogue.connectors == {}
    assert catalogue.grants == {}


def test_R8_keyed_topics_have_no_retention(edited: Any) -> None:
    assert "R8" in one(edited(TOPIC, "freshness: 26h", "retention: {age: 7d}"), TOPIC, 6, "retention")


def test_R7_event_time_is_a_time(edited: Any) -> None:
    assert "opened" in one(edited(TOPIC, "event_time: opened", "event_time: region"), TOPIC, 5, "event_time")


def test_R27_a_grant_on_a_keyed_topic_has_its_key(edited: Any) -> None:
    assert "R27" in one(edited(GRANT, "[school_id, region,", "[region,"), GRANT, 5, "fields")


@pytest.mark.parametrize("where", ["pupils > 5", "region = '03' AND address.street = 'x'"])
def test_R19_row_filters_of_keyed_topics_use_the_scope(edited: Any, where: str) -> None:
    assert "R19" in one(edited(GRANT, "region = '03'", where), GRANT, 6, "where")


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "said"),
    [
        ("agency: it-lom", "agency: it-lmo", 2, "agency", "`it-lom`"),
        ("school.v1", "schol.v1", 3, "topic", f"`{NAME}`"),
        ("address.street", "address.stret", 5, "fields[2]", "`address.street`"),
        ("region = '03'", "regio = '03'", 6, "where", "`region`"),
        ("region = '03'", "region", 6, "where", "condition"),
        ("2027-12-31", "soon", 7, "until", "2027-12-31"),
        ("purpose: school building plan 2027", "purpose: ''", 4, "purpose", "empty"),
    ],
)
def test_one_mistake_of_a_grant(edited: Any, old: str, new: str, line: int, path: str, said: str) -> None:
    catalogue = edited(GRANT, old, new)
    assert said in one(catalogue, GRANT, line, path)
    assert catalogue.grants == {}
    assert catalogue.access_grants == ()


def test_a_topic_that_is_not_shared_has_no_grants(edited: Any) -> None:
    assert "not shared" in one(edited(TOPIC, "freshness: 26h", "sharing: not shared"), GRANT, 3, "topic")


def test_a_grant_that_ended_is_a_warning_only(edited: Any) -> None:
    catalogue = edited(today=date(2028, 1, 1))
    assert [(w.file, w.line, w.path) for w in catalogue.warnings] == [(GRANT, 7, "until")]
    assert catalogue.mistakes == ()
    assert set(catalogue.grants) == {"planning-schools"}
    assert edited(today=date(2027, 12, 31)).warnings == ()


def test_G12_grants_and_contract_are_what_access_decides_by(edited: Any) -> None:
    catalogue = edited()
    record = catalogue.schemas["education/school.avsc"].record
    contract = catalogue.contract(NAME, record)
    assert contract is not None
    assert (contract.key, contract.scope) == (("school_id",), ("region",))
    assert catalogue.access_grants[0].filter_fields == ("region",)
    request = Request(agency="it-lom", topic=NAME)
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert not isinstance(decide(request, catalogue.access_grants, contract, now), Refusal)


def test_G12_without_a_sound_publisher_nothing_is_delivered(edited: Any) -> None:
    record = edited().schemas["education/school.avsc"].record
    catalogue = edited(CONNECTOR, "upper(", "uper(")
    assert NAME in catalogue.topics
    assert catalogue.contract(NAME, record) is None
    with pytest.raises(NotFound):
        catalogue.schema_text("education/school.avsc")


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/d", "postgresql://:hunter2@h/d"])
def test_S16_a_password_in_a_file_is_a_mistake_and_is_not_quoted(edited: Any, url: str) -> None:
    catalogue = edited(CONNECTOR, "kind: files\n  path: data/schools-*.csv", f"kind: sql\n  url: {url}")
    assert "${secret:NAME}" in one(catalogue, CONNECTOR, 5, "source.url")
    assert "hunter2" not in repr(catalogue.mistakes)


def test_S16_mistakes_never_quote_the_values_of_a_source(edited: Any) -> None:
    catalogue = edited(CONNECTOR, "path: data/schools-*.csv", "path: [canary-1]\n  header: canary-2\n  extra: canary-3")
    assert len(found(catalogue)) == 3
    assert "canary" not in repr(catalogue.mistakes)


def test_S16_a_reference_is_no_password(edited: Any) -> None:
    url = "postgresql://u:${secret:DB}@h/d"
    catalogue = edited(CONNECTOR, "kind: files\n  path: data/schools-*.csv", f'kind: sql\n  url: "{url}"')
    assert catalogue.mistakes == ()
    assert catalogue.connectors["it-mim-schools"].kind == "sql"


def test_an_empty_project_is_sound(tmp_path: Path) -> None:
    catalogue = Catalogue.load(tmp_path, {})
    assert (catalogue.mistakes, dict(catalogue.connectors)) == ((), {})


def test_R9_append_topics_keep_their_retention(edited: Any, project: Path) -> None:
    topic = (project / TOPIC).read_text().replace("scope: [region]\n", "retention: {age: 7d, bytes: 1073741824}\n")
    (project / TOPIC).write_text(topic)
    (project / GRANT).unlink()
    spec = edited(CONNECTOR, "mode: snapshot", "mode: append").topics[NAME]
    made = spec.to_log_topic(compacted=False)
    assert (made.partitions, made.retention_ms, made.retention_bytes) == (4, 7 * 86_400_000, 1 << 30)
    assert spec.to_log_topic(compacted=True).retention_ms is None

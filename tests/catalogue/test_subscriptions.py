"""Subscriptions that are pushed: every mistake with its line, and what stays declared in spite of one (R35, S16, G11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors import sink_specs
from hub.catalogue.load import Catalogue
from tests.catalogue.conftest import KINDS, write

FILE = "subscriptions.d/table.yaml"
SOUND = """\
subscription: table
grant: {grant}
sink:
  kind: table
  url: sqlite:///out.db
  table: schools
"""


def load(project: Path, text: str, **more: str) -> Catalogue:
    write(project, {FILE: text, **more})
    return Catalogue.load(project, KINDS, sinks=sink_specs())


@pytest.fixture
def grant(project: Path) -> str:
    (name,) = Catalogue.load(project, KINDS).grants
    return name


def said(catalogue: Catalogue) -> list[str]:
    return [str(m) for m in catalogue.mistakes if m.file.startswith("subscriptions.d/")]


def test_a_sound_one_has_its_sinks_own_value(project: Path, grant: str) -> None:
    catalogue = load(project, SOUND.format(grant=grant))
    assert said(catalogue) == []
    spec = catalogue.subscriptions["table"]
    assert (spec.kind, spec.sink.table, spec.reads_as, spec.paused) == ("table", "schools", "table", False)


def test_R35_every_mistake_of_a_file_is_told_at_once_with_its_line(project: Path) -> None:
    text = """\
subscription: Table
agency: it-lom
grop: x
paused: perhaps
sink:
  kind: tabel
  url: postgresql://me:canary-77@db/x
  table: "a; b"
"""
    catalogue = load(project, text)
    found = said(catalogue)
    assert [m.split(": ")[:2] for m in found] == [
        [f"{FILE}:1", "subscription"],
        [f"{FILE}:3", "grop"],
        [f"{FILE}:4", "paused"],
        [f"{FILE}:6", "sink.kind"],
        [f"{FILE}:7", "sink.url"],
        [f"{FILE}:8", "sink.table"],
    ]
    assert "did you mean `group`?" in found[1]
    assert "did you mean `table`?" in found[3]
    assert "canary" not in " ".join(found)
    assert catalogue.subscriptions == {}


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("grant: {grant}\n", "", f"{FILE}:1: subscription", "give `grant`, or `agency` and `topic`"),
        ("grant: {grant}", "grant: {grant}\nagency: it-lom", f"{FILE}:3: agency", "stands in the grant already"),
        ("sink:\n  kind: table\n", "sink:\n", f"{FILE}:3: sink.kind", "known: file, table, webhook"),
        ("  table: schools\n", "", f"{FILE}:3: sink.table", "is missing"),
    ],
)
def test_R35_a_mistake_leaves_the_file_out(
    project: Path, grant: str, old: str, new: str, where: str, message: str
) -> None:
    assert old in SOUND
    catalogue = load(project, SOUND.replace(old, new).format(grant=grant))
    (mistake,) = said(catalogue)
    assert mistake.startswith(where)
    assert message in mistake
    assert catalogue.subscriptions == {}


def test_G11_one_without_a_grant_is_a_mistake_and_stays_to_be_refused(project: Path, grant: str) -> None:
    catalogue = load(project, SOUND.format(grant=grant[:-1]))
    (mistake,) = said(catalogue)
    assert mistake.startswith(f"{FILE}:2: grant: ")
    assert f"did you mean `{grant}`?" in mistake
    assert set(catalogue.subscriptions) == {"table"}


def test_agency_and_topic_name_one_grant(project: Path, grant: str) -> None:
    declared = Catalogue.load(project, KINDS).grants[grant]
    pair = SOUND.replace("grant: {grant}", f"agency: {declared.agency}\ntopic: {declared.topic}")
    assert said(load(project, pair)) == []
    other = SOUND.replace("grant: {grant}", f"agency: {declared.agency}\ntopic: it-mim.education.other.v1")
    (mistake,) = said(load(project, other))
    assert mistake.startswith(f"{FILE}:3: topic: no grant lets {declared.agency} read it")
    first = next((project / "grants.d").iterdir()).read_text(encoding="utf-8")
    (mistake,) = said(load(project, pair, **{"grants.d/two.yaml": first.replace(grant, "second")}))
    assert "several grants fit" in mistake


def test_a_name_that_is_taken(project: Path, grant: str) -> None:
    text = SOUND.format(grant=grant)
    (mistake,) = said(load(project, text, **{"subscriptions.d/z.yaml": text}))
    assert mistake.startswith(
        "subscriptions.d/z.yaml:1: subscription: `table` is declared in subscriptions.d/table.yaml"
    )

"""`datong schemas …` as an operator types it, against a registry that runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.services import kafka as kafka_service
from hub.cli.main import run
from tests.registry.calls import f, rec, text
from tests.registry.process import Node, running
from tests.registry.test_import import topic_records
from tests.support.kafka import kafka_cluster

__all__ = ["kafka_cluster"]
ONE, TWO = rec(f("id", "string"), name="School"), rec(f("id", "string"), f("n", "int", default=0), name="School")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("cli") / "project") as made:
        yield made


class Shell:
    def __init__(self, node: Node, capsys: pytest.CaptureFixture[str]) -> None:
        self._node, self._capsys = node, capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What `datong schemas` prints."""
        self._capsys.readouterr()
        found = run(["schemas", *arguments, "--project", str(self._node.directory)])
        said = self._capsys.readouterr()
        self.err = said.err
        assert found == code, said
        return said.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def schemas(node: Node, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(node, capsys)


def file_of(tmp_path: Path, schema: Any) -> str:
    path = tmp_path / f"{uuid.uuid4().hex}.avsc"
    path.write_text(text(schema), encoding="utf-8")
    return str(path)


def test_register_list_show_diff(schemas: Shell, tmp_path: Path) -> None:
    subject = f"it-mim.{uuid.uuid4().hex[:6]}/é-value"
    first = schemas.json("register", subject, file_of(tmp_path, ONE))
    assert schemas.json("register", subject, file_of(tmp_path, ONE)) == first
    assert "version 2 is schema" in schemas("register", subject, file_of(tmp_path, TWO))
    (listed,) = schemas.json("list", "--prefix", subject)["schemas"]
    assert listed == {"subject": subject, "version": 2, "id": first["id"] + 1, "level": "BACKWARD"}
    assert subject in schemas("list")
    shown = schemas.json("show", subject, "1")
    assert (shown["schema"], shown["versions"], shown["uses"]["connectors"]) == (ONE, [1, 2], [])
    assert '"name": "School"' in schemas("show", subject)
    said = schemas("diff", subject)
    assert f"{subject}: from version 1 to version 2" in said
    assert "n: is new (int); records written before have 0 there" in said
    assert "breaks no subscription" in said
    assert "nothing changes" in schemas("diff", subject, "1", "1")
    assert schemas.json("diff", subject, "2", "1")["changes"][0]["kind"] == "REMOVED"


def test_check_says_yes_or_why_not(schemas: Shell, tmp_path: Path) -> None:
    subject = f"it-mim.{uuid.uuid4().hex[:6]}-value"
    schemas("register", subject, file_of(tmp_path, ONE))
    assert f"compatible with {subject} at level BACKWARD" in schemas("check", subject, file_of(tmp_path, TWO))
    bad = file_of(tmp_path, rec(f("id", "string"), f("pupils"), name="School"))
    said = schemas("check", subject, bad, code=3)
    assert f"not compatible with {subject}" in said
    assert "pupils: the new schema needs this field, version 1 does not write it, and it has no default" in said
    assert schemas.json("check", subject, bad, code=3)["compatible"] is False
    schemas("register", subject, bad, code=3)
    assert "incompatible with an earlier schema" in schemas.err
    schemas("check", subject, file_of(tmp_path, "{"), code=3)
    assert "Invalid schema" in schemas.err


def test_references_on_the_command_line(schemas: Shell, tmp_path: Path) -> None:
    address = rec(f("street", "string"), name="Address", namespace="edu")
    person = file_of(tmp_path, rec(f("home", "edu.Address"), name="Person"))
    schemas("register", "cli-address", file_of(tmp_path, address))
    schemas("register", "cli-person", person, "--reference", "edu.Address=cli-address:1")
    assert "edu.Address: cli-address 1" in schemas("show", "cli-person")
    schemas("register", "cli-person", person, "-r", "nonsense", code=3)
    assert "no reference" in schemas.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["show", "none"], 1), (["diff", "none"], 1), (["import", "no-file"], 1), (["show", "s", "x"], 3)],
)
def test_errors_have_their_exit_code(schemas: Shell, arguments: list[str], code: int) -> None:
    schemas(*arguments, code=code)
    assert "error:" in schemas.err


def test_export_and_import_between_two_registries(
    schemas: Shell, node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schemas("register", f"x.{uuid.uuid4().hex[:6]}", file_of(tmp_path, ONE))
    target = tmp_path / "all.jsonl"
    schemas("export", str(target))
    lines = target.read_text(encoding="utf-8").splitlines()
    assert schemas("export", "-").splitlines() == lines
    with running(tmp_path / "second") as second:
        there = Shell(second, capsys)
        assert there.json("import", str(target))["new"] > 0
        assert there("export", "-").splitlines() == lines
    with running(tmp_path / "third") as third:
        there = Shell(third, capsys)
        assert there.json("import", node.url, "--user", f"operator:{node.token}")["refused"] == []
        assert there("export", "-").splitlines() == lines
        there("import", node.url, "--user", "operator:wrong", code=4)
    schemas("import", node.url, "--user", f"operator:{node.token}")  # from itself: all is there
    dead = "http://127.0.0.1:1"
    schemas("import", dead, code=5)
    assert "does not answer" in schemas.err


def test_import_from_a_schemas_topic(
    kafka_cluster: kafka_service.Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, bootstrap = f"_schemas{uuid.uuid4().hex[:6]}", kafka_cluster.nodes[0].address
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, value in topic_records():
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0
    with running(tmp_path / "project") as node:
        there = Shell(node, capsys)
        found = there.json("import", f"kafka://{bootstrap}/{topic}")
        assert (found["new"], found["refused"]) == (7, [])
        assert found["left_out"] == ["proto version 1: a schema of type PROTOBUF"]
        assert there.json("show", "twins", "7")["id"] == 90
        there("import", f"kafka://{bootstrap}/no-such-topic", code=1)

"""Clients that are not ours, unchanged, against a running registry (registry-api §8)."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
    record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
from schema_registry.client import SchemaRegistryClient as OtherClient
from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema
from schema_registry.serializers import AvroMessageSerializer

from deploy.services import kafka as kafka_service
from tests.registry.calls import f, rec, text
from tests.registry.process import Node, running
from tests.support.kafka import kafka_cluster
from tests.support.npm import install

__all__ = ["kafka_cluster"]
ONE = rec(f("id", "string"), name="School", namespace="edu")
TWO = rec(f("id", "string"), f("pupils", "int", default=0), name="School", namespace="edu")
BREAKS = rec(f("id", "string"), f("pupils"), name="School", namespace="edu")
ADDRESS = rec(f("street", "string"), name="Address", namespace="edu")
PERSON = rec(f("name", "string"), f("home", "edu.Address"), name="Person", namespace="edu")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("foreign")) as made:
        yield made


@pytest.fixture
def client(node: Node) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": node.url, "basic.auth.user.info": f"operator:{node.token}"}) as made:
        yield made


def subject() -> str:
    return f"it-mim.edu.school.v1/{uuid.uuid4().hex[:8]} é-value"


def avro(schema: Any, references: list[SchemaReference] | None = None) -> Schema:
    return Schema(text(schema), "AVRO", references or [])


def code(error: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    return error.value.http_status_code, error.value.error_code


def test_section_8_confluent_client_registers_and_reads(client: SchemaRegistryClient) -> None:
    name = subject()
    first = client.register_schema(name, avro(ONE))
    assert client.register_schema(name, avro(ONE)) == first
    full = client.register_schema_full_response(name, avro(TWO), normalize_schemas=True)
    assert full.schema_id == first + 1
    assert json.loads(client.get_schema(first).schema_str) == ONE
    found = client.lookup_schema(name, avro(TWO))
    assert (found.subject, found.version, found.schema_id) == (name, 2, full.schema_id)
    assert client.get_latest_version(name).version == 2
    assert client.get_version(name, 1).schema_id == first
    assert client.get_versions(name) == [1, 2]
    assert name in client.get_subjects()
    assert client.get_subjects(subject_prefix=name, offset=0, limit=5) == [name]
    assert client.get_subjects_by_schema_id(first) == [name]
    assert [(v.subject, v.version) for v in client.get_schema_versions(first)] == [(name, 1)]
    assert json.loads(client.get_schema_by_guid(found.guid).schema_str) == TWO
    assert client.get_schema_types() == ["AVRO"]
    assert client.get_contexts() == ["."]


def test_section_8_confluent_client_sees_compatibility_levels_and_modes(client: SchemaRegistryClient) -> None:
    name = subject()
    client.register_schema(name, avro(ONE))
    assert client.test_compatibility(name, avro(TWO))
    assert not client.test_compatibility(name, avro(BREAKS))
    assert not client.test_compatibility_all_versions(name, avro(BREAKS))
    with pytest.raises(SchemaRegistryError, match="incompatible with an earlier schema") as refused:
        client.register_schema(name, avro(BREAKS))
    assert code(refused) == (409, 409)
    client.set_compatibility(name, "none")
    assert client.get_compatibility(name) == "NONE"
    client.set_config(name, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
    assert client.get_config(name).compatibility_level == "FULL"
    client.delete_config(name)
    client.update_mode(name, "READONLY")
    assert client.get_mode(name) == "READONLY"
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(name, avro(TWO))
    assert code(refused) == (422, 42205)
    client.delete_mode(name)
    assert client.get_global_mode() == "READWRITE"


def test_section_8_confluent_client_deletes_and_follows_references(client: SchemaRegistryClient) -> None:
    name, target = subject(), subject()
    address = client.register_schema(target, avro(ADDRESS))
    person = client.register_schema(name, avro(PERSON, [SchemaReference("edu.Address", target, 1)]))
    assert client.get_schema(person).references[0].subject == target
    assert client.get_referenced_by(target, 1) == [person]
    with pytest.raises(SchemaRegistryError) as refused:
        client.delete_version(target, 1)
    assert code(refused) == (422, 42206)
    assert client.delete_subject(name) == [1]
    assert client.delete_version(target, 1) == 1
    assert client.get_schema(address)
    assert client.delete_subject(name, permanent=True) == [1]
    assert client.delete_version(target, 1, permanent=True) == 1
    with pytest.raises(SchemaRegistryError) as refused:
        client.get_versions(target)
    assert code(refused) == (404, 40401)


def test_section_8_confluent_client_without_or_with_a_wrong_token(node: Node) -> None:
    for conf in ({}, {"basic.auth.user.info": "operator:wrong"}):
        with SchemaRegistryClient({"url": node.url, **conf}) as stranger, pytest.raises(SchemaRegistryError) as refused:
            stranger.get_subjects()
        assert code(refused) == (401, 401)


def test_section_8_confluent_client_with_a_bearer_token(node: Node) -> None:
    conf = {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": node.token}
    conf |= {"bearer.auth.logical.cluster": "c", "bearer.auth.identity.pool.id": "p"}
    with SchemaRegistryClient({"url": f"{node.url}/registry", **conf}) as client:
        assert client.get_global_mode() == "READWRITE"


RECORDS = [{"name": f"n{k}", "home": {"street": "via é"}} for k in range(5)]


def test_section_8_confluent_serialisers_over_a_real_broker(
    client: SchemaRegistryClient, node: Node, kafka_cluster: kafka_service.Cluster
) -> None:
    topic, target = f"it-mim.edu.person.v1.{uuid.uuid4().hex[:8]}", subject()
    client.register_schema(target, avro(ADDRESS))
    schema = avro(PERSON, [SchemaReference("edu.Address", target, 1)])
    write = AvroSerializer(client, schema)
    bootstrap = ",".join(n.address for n in kafka_cluster.nodes)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap})
    for record in RECORDS:
        producer.produce(topic, write(record, SerializationContext(topic, MessageField.VALUE)))
    assert producer.flush(30) == 0
    assert client.get_latest_version(f"{topic}-value").version == 1
    with SchemaRegistryClient({"url": node.url, "basic.auth.user.info": f"x:{node.token}"}) as reader:
        read = AvroDeserializer(reader)
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        found = [read(m.value(), SerializationContext(topic, MessageField.VALUE)) for m in consumer.consume(5, 30)]
        consumer.close()
    assert found == RECORDS


@pytest.mark.parametrize(
    "conf",
    [
        {"auto.register.schemas": False},
        {"auto.register.schemas": False, "use.latest.version": True},
        {"auto.register.schemas": True, "normalize.schemas": True},
        {"auto.register.schemas": True, "subject.name.strategy": record_subject_name_strategy},
    ],
)
def test_section_8_confluent_serialiser_settings(client: SchemaRegistryClient, conf: dict[str, Any]) -> None:
    topic = f"it-mim.x.{uuid.uuid4().hex[:8]}"
    client.register_schema(f"{topic}-value", avro(ONE))
    client.register_schema(f"{topic}-value", avro(TWO))
    where = SerializationContext(topic, MessageField.VALUE)
    data = AvroSerializer(client, avro(TWO), conf=conf)({"id": "a", "pupils": 3}, where)
    assert data is not None
    assert AvroDeserializer(client, avro(ONE))(data, where) == {"id": "a"}
    if "subject.name.strategy" in conf:
        assert "edu.School" in client.get_subjects()


def test_section_8_python_schema_registry_client(node: Node) -> None:
    other = OtherClient(
        {"url": node.url, "basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": f"o:{node.token}"}
    )
    name = f"it-mim.{uuid.uuid4().hex[:8]}-value"
    schema = AvroSchema(ONE)
    given = other.register(name, schema)
    assert given == other.register(name, text(ONE))
    assert other.get_by_id(given) == schema
    found = other.get_schema(name)
    assert found is not None
    assert (found.version, found.schema_id) == (1, given)
    assert other.check_version(name, schema).version == 1  # type: ignore[union-attr] # it was just registered
    assert other.get_versions(name) == [1]
    assert name in other.get_subjects()
    assert other.test_compatibility(name, AvroSchema(TWO))
    assert not other.test_compatibility(name, AvroSchema(BREAKS))
    with pytest.raises(ClientError):
        other.register(name, AvroSchema(BREAKS))
    assert other.update_compatibility("FULL", name)
    assert other.get_compatibility(name) == "FULL"
    messages = AvroMessageSerializer(other)
    data = messages.encode_record_with_schema(name, schema, {"id": "x"})
    assert messages.decode_message(data) == {"id": "x"}
    assert other.delete_version(name, 1) == 1
    assert other.get_schema(name) is None


SCRIPT = """
const {SchemaRegistry, SchemaType} = require('@kafkajs/confluent-schema-registry')
const [url, password, subject] = process.argv.slice(2)
const registry = new SchemaRegistry({host: url, auth: {username: 'operator', password}})
const schema = JSON.stringify({type: 'record', name: 'School', namespace: 'edu', fields: [
  {name: 'id', type: 'string'}, {name: 'pupils', type: ['null', 'int'], default: null}]})
const main = async () => {
  const {id} = await registry.register({type: SchemaType.AVRO, schema}, {subject})
  const again = await registry.register({type: SchemaType.AVRO, schema}, {subject})
  const latest = await registry.getLatestSchemaId(subject)
  const byVersion = await registry.getRegistryId(subject, 1)
  const bySchema = await registry.getRegistryIdBySchema(subject, {type: SchemaType.AVRO, schema})
  const data = await registry.encode(id, {id: 'IT-1', pupils: 7})
  const reader = new SchemaRegistry({host: url + '/registry', auth: {username: 'x', password}})
  const decoded = await reader.decode(data)
  let missing = ''
  try { await reader.getSchema(99999) } catch (error) { missing = error.status + ' ' + error.message }
  console.log(JSON.stringify({ids: [id, again.id, latest, byVersion, bySchema], decoded, missing}))
}
main().catch(error => { console.error(error); process.exit(1) })
"""


@pytest.fixture(scope="module")
def kafkajs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client from npm."""
    folder = install(tmp_path_factory.mktemp("npm"), "@kafkajs/confluent-schema-registry@4.1.0")
    (folder / "client.js").write_text(SCRIPT)
    return folder


def test_section_8_kafkajs_client(node: Node, kafkajs: Path) -> None:
    name = f"it-mim.{uuid.uuid4().hex[:8]}-value"
    command = ["node", "client.js", node.url, node.token, name]
    done = subprocess.run(command, cwd=kafkajs, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(set(found["ids"])) == 1
    assert found["decoded"] == {"id": "IT-1", "pupils": 7}
    assert "not found" in found["missing"]

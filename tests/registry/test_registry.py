"""Ids, versions and compatibility of the registry's core (registry-api §2–§4)."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from hub.errors import ConfigurationInvalid, NotFound, Retry, SchemaIncompatible, SchemaInvalid
from hub.registry import Reference, Registered, Registry
from hub.store import Store
from tests.support.postgres import drop_database


def record(*fields: Any, name: str = "School", **more: Any) -> str:
    return json.dumps({"type": "record", "name": name, "namespace": "edu", "fields": list(fields), **more})


ID = {"name": "id", "type": "string"}
PUPILS = {"name": "pupils", "type": "int"}
OPTIONAL = {"name": "pupils", "type": ["null", "int"], "default": None}


def test_G10_the_first_schema_is_id_1_version_1(registry: Registry) -> None:
    assert registry.register("s-value", record(ID)) == Registered(id=1, version=1) == (1, 1)
    assert json.loads(registry.by_id(1)) == {"type": "record", "name": "School", "namespace": "edu", "fields": [ID]}


def test_G10_the_same_schema_keeps_id_and_version(registry: Registry) -> None:
    first = registry.register("s-value", record(ID))
    spaced = json.dumps(json.loads(record(ID)), indent=4)
    assert registry.register("s-value", spaced) == first
    assert registry.register("s-value", registry.by_id(first.id)) == first
    assert registry.versions("s-value") == [1]


def test_G10_the_same_schema_has_one_id_in_every_subject(registry: Registry) -> None:
    registry.register("a-value", record(PUPILS))
    one = registry.register("a-value", record(PUPILS, OPTIONAL | {"name": "more"}))
    assert registry.register("b-value", record(PUPILS, OPTIONAL | {"name": "more"})) == Registered(one.id, 1)
    assert registry.subjects() == ["a-value", "b-value"]


@pytest.mark.parametrize("change", [{"doc": "new"}, {"classification": "public"}])
def test_doc_and_properties_make_another_schema(registry: Registry, change: dict[str, str]) -> None:
    assert registry.register("s", record(ID)).id != registry.register("s", record(ID, **change)).id


def test_backward_is_enforced_by_default_and_says_why(registry: Registry) -> None:
    registry.register("s", record(ID))
    with pytest.raises(SchemaIncompatible) as caught:
        registry.register("s", record(ID, PUPILS))
    assert len(caught.value.incompatibilities) == 1
    assert "pupils" in caught.value.incompatibilities[0]
    assert "BACKWARD" in str(caught.value)
    assert registry.incompatibilities("s", record(ID, PUPILS)) == list(caught.value.incompatibilities)
    assert registry.versions("s") == [1]
    with pytest.raises(NotFound):
        registry.by_id(2)
    assert registry.register("s", record(ID, OPTIONAL)) == Registered(2, 2)
    assert registry.incompatibilities("s", record(ID, OPTIONAL)) == []


def test_a_refused_first_schema_leaves_no_subject(registry: Registry) -> None:
    with pytest.raises(SchemaInvalid):
        registry.register("s", '{"type": "record", "name": "x"}')
    assert registry.subjects() == []
    with pytest.raises(NotFound, match="Subject 's' not found"):
        registry.versions("s")


def test_levels_per_subject_and_global(registry: Registry) -> None:
    registry.register("s", record(ID))
    assert registry.level("s") == "BACKWARD"
    registry.set_level("forward")
    assert (registry.level("s"), registry.level()) == ("FORWARD", "FORWARD")
    registry.register("s", record(ID, PUPILS))  # old readers ignore the new field
    registry.set_level("none", "s")
    registry.register("s", record(OPTIONAL))
    registry.set_level(None, "s")
    assert registry.level("s") == "FORWARD"
    registry.set_level(None)
    assert registry.level("s") == "BACKWARD"
    with pytest.raises(ConfigurationInvalid, match="Valid values are none, backward"):
        registry.set_level("sideways", "s")


def test_a_level_does_not_make_a_subject_exist(registry: Registry) -> None:
    registry.set_level("NONE", "new")
    assert registry.subjects() == []
    with pytest.raises(NotFound):
        registry.latest("new")


def test_transitive_levels_look_at_every_version(registry: Registry) -> None:
    registry.set_level("NONE", "s")
    registry.register("s", record({"name": "id", "type": "long"}))
    registry.register("s", record())
    new = record({"name": "id", "type": "string", "default": ""})
    registry.set_level("BACKWARD_TRANSITIVE", "s")
    with pytest.raises(SchemaIncompatible):
        registry.register("s", new)
    registry.set_level("BACKWARD", "s")
    assert registry.register("s", new).version == 3


def test_lookup_latest_and_version(registry: Registry) -> None:
    registry.register("s", record(ID))
    second = registry.register("s", record(ID, OPTIONAL))
    assert registry.lookup("s", record(ID)).version == 1
    assert registry.latest("s").version == 2
    assert registry.latest("s").schema.id == second.id
    assert registry.version("s", 1).schema.text == registry.by_id(1)
    for wrong in (lambda: registry.lookup("s", record(PUPILS)), lambda: registry.version("s", 3)):
        with pytest.raises(NotFound):
            wrong()
    assert registry.versions("s") == [1, 2]


@pytest.mark.parametrize("subject", ["", "a\nb", "\x7f", "__GLOBAL", "__EMPTY", "x" * 1001])
def test_names_that_are_no_subject(registry: Registry, subject: str) -> None:
    with pytest.raises(SchemaInvalid):
        registry.register(subject, record(ID))
    with pytest.raises(SchemaInvalid):
        registry.set_level("NONE", subject)


@pytest.mark.parametrize("subject", ["a/b:c?d#e%f\"g{'}", "学校-value", " "])
def test_any_other_name_is_a_subject(registry: Registry, subject: str) -> None:
    assert registry.register(subject, record(ID)).version == 1
    assert registry.subjects() == [subject]


def test_references_are_part_of_the_identity(registry: Registry) -> None:
    registry.register("address-value", record(ID, name="Address"))
    used = Reference(name="edu.Address", subject="address-value", version=1)
    text = record({"name": "home", "type": "edu.Address"}, name="Person")
    with pytest.raises(SchemaInvalid, match=r"edu\.Address"):
        registry.register("p", text)
    made = registry.register("p", text, (used,))
    assert registry.register("p", text, (used,)) == made
    assert registry.schema(made.id).references == (used,)
    assert registry.lookup("p", text, (used,)).schema.id == made.id
    assert "edu.Address" in registry.parsed(made.id).names
    with pytest.raises(SchemaInvalid, match="does not exist"):
        registry.register("p", text, (Reference(name="edu.Address", subject="address-value", version=9),))


def test_compatibility_looks_into_references(registry: Registry) -> None:
    registry.set_level("NONE", "address-value")
    registry.register("address-value", record(ID, name="Address"))
    registry.register("address-value", record(ID, PUPILS, name="Address"))
    text = record({"name": "home", "type": "edu.Address"}, name="Person")
    registry.register("p", text, (Reference(name="edu.Address", subject="address-value", version=1),))
    with pytest.raises(SchemaIncompatible):
        registry.register("p", text, (Reference(name="edu.Address", subject="address-value", version=2),))


def test_F20_parallel_threads_get_one_id_and_one_version(registry: Registry, store: Store) -> None:
    others = [registry, *(Registry(store) for _ in range(3))]
    with ThreadPoolExecutor(8) as pool:
        given = set(pool.map(lambda n: others[n % 4].register(f"s{n % 2}", record(ID)), range(40)))
    assert given == {Registered(1, 1)}
    assert [registry.versions(s) for s in ("s0", "s1")] == [[1], [1]]


PROCESS = """
import json, sys
from hub.registry import Registry
from hub.store import Store
registry = Registry(Store.open(sys.argv[1]))
field = {"name": "id", "type": "string"}
for n in range(20):
    fields = [field, *({"name": f"f{k}", "type": ["null", "int"], "default": None} for k in range(n))]
    text = json.dumps({"type": "record", "name": "R", "fields": fields})
    for subject in ("a", "b"):
        print(subject, n, *registry.register(subject, text))
"""


def test_F20_processes_that_race_agree_on_every_id(registry: Registry, url: str) -> None:
    started = [subprocess.Popen([sys.executable, "-c", PROCESS, url], stdout=subprocess.PIPE, text=True) for _ in "123"]
    answers = [process.communicate()[0].split("\n") for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    assert registry.versions("a") == registry.versions("b") == list(range(1, 21))
    ids = {registry.version("a", v).schema.id for v in range(1, 21)}
    assert len(ids) == 20  # one each; a lost race may leave a gap, never a number used twice


def test_G10_F19_known_schemas_go_on_without_the_store(
    registry: Registry, store: Store, url: str, request: pytest.FixtureRequest
) -> None:
    text = registry.by_id(registry.register("s", record(ID)).id)
    registry.parsed(1)
    registry.register("s", record(ID, OPTIONAL))
    store.close()
    lose(url, request)
    assert registry.by_id(1) == text
    assert registry.parsed(1).canonical == text
    with pytest.raises(Retry):
        registry.by_id(2)


def lose(url: str, request: pytest.FixtureRequest) -> None:
    """The database is gone, for good."""
    place = make_url(url)
    assert place.database is not None
    if place.get_backend_name() == "postgresql":
        server = request.getfixturevalue("postgres_server")
        drop_database(server, place.database)
        with server.connect() as connection:  # for the fixture to take away
            connection.execute(f"CREATE DATABASE {place.database} CONNECTION LIMIT 0")
        return
    file = Path(place.database)
    for part in file.parent.glob("store.db*"):
        part.unlink()
    file.mkdir()


def test_the_registry_does_not_load_arrow() -> None:
    heavy = "('pyarrow', 'numpy', 'fastavro', 'kafka', 'plotly')"
    code = f"import sys, hub.registry; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""registry-api §4: every endpoint of subjects, schemas and compatibility."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registry.calls import Calls, f, rec, text

ID = f("id", "string")
ONE = rec(ID)
TWO = rec(ID, f("n", "int", default=0))
THREE = rec(ID, f("n", "int", default=0), f("m", ["null", "string"], default=None))
BREAKS = rec(ID, f("pupils", "int"))


def body(schema: Any) -> dict[str, Any]:
    return {"schema": text(schema)}


def soft(api: Calls, subject: str, version: int | None = None) -> None:
    path = f"/subjects/{subject}" if version is None else f"/subjects/{subject}/versions/{version}"
    assert api.delete(path)[0] == 200


# -- register


def test_section_4_register_gives_an_id_and_a_version(api: Calls) -> None:
    assert api.register("s", ONE) == (200, {"id": 1})
    assert api.register("s", TWO) == (200, {"id": 2})
    assert api.register("s", ONE) == (200, {"id": 1})
    assert api.get("/subjects/s/versions") == (200, [1, 2])


def test_section_4_register_looks_in_order(api: Calls) -> None:
    """Bad subject, blank, invalid, the same one, mode, compatibility."""
    api.registered("s", ONE)
    api.put("/mode/s", {"mode": "READONLY"})
    api.refused(api.post("/subjects/__EMPTY/versions", {}), 42208)
    api.refused(api.post("/subjects/s/versions", body("")), 42201, "Empty schema")
    api.refused(api.post("/subjects/s/versions", body("{")), 42201)
    assert api.register("s", ONE) == (200, {"id": 1})
    api.refused(api.register("s", BREAKS), 42205)
    api.delete("/mode/s")
    api.refused(api.register("s", BREAKS), 409)


def test_section_4_an_incompatible_schema_is_409_and_nothing_is_stored(api: Calls) -> None:
    api.registered("s", ONE)
    answer = api.register("s", BREAKS)
    head = 'Schema being registered is incompatible with an earlier schema for subject "s", details: ['
    api.refused(answer, 409, head, "pupils", "no default", "{oldSchemaVersion: 1}", "{compatibility: 'BACKWARD'}")
    assert answer[0] == 409
    assert api.get("/subjects/s/versions") == (200, [1])
    api.refused(api.get("/schemas/ids/2"), 40403)
    assert api.register("t", TWO) == (200, {"id": 2})  # no number was lost either


def test_section_4_a_version_in_the_body_is_the_next_one(api: Calls) -> None:
    api.refused(api.register("s", ONE, version=2), 42201)
    assert api.register("s", ONE, version=1) == (200, {"id": 1})
    assert api.register("s", ONE, version=9) == (200, {"id": 1})  # it is there already
    for wrong in (1, 3):
        api.refused(api.register("s", TWO, version=wrong), 42201, "2")
    assert api.register("s", TWO, version=2) == (200, {"id": 2})


def test_section_4_soft_deleted_versions_do_not_count_for_compatibility(api: Calls) -> None:
    api.registered("s", ONE)
    soft(api, "s")
    assert api.register("s", rec(name="Another")) == (200, {"id": 2})


# -- look up


def test_section_4_look_up(api: Calls) -> None:
    api.registered("other", rec(name="Other"))
    api.registered("s", ONE)
    api.registered("s", TWO)
    status, found = api.post("/subjects/s", body(ONE))
    assert (status, found["subject"], found["version"], found["id"]) == (200, "s", 1, 2)
    api.refused(api.post("/subjects/none", body(ONE)), 40401, "Subject 'none' not found.")
    api.refused(api.post("/subjects/s", body(BREAKS)), 40403, "Schema not found")
    api.refused(api.post("/subjects/s", body(rec(name="Other"))), 40403)
    api.refused(api.post("/subjects/s", body("{")), 42201)
    assert api.get("/subjects/s/versions") == (200, [1, 2])


def test_section_4_look_up_among_the_deleted(api: Calls) -> None:
    api.registered("s", ONE)
    api.registered("s", TWO)
    soft(api, "s", 1)
    api.refused(api.post("/subjects/s", body(ONE)), 40403)
    assert api.post("/subjects/s", body(ONE), deleted=True)[1]["version"] == 1
    soft(api, "s")
    api.refused(api.post("/subjects/s", body(ONE)), 40401)
    assert api.post("/subjects/s", body(TWO), deleted=True)[1]["deleted"] is True
    api.registered("s", ONE)
    assert api.post("/subjects/s", body(ONE), deleted=True)[1]["version"] == 3  # the latest if several match


# -- lists


def test_section_4_subjects(api: Calls) -> None:
    for subject in ("b", "a", "ab", "é", "B", "gone", "half"):
        api.registered(subject, ONE)
    api.registered("half", TWO)
    soft(api, "gone")
    soft(api, "half", 1)
    assert api.get("/subjects") == (200, ["B", "a", "ab", "b", "half", "é"])
    assert api.get("/subjects", deleted=True) == (200, ["B", "a", "ab", "b", "gone", "half", "é"])
    assert api.get("/subjects", deletedOnly=True) == (200, ["gone"])
    assert api.get("/subjects", deletedOnly=True, deleted=True) == (200, ["gone"])
    assert api.get("/subjects", subjectPrefix="a") == (200, ["a", "ab"])
    assert api.get("/subjects", subjectPrefix=":*:") == api.get("/subjects", subjectPrefix="") == api.get("/subjects")
    assert api.get("/subjects", subjectPrefix="%") == api.get("/subjects", subjectPrefix="_") == (200, [])
    api.delete("/subjects/gone", permanent=True)
    assert "gone" not in api.get("/subjects", deleted=True)[1]


def test_section_4_versions(api: Calls) -> None:
    for schema in (ONE, TWO, THREE):
        api.registered("s", schema)
    soft(api, "s", 2)
    assert api.get("/subjects/s/versions") == (200, [1, 3])
    assert api.get("/subjects/s/versions", deleted=True) == (200, [1, 2, 3])
    assert api.get("/subjects/s/versions", deletedOnly=True) == (200, [2])
    api.refused(api.get("/subjects/none/versions"), 40401)
    soft(api, "s")
    api.refused(api.get("/subjects/s/versions"), 40401)
    api.refused(api.get("/subjects/s/versions/latest"), 40401)


def test_section_4_one_version(api: Calls) -> None:
    api.registered("s", ONE)
    api.registered("s", TWO)
    soft(api, "s", 1)
    api.refused(api.get("/subjects/s/versions/1"), 40402, "Version 1 not found.")
    assert api.get("/subjects/s/versions/1", deleted=True)[1]["id"] == 1
    api.refused(api.get("/subjects/s/versions/3", deleted=True), 40402)


@pytest.mark.parametrize("schema", [ONE, ["null", "int"], "string", {"type": "array", "items": "int"}])
def test_section_4_the_document_itself(api: Calls, schema: Any) -> None:
    api.registered("s", '"string"' if schema == "string" else schema)
    assert api.get("/subjects/s/versions/1/schema") == (200, schema)
    assert api.get("/schemas/ids/1/schema") == (200, schema)
    api.refused(api.get("/subjects/s/versions/2/schema"), 40402)
    api.refused(api.get("/subjects/t/versions/2/schema"), 40401)
    api.refused(api.get("/schemas/ids/2/schema"), 40403, "Schema 2 not found")
    soft(api, "s")
    assert api.get("/subjects/s/versions/1/schema", deleted=True) == (200, schema)


def test_section_4_all_schemas(api: Calls) -> None:
    for subject, schema in (("b", ONE), ("a", ONE), ("b", TWO), ("B", ONE), ("b", THREE)):
        api.registered(subject, schema)
    soft(api, "b", 3)
    soft(api, "B")

    def listed(**params: Any) -> list[tuple[str, int]]:
        status, found = api.get("/schemas", **params)
        assert status == 200
        return [(v["subject"], v["version"]) for v in found]

    assert listed() == [("a", 1), ("b", 1), ("b", 2)]
    assert listed(deleted=True) == [("B", 1), ("a", 1), ("b", 1), ("b", 2), ("b", 3)]
    assert listed(latestOnly=True) == [("a", 1), ("b", 2)]
    assert listed(latestOnly=True, deleted=True) == [("B", 1), ("a", 1), ("b", 3)]
    assert listed(subjectPrefix="b") == [("b", 1), ("b", 2)]
    assert listed(subjectPrefix=":*:") == listed()
    assert listed(offset=1, limit=1) == [("b", 1)]
    assert set(api.get("/schemas")[1][0]) == {"subject", "version", "id", "schema", "guid", "ts"}


# -- by id


def test_section_4_by_id(api: Calls) -> None:
    api.registered("s", ONE)
    api.registered("s", TWO)
    assert api.get("/schemas/ids/1") == (200, {"schema": api.get("/subjects/s/versions/1")[1]["schema"]})
    assert api.get("/schemas/ids/1", fetchMaxId=True)[1]["maxId"] == 2
    assert api.get("/schemas/ids/2", subject="s")[1] == {**api.get("/schemas/ids/2")[1], "subject": "s", "version": 2}
    assert api.get("/schemas/ids/2", subject="other") == api.get("/schemas/ids/2")
    api.refused(api.get("/schemas/ids/3"), 40403, "Schema 3 not found")
    soft(api, "s")
    assert api.get("/schemas/ids/1")[0] == 200
    assert api.get("/schemas/ids/abc") == (404, {"error_code": 404, "message": "HTTP 404 Not Found"})


def test_section_4_places_of_an_id(api: Calls) -> None:
    for subject in ("b", "a"):
        api.registered(subject, ONE)
    api.registered("b", TWO)
    soft(api, "b", 1)
    assert api.get("/schemas/ids/1/subjects") == (200, ["a"])
    assert api.get("/schemas/ids/1/subjects", deleted=True) == (200, ["a", "b"])
    assert api.get("/schemas/ids/1/versions") == (200, [{"subject": "a", "version": 1}])
    assert len(api.get("/schemas/ids/1/versions", deleted=True)[1]) == 2
    soft(api, "a")
    assert api.get("/schemas/ids/1/subjects") == api.get("/schemas/ids/1/versions") == (200, [])
    for path in ("/schemas/ids/9/subjects", "/schemas/ids/9/versions"):
        api.refused(api.get(path), 40403)


def test_section_4_about_the_registry(api: Calls) -> None:
    assert api.get("/") == (200, {})
    clusters = api.get("/v1/metadata/id")[1]["scope"]["clusters"]
    assert set(clusters) == {"kafka-cluster", "schema-registry-cluster"}
    assert set(api.get("/v1/metadata/version")[1]) == {"version", "commitId"}


# -- delete


def test_section_4_delete_a_version(api: Calls) -> None:
    api.refused(api.delete("/subjects/s/versions/1"), 40401, "Subject 's' not found.")
    api.registered("s", ONE)
    api.registered("s", TWO)
    api.refused(api.delete("/subjects/s/versions/5"), 40402, "Version 5 not found.")
    api.refused(
        api.delete("/subjects/s/versions/1", permanent=True),
        40407,
        "Subject 's' Version 1 was not deleted first before being permanently deleted",
    )
    assert api.delete("/subjects/s/versions/1") == (200, 1)
    api.refused(
        api.delete("/subjects/s/versions/1"),
        40406,
        "Subject 's' Version 1 was soft deleted.Set permanent=true to delete permanently",
    )
    assert api.delete("/subjects/s/versions/latest") == (200, 2)
    api.refused(api.delete("/subjects/s/versions/latest"), 40402)
    assert api.delete("/subjects/s/versions/1", permanent=True) == (200, 1)
    api.refused(api.delete("/subjects/s/versions/1", permanent=True), 40402)
    assert api.delete("/subjects/s/versions/2", permanent="True") == (200, 2)
    api.refused(api.delete("/subjects/s/versions/2", permanent=True), 40401)


def test_section_4_delete_a_subject(api: Calls) -> None:
    api.refused(api.delete("/subjects/s"), 40401)
    api.refused(api.delete("/subjects/s", permanent=True), 40401)
    for schema in (ONE, TWO, THREE):
        api.registered("s", schema)
    soft(api, "s", 1)
    api.refused(
        api.delete("/subjects/s", permanent=True),
        40405,
        "Subject 's' was not deleted first before being permanently deleted",
    )
    assert api.delete("/subjects/s") == (200, [2, 3])
    api.refused(
        api.delete("/subjects/s"), 40404, "Subject 's' was soft deleted.Set permanent=true to delete permanently"
    )
    assert api.delete("/subjects/s", permanent=True) == (200, [1, 2, 3])
    api.refused(api.delete("/subjects/s", permanent=True), 40401)


@pytest.mark.parametrize("path", ["/subjects/s", "/subjects/s/versions/1"])
def test_section_4_with_the_last_version_its_settings_go(api: Calls, path: str) -> None:
    api.registered("s", ONE)
    api.put("/config/s", {"compatibility": "FULL"})
    api.put("/mode/s", {"mode": "READWRITE"})
    api.delete(path)
    assert api.get("/config/s")[0] == 200
    api.delete(path, permanent=True)
    api.refused(api.get("/config/s"), 40408)
    api.refused(api.get("/mode/s"), 40409)


def test_section_4_an_id_is_gone_at_once_for_every_reader(api: Calls) -> None:
    """The answers by id are kept in memory, and still true."""
    api.registered("s", ONE)
    assert api.get("/schemas/ids/1")[0] == 200
    soft(api, "s")
    assert api.get("/schemas/ids/1")[0] == 200
    api.delete("/subjects/s", permanent=True)
    api.refused(api.get("/schemas/ids/1"), 40403)
    api.registered("t", ONE)
    assert api.get("/schemas/ids/1")[0] == 200


# -- compatibility


def test_section_4_compatibility_with_one_version(api: Calls) -> None:
    path = "/compatibility/subjects/s/versions/{}"
    assert api.post(path.format("latest"), body(BREAKS)) == (200, {"is_compatible": True})
    api.refused(api.post(path.format(1), body(ONE)), 40402)
    api.registered("s", ONE)
    api.registered("s", TWO)
    assert api.post(path.format(1), body(BREAKS)) == (200, {"is_compatible": False})
    status, found = api.post(path.format("latest"), body(BREAKS), verbose=True)
    assert (status, found["is_compatible"], len(found["messages"])) == (200, False, 1)
    assert all(word in found["messages"][0] for word in ("version 2", "pupils", "default"))
    assert api.post(path.format(2), body(THREE), verbose=True) == (200, {"is_compatible": True, "messages": []})
    api.refused(api.post(path.format(3), body(ONE)), 40402)
    soft(api, "s", 1)
    api.refused(api.post(path.format(1), body(ONE)), 40402)
    api.refused(api.post(path.format(1), body("{")), 40402)
    api.refused(api.post(path.format(2), body("{")), 42201)
    status, found = api.post(path.format(2), body("{"), verbose=True)
    assert (status, found["is_compatible"]) == (200, False)
    assert "Invalid schema" in found["messages"][0]
    soft(api, "s")
    assert api.post(path.format("latest"), body(BREAKS)) == (200, {"is_compatible": True})
    assert api.get("/subjects/s/versions", deleted=True) == (200, [1, 2])


def test_section_4_compatibility_as_registering_would_ask(api: Calls) -> None:
    path = "/compatibility/subjects/s/versions"
    assert api.post(path, body(BREAKS)) == (200, {"is_compatible": True})
    api.put("/config/s", {"compatibility": "NONE"})
    api.registered("s", rec(f("id", "long")))
    api.registered("s", rec())
    new = rec(f("id", "string", default=""))
    assert api.post(path, body(rec(name="X"))) == (200, {"is_compatible": True})
    api.put("/config/s", {"compatibility": "BACKWARD"})
    assert api.post(path, body(new)) == (200, {"is_compatible": True})
    api.put("/config/s", {"compatibility": "BACKWARD_TRANSITIVE"})
    found = api.post(path, body(new), verbose=True)[1]
    assert not found["is_compatible"]
    assert "version 1" in found["messages"][0]
    assert api.post(f"{path}/2", body(new)) == (200, {"is_compatible": True})  # that version alone
    api.refused(api.post(path, body("{")), 42201)
    assert api.post(path, body("{"), verbose=True)[1]["is_compatible"] is False


LEVELS = ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
A, AB = rec(f("a")), rec(f("a"), f("b", "int", default=0))


@pytest.mark.parametrize("level", LEVELS)
def test_section_3_each_level_looks_one_way_at_the_versions_it_says(api: Calls, level: str) -> None:
    api.registered("s", A)
    api.registered("s", AB)
    api.put("/config", {"compatibility": level})
    backward = rec(f("b", "int", default=0))  # a is dropped: new readers manage, old ones miss a
    forward = rec(f("a"), f("c"))  # c is needed: old readers ignore it, new ones miss it
    both = rec(f("a"), f("d", "int", default=1))
    expected = {
        "NONE": (True, True, True),
        "BACKWARD": (True, False, True),
        "BACKWARD_TRANSITIVE": (True, False, True),
        "FORWARD": (False, True, True),
        "FORWARD_TRANSITIVE": (False, True, True),
        "FULL": (False, False, True),
        "FULL_TRANSITIVE": (False, False, True),
    }
    path = "/compatibility/subjects/s/versions"
    found = tuple(api.post(path, body(schema))[1]["is_compatible"] for schema in (backward, forward, both))
    assert found == expected[level]
    for schema, fits in zip((backward, forward), expected[level][:2], strict=True):
        assert (api.register("s", schema)[0] == 200) is fits
        api.delete("/subjects/s/versions/latest") if fits else None


@pytest.mark.parametrize("transitive", [False, True])
@pytest.mark.parametrize("direction", ["BACKWARD", "FORWARD", "FULL"])
def test_section_3_transitive_levels_look_at_every_live_version(api: Calls, direction: str, transitive: bool) -> None:
    api.put("/config", {"compatibility": "NONE"})
    api.registered("s", rec(f("x", "string", default="")))
    api.registered("s", rec())
    api.put("/config/s", {"compatibility": direction + ("_TRANSITIVE" if transitive else "")})
    new = rec(f("x", "boolean", default=True))
    assert (api.register("s", new)[0] == 409) is transitive
    soft(api, "s", 1)
    assert api.register("s", new)[0] == 200

"""registry-api §2 and the bodies of §3: identity, ids, versions, schema objects, requests, paging."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.registry.calls import Calls, f, rec, text

ID = f("id", "string")
WIDER = rec(ID, f("n", "int", default=0))


def test_section_2_ids_count_from_one_and_are_one_for_all_subjects(api: Calls) -> None:
    assert [api.registered(s, rec(name=s)) for s in "abc"] == [1, 2, 3]
    assert [api.registered(s, rec(name="a")) for s in "xyz"] == [1, 1, 1]
    assert api.registered("x", rec(name="a")) == 1
    assert api.get("/subjects/x/versions") == (200, [1])


def test_section_2_a_schema_sent_back_as_received_is_the_same(api: Calls) -> None:
    sent = {
        "fields": [f("a", {"type": "int"}, z=1, order="ascending")],
        "x": [1],
        "name": "n.R",
        "type": "record",
        "doc": "é",
    }
    api.registered("s", json.dumps(sent, indent=3))
    for path in ("/subjects/s/versions/1", "/schemas/ids/1"):
        received = api.get(path)[1]["schema"]
        assert api.registered("s", received) == 1
        assert api.post("/subjects/s", {"schema": received})[1]["version"] == 1
    for path in ("/subjects/s/versions/1/schema", "/schemas/ids/1/schema"):
        assert api.registered("s", api.get(path)[1]) == 1


def test_section_2_a_version_is_one_above_the_highest_stored(api: Calls) -> None:
    api.put("/config", {"compatibility": "NONE"})
    for n in range(3):
        api.registered("s", rec(name=f"R{n}"))
    api.delete("/subjects/s/versions/3")
    api.registered("s", rec(name="R3"))
    assert api.get("/subjects/s/versions") == (200, [1, 2, 4])
    api.registered("s", rec(name="R2"))  # what was deleted comes back as a new version, under its id
    assert api.get("/subjects/s/versions", deleted=True) == (200, [1, 2, 3, 4, 5])
    assert api.get("/subjects/s/versions/5")[1]["id"] == 3
    api.delete("/subjects/s")
    api.delete("/subjects/s", permanent=True)
    api.registered("s", rec(name="R9"))
    assert api.get("/subjects/s/versions") == (200, [1])


def test_section_2_live_soft_deleted_gone(api: Calls) -> None:
    api.registered("s", rec())
    api.delete("/subjects/s/versions/1")
    api.refused(api.get("/subjects/s/versions/1"), 40401)
    assert api.get("/subjects/s/versions/1", deleted=True)[1]["id"] == 1
    assert api.get("/schemas/ids/1")[0] == 200
    api.delete("/subjects/s/versions/1", permanent=True)
    api.refused(api.get("/subjects/s/versions/1", deleted=True), 40401)
    api.refused(api.get("/schemas/ids/1"), 40403, "Schema 1 not found")
    assert api.registered("other", rec(name="Other")) == 2
    assert api.registered("s", rec()) == 1  # G10: an id never gets another meaning


@pytest.mark.parametrize("version", ["0", "-2", "abc", "1.5", "2147483648", "9" * 50, "", "+1", "1e3", "%31%20", "١"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/subjects/none/versions/{}"),
        ("GET", "/subjects/none/versions/{}/schema"),
        ("GET", "/subjects/none/versions/{}/referencedby"),
        ("DELETE", "/subjects/none/versions/{}"),
        ("POST", "/compatibility/subjects/none/versions/{}"),
    ],
)
def test_section_2_what_is_no_version_is_42202_before_all_else(
    api: Calls, method: str, path: str, version: str
) -> None:
    if not version:
        return
    found = api.call(method, path.format(version), {} if method == "POST" else None)
    api.refused(found, 42202, "is not a valid version id", 'the string "latest"', "[1, 2^31-1]")


def test_section_2_latest_is_the_highest_live_version(api: Calls) -> None:
    api.registered("s", rec(ID))
    api.registered("s", WIDER)
    for word in ("latest", "LATEST", "Latest", "-1"):
        assert api.get(f"/subjects/s/versions/{word}")[1]["version"] == 2
    api.delete("/subjects/s/versions/2")
    assert api.get("/subjects/s/versions/latest")[1]["version"] == 1
    assert api.get("/subjects/s/versions/latest", deleted=True)[1]["version"] == 1
    api.refused(api.get("/subjects/s/versions/2"), 40402, "Version 2 not found.")
    api.refused(api.get("/subjects/s/versions/7"), 40402)
    api.refused(api.get("/subjects/none/versions/latest"), 40401, "Subject 'none' not found.")
    api.refused(api.get("/subjects/none/versions/1"), 40401)


def test_section_2_the_schema_object(api: Calls) -> None:
    sent: dict[str, Any] = {
        "metadata": {"properties": {"owner": "é"}, "tags": {}},
        "ruleSet": {"domainRules": [{"name": "r"}]},
    }
    assert api.post("/subjects/s/versions", {"schema": text(rec()), "schemaType": "AVRO", **sent}) == (200, {"id": 1})
    found = api.get("/subjects/s/versions/1")[1]
    assert {k: found.pop(k) for k in ("subject", "version", "id")} == {"subject": "s", "version": 1, "id": 1}
    assert found.pop("schema") == '{"type":"record","name":"R","fields":[]}'
    assert {k: found.pop(k) for k in sent} == sent
    assert isinstance(found.pop("ts"), int)
    guid = found.pop("guid")
    assert found == {}
    assert api.get(f"/schemas/guids/{guid}") == api.get("/schemas/ids/1")
    assert api.get(f"/schemas/guids/{guid}/ids") == (200, [{"context": ".", "id": 1}])
    for unknown in (guid.replace(guid[0], "0" if guid[0] != "0" else "1"), "x", guid[:-1]):
        api.refused(api.get(f"/schemas/guids/{unknown}"), 40403)
    api.registered("plain", rec())
    assert "references" not in api.get("/subjects/plain/versions/1")[1]


def test_section_2_metadata_and_rule_set_are_part_of_the_identity(api: Calls) -> None:
    one = {"metadata": {"properties": {"a": "1", "b": "2"}}}
    assert api.registered("s", rec()) == 1
    assert api.registered("s", rec(), **one) == 2
    assert api.registered("s", rec(), metadata={"properties": {"b": "2", "a": "1"}}) == 2
    assert api.registered("s", rec(), ruleSet={"domainRules": []}) == 3
    assert api.registered("s", rec()) == 1
    assert api.post("/subjects/s", {"schema": text(rec()), **one})[1]["version"] == 2
    assert api.get("/subjects/s/versions") == (200, [1, 2, 3])


@pytest.mark.parametrize("schema", [None, "", "  \n"])
def test_section_2_an_empty_schema(api: Calls, schema: str | None) -> None:
    for body in ({"schema": schema}, {}):
        for path in (
            "/subjects/s/versions",
            "/compatibility/subjects/s/versions",
            "/compatibility/subjects/s/versions/latest",
        ):
            assert api.post(path, body) == (422, {"error_code": 42201, "message": "Empty schema"})
        api.refused(api.post("/subjects/s", body), 40401)
    api.registered("s", rec())
    api.refused(api.post("/subjects/s", {"schema": schema}), 40403, "Schema not found")


@pytest.mark.parametrize("kind", ["JSON", "PROTOBUF", "avro", ""])
def test_section_2_another_kind_of_schema(api: Calls, kind: str) -> None:
    body = {"schema": '"string"', "schemaType": kind}
    api.refused(api.post("/subjects/s/versions", body), 42201, "Invalid schema", "AVRO")
    assert api.get("/schemas/types") == (200, ["AVRO"])


def test_section_2_null_is_the_same_as_absent(api: Calls) -> None:
    body = dict.fromkeys(("schemaType", "references", "id", "version", "metadata", "ruleSet"))
    assert api.post("/subjects/s/versions", {"schema": '"int"', **body}) == (200, {"id": 1})


def test_section_2_paging(api: Calls) -> None:
    api.put("/config", {"compatibility": "NONE"})
    for subject in "abcde":
        for n in range(3):
            api.registered(subject, rec(name=f"R{n}"))
    lists = [
        ("/subjects", {}),
        ("/subjects/a/versions", {}),
        ("/schemas", {}),
        ("/schemas/ids/1/subjects", {}),
        ("/schemas/ids/1/versions", {}),
    ]
    for path, more in lists:
        whole = api.get(path, **more)[1]
        assert len(whole) >= 3
        assert api.get(path, offset=1, limit=1) == (200, whole[1:2])
        assert api.get(path, offset=1) == (200, whole[1:])
        assert api.get(path, limit=2) == (200, whole[:2])
        assert api.get(path, limit=10**12) == (200, whole)
        for no_limit in (0, -1, -5):
            assert api.get(path, limit=no_limit) == (200, whole)
        assert api.get(path, offset=99) == api.get(path, offset=10**15) == (200, [])
        assert api.get(path, offset=-3) == (200, whole)
        for wrong in ("x", "1.5", "", "9" * 30):
            api.refused(api.get(path, offset=wrong), 400, "offset")


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "null",
        '{"type":"record"}',
        rec(f("a", "nope")),
        rec(f("a"), f("a")),
        rec(f("a", "int", default="x")),
        rec(f("a-b")),
        ["int", "int"],
        {"type": "enum", "name": "E", "symbols": ["A", "A"]},
        '{"type":"int","doc":"\\ud800"}',
        "[" * 50_000,
    ],
)
def test_section_3_an_invalid_schema_is_42201_when_registering_and_when_asking(api: Calls, schema: Any) -> None:
    for path in (
        "/subjects/s/versions",
        "/compatibility/subjects/s/versions",
        "/compatibility/subjects/s/versions/latest",
    ):
        api.refused(api.post(path, {"schema": text(schema)}), 42201, "Invalid schema", ", details: ")
    assert api.get("/subjects") == (200, [])


def test_section_3_lookup_checks_no_defaults(api: Calls) -> None:
    api.registered("s", rec())
    api.refused(api.post("/subjects/s", {"schema": text(rec(f("a", "int", default="x")))}), 40403)
    api.refused(api.post("/subjects/s", {"schema": text(rec(f("a-b")))}), 42201)
    api.refused(api.post("/subjects/none", {"schema": text(rec(f("a-b")))}), 40401)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"id": 0}, 42201),
        ({"id": -1}, 42201),
        ({"id": 2**31}, 42201),
        ({"id": 10**30}, 42201),
        ({"version": 0}, 42201),
        ({"version": -7}, 42201),
        ({"version": 2**31}, 42201),
        ({"references": [{"name": "n", "subject": "no", "version": 1}]}, 42201),
        ({"references": [{"name": "n", "subject": "no\0", "version": 1}]}, 42201),
        ({"references": [{"name": "n", "subject": "\ud800", "version": 1}]}, 42201),
        ({"references": [{"name": "n", "subject": "no", "version": -1}]}, 42201),
        ({"references": [{"name": "n", "subject": "no", "version": 10**30}]}, 42201),
        ({"references": [{"subject": "no", "version": 1}]}, 42201),
        ({"metadata": {"a": "\ud800"}}, 42201),
        ({"ruleSet": {"\udfff": 1}}, 42201),
        ({"metadata": {"a": float("nan")}}, 42201),
        ({"references": [{"name": "\ud800", "subject": "no", "version": 1}]}, 42201),
    ],
)
def test_S23_absurd_numbers_and_texts_have_a_documented_error(api: Calls, body: dict[str, Any], code: int) -> None:
    api.refused(api.post("/subjects/s/versions", {"schema": '"int"', **body}), code)
    for path in ("/schemas/ids/0", "/schemas/ids/-1", "/schemas/ids/2147483648", "/schemas/ids/7"):
        api.refused(api.get(path), 40403)


def test_S23_documents_of_a_megabyte_recursion_and_bombs(api: Calls) -> None:
    api.refused(api.register("s", rec(doc="x" * 1_000_001)), 42201, "1,000,000")
    tree = rec(f("v"), f("next", ["null", "R"], default=None))
    assert api.register("tree", tree)[0] == 200
    assert api.register("tree", rec(*tree["fields"], f("w", "int", default=1)))[0] == 200
    array: Any = "null"
    for _ in range(40):
        array = {"type": "array", "items": array}
    api.refused(api.register("s", array), 42201, "deeper than 32")
    fields = [f("f0", rec(f("a", "long"), name="R0"))]
    fields += [f(f"f{k}", rec(f("a", f"R{k - 1}"), f("b", f"R{k - 1}"), name=f"R{k}")) for k in range(1, 1_000)]
    assert api.register("bomb", rec(*fields, name="Top"))[0] == 200
    fields[0] = f("f0", rec(f("a", "int"), name="R0"))
    api.refused(api.register("bomb", rec(*fields, name="Top")), 409, "f0.a")

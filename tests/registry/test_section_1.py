"""registry-api §1: subjects in paths, content types both ways, booleans, errors of the protocol, large and odd bodies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.registry.calls import V1, Calls, f, rec

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
VND, JSON = "application/vnd.schemaregistry+json", "application/json"
SCHEMA = {"schema": '"string"'}
SUBJECTS = [
    "a",
    "a/b",
    "a:b",
    "a?b",
    "a#b",
    "a%b",
    "a%2Fb",
    'a"b',
    "{a}",
    "a'b",
    " ",
    "学校-value",
    "a+b",
    ".",
    "..",
    "é",
    "a&b=c",
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_section_1_subjects_arrive_percent_encoded_and_are_decoded_once(api: Calls, subject: str) -> None:
    path = quote(subject, safe="").replace(".", "%2E")
    assert api.post(f"/subjects/{path}/versions", SCHEMA) == (200, {"id": 1})
    assert api.get("/subjects") == (200, [subject])
    assert api.get(f"/subjects/{path}/versions/1")[1]["subject"] == subject
    assert api.put(f"/config/{path}", {"compatibility": "FULL"}) == (200, {"compatibility": "FULL"})
    assert api.get(f"/config/{path}") == (200, {"compatibilityLevel": "FULL"})
    assert api.delete(f"/subjects/{path}") == (200, [1])


REFUSED = ["%00", "a%0Ab", "%1F", "%7F", "%C2%85", "__GLOBAL", "__EMPTY", "%FF", "a%C3", "x" * 1001]


@pytest.mark.parametrize("path", REFUSED)
def test_section_1_names_that_are_no_subject_are_42208(api: Calls, path: str) -> None:
    api.refused(api.post(f"/subjects/{path}/versions", SCHEMA), 42208, "The specified subject '", "' is not a valid.")
    api.refused(api.put(f"/config/{path}", {"compatibility": "FULL"}), 42208)
    api.refused(api.put(f"/mode/{path}", {"mode": "READONLY"}), 42208)


@pytest.mark.parametrize("path", [p for p in REFUSED if p not in ("%FF", "a%C3")])
def test_section_1_and_cannot_be_found(api: Calls, path: str) -> None:
    for found in (
        api.get(f"/subjects/{path}/versions"),
        api.get(f"/subjects/{path}/versions/1"),
        api.get(f"/subjects/{path}/versions/latest"),
        api.get(f"/subjects/{path}/versions/1/referencedby"),
        api.post(f"/subjects/{path}", SCHEMA),
        api.delete(f"/subjects/{path}"),
        api.delete(f"/subjects/{path}/versions/1"),
        api.delete(f"/config/{path}"),
        api.delete(f"/mode/{path}"),
    ):
        api.refused(found, 40401)
    api.refused(api.get(f"/config/{path}"), 40408)
    api.refused(api.get(f"/mode/{path}"), 40409)
    assert api.post(f"/compatibility/subjects/{path}/versions", SCHEMA) == (200, {"is_compatible": True})
    assert api.get("/subjects", subjectPrefix="a\0") == (200, [])
    assert api.get("/schemas", subjectPrefix="a\0") == (200, [])


def test_section_1_the_default_context_is_no_part_of_a_name(api: Calls) -> None:
    assert api.post("/subjects/:.:name/versions", SCHEMA)[0] == 200
    assert api.get("/subjects") == (200, ["name"])
    assert api.get("/contexts") == (200, ["."])


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, V1),
        ("", V1),
        ("*", V1),
        ("*/*", V1),
        ("application/*", V1),
        (V1, V1),
        (VND, VND),
        (JSON, JSON),
        (f"{V1}, {VND}, {JSON}", V1),
        (f"{JSON}, {VND}", VND),
        (f"{JSON};q=.2, {VND};q=0.1", JSON),
        (f"{JSON};q=1, {V1};q=0.9", JSON),
        (f"{V1};q=0, */*", VND),
        (f"{V1};q=0, {VND};q=0, */*;q=0.1", JSON),
        ("application/*;q=.2, text/html", V1),
        (f"text/html, {JSON};q=0.01", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ("text/html, image/gif, *; q=.2, */*; q=.2", V1),
        (f"{JSON};q=abc", JSON),
    ],
)
def test_section_1_the_type_of_the_answer_is_negotiated(api: Calls, accept: str | None, answered: str) -> None:
    api.client.headers.pop("accept", None)
    headers = {} if accept is None else {"Accept": accept}
    for path, status in (("/subjects", 200), ("/subjects/no/versions", 404), ("/no-path", 404)):
        found = api.client.get(path, headers=headers)
        assert (found.status_code, found.headers["content-type"]) == (status, answered)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "text/*",
        "application/octet-stream",
        "application/vnd.schemaregistry.v2+json",
        f"{JSON};q=0",
        "*/*;q=0",
        "nonsense",
    ],
)
def test_section_1_an_answer_that_nobody_takes_is_406(api: Calls, accept: str) -> None:
    found = api.client.get("/subjects", headers={"Accept": accept})
    assert (found.status_code, found.headers["content-type"]) == (406, V1)
    assert found.json() == {"error_code": 406, "message": "HTTP 406 Not Acceptable"}


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, "utf-8"),
        ("", "utf-8"),
        (V1, "utf-8"),
        (VND, "utf-8"),
        (JSON, "utf-8"),
        ("application/octet-stream", "utf-8"),
        ("Application/JSON", "utf-8"),
        (f"{JSON}; charset=UTF-8", "utf-8"),
        (f"{JSON};x=y;charset=utf-16", "utf-16"),
        (f'{V1};charset="utf-16le"', "utf-16-le"),
        (f"{JSON}; charset=iso-8859-1", "latin-1"),
        (JSON, "utf-8-sig"),
    ],
)
def test_section_1_the_type_and_charset_of_the_request_are_obeyed(
    api: Calls, content_type: str | None, codec: str
) -> None:
    schema = json.dumps({"type": "string", "doc": "é"}, ensure_ascii=False)
    content = json.dumps({"schema": schema}, ensure_ascii=False).encode(codec)
    headers = {} if content_type is None else {"Content-Type": content_type}
    found = api.client.post("/subjects/s/versions", content=content, headers=headers)
    assert (found.status_code, found.json()) == (200, {"id": 1})
    assert json.loads(api.get("/schemas/ids/1")[1]["schema"])["doc"] == "é"
    found = api.client.put("/config/s", content='{"compatibility":"NONE"}'.encode(codec), headers=headers)
    assert found.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/html", "application/xml", f"{JSON};charset=klingon", f"{JSON};charset=idna", "x"],
)
def test_section_1_another_type_is_415(api: Calls, content_type: str) -> None:
    for method, path in (("POST", "/subjects/s/versions"), ("PUT", "/config"), ("POST", "/subjects/s")):
        found = api.client.request(method, path, content=b"{}", headers={"Content-Type": content_type})
        assert found.status_code == 415
        assert found.json() == {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}
    assert api.client.get("/subjects", headers={"Content-Type": content_type}).status_code == 200


def test_section_1_booleans_of_the_query(api: Calls) -> None:
    api.registered("s", "string".join('""'))
    api.delete("/subjects/s")
    for word in ("true", "True", "TRUE", "tRuE"):
        assert api.get("/subjects", deleted=word) == (200, ["s"])
    for word in ("false", "", "1", "yes", "t", "truee"):
        assert api.get("/subjects", deleted=word) == (200, [])


def test_section_1_what_is_unknown_is_ignored(api: Calls) -> None:
    assert api.post("/subjects/s/versions", {**SCHEMA, "later": {"x": 1}}, verbose="true", x=1) == (200, {"id": 1})
    assert api.get("/subjects", wat="1") == (200, ["s"])
    assert api.put("/config", {"compatibility": "NONE", "later": 1}) == (200, {"compatibility": "NONE"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"5",
        b"null",
        b"\xff\xfe\x00",
        b'{"schema": \xff}',
        b"[" * 100_000,
        b"{}{}",
        b'{"a":' + b"9" * 9_000,
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/subjects/s/versions"), ("POST", "/subjects/s"), ("PUT", "/config"), ("PUT", "/mode/s")],
)
def test_section_1_a_body_that_is_none_is_400(api: Calls, method: str, path: str, content: bytes) -> None:
    found = api.client.request(method, path, content=content, headers={"Content-Type": JSON})
    assert (found.status_code, found.json()["error_code"]) == (400, 400)
    assert found.headers["content-type"] == V1


@pytest.mark.parametrize(
    "body",
    [
        {"schema": 5},
        {"schema": {"type": "string"}},
        {**SCHEMA, "references": {}},
        {**SCHEMA, "references": ["x"]},
        {**SCHEMA, "references": [{"name": 1, "subject": "s", "version": 1}]},
        {**SCHEMA, "references": [{"name": "n", "subject": "s", "version": "1"}]},
        {**SCHEMA, "id": "1"},
        {**SCHEMA, "id": 1.5},
        {**SCHEMA, "version": True},
        {**SCHEMA, "metadata": []},
        {**SCHEMA, "ruleSet": "x"},
        {**SCHEMA, "schemaType": 1},
    ],
)
def test_section_1_a_property_of_another_type_is_400(api: Calls, body: dict[str, Any]) -> None:
    api.refused(api.post("/subjects/s/versions", body), 400)


@pytest.mark.parametrize(
    "path", ["/nope", "/subjects/", "/subjects//versions", "/schemas/ids/abc", "/schemas/ids", "/subjects/s/x"]
)
def test_section_1_an_unknown_path_is_404(api: Calls, path: str) -> None:
    assert api.get(path) == (404, {"error_code": 404, "message": "HTTP 404 Not Found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/subjects"),
        ("POST", "/config"),
        ("PATCH", "/mode"),
        ("DELETE", "/schemas/types"),
        ("PUT", "/subjects/s/versions/1"),
    ],
)
def test_section_1_a_wrong_method_is_405(api: Calls, method: str, path: str) -> None:
    assert api.call(method, path) == (405, {"error_code": 405, "message": "HTTP 405 Method Not Allowed"})
    assert "GET" in api.client.request(method, path).headers["allow"] or method == "PUT"


def test_section_1_no_token_or_a_wrong_one_is_401(api: Calls) -> None:
    for header in (
        "",
        "Bearer ",
        "Bearer x",
        "Basic !",
        "Basic eA==",
        "Digest x",
        "Bearer " + "x" * 5000,
        "Basic 4pyT4p",
    ):
        found = api.client.get("/subjects", headers={"Authorization": header})
        assert (found.status_code, found.json()["error_code"]) == (401, 401)
        assert "Basic" in found.headers["www-authenticate"]
    assert api.client.post("/subjects/s/versions", json={}, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_421(api: Calls, host: str) -> None:
    found = api.client.get("/subjects", headers={"Host": host})
    assert (found.status_code, found.json()["error_code"]) == (421, 421)


def test_section_1_bodies_of_several_hundred_kb_are_taken(api: Calls) -> None:
    wide = rec(*(f(f"field_{n}", ["null", "string"], default=None, doc="what it is " * 4) for n in range(6_000)))
    assert len(json.dumps(wide)) > 600_000
    assert api.register("wide", wide) == (200, {"id": 1})
    assert api.register("wide", wide) == (200, {"id": 1})
    assert api.register("long", rec(doc="d" * 900_000)) == (200, {"id": 2})


def test_G17_a_larger_one_is_413(api: Calls) -> None:
    found = api.client.post("/subjects/s/versions", content=b'{"schema":"' + b"x" * (9 * 1024 * 1024) + b'"}')
    assert (found.status_code, found.json()["error_code"]) == (413, 413)


def test_section_1_under_a_prefix_everything_is_the_same(api: Calls) -> None:
    assert api.post("/registry/subjects/a%2Fb/versions", SCHEMA) == (200, {"id": 1})
    assert api.get("/registry/subjects/a%2Fb/versions/1/schema") == (200, "string")
    assert api.get("/registry") == api.get("/registry/") == api.get("/") == (200, {})
    assert api.get("/registryx/subjects")[0] == 404

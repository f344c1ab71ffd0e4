"""Who may read and write: tokens as bearer and as basic password, agencies and their prefixes, a line for each change."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from hub.store import Store
from tests.registry.calls import OPERATOR, Calls, Served, rec, text

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
BODY = {"schema": text(rec())}


def token_of(store: Store, agency: str, *, lifetime_ms: int | None = None) -> str:
    return store.tokens.issue(agency, role="agency", lifetime_ms=lifetime_ms).secret


@pytest.fixture
def library(served: Served, store: Store) -> Iterator[Calls]:
    """The API as the agency `library` calls it."""
    with served.calling(store, token_of(store, "library")) as calls:
        yield calls


def test_reads_are_for_every_agency(api: Calls, store: Store) -> None:
    api.registered("other.x.y.v1-value", rec())
    headers = {"Authorization": f"Bearer {token_of(store, 'library')}"}
    for path in ("/", "/subjects", "/schemas/ids/1", "/subjects/other.x.y.v1-value/versions/1", "/config", "/mode"):
        assert api.client.get(path, headers=headers).status_code == 200
    for path in ("/subjects/other.x.y.v1-value", "/compatibility/subjects/other.x.y.v1-value/versions"):
        assert api.client.post(path, headers=headers, json=BODY).status_code == 200


def test_an_agency_writes_subjects_of_its_own_prefix(library: Calls) -> None:
    own, others = "library.culture.branch.v1-value", ("other.x-value", "library", "libraryx.y", "grant.g-value")
    assert library.post(f"/subjects/{own}/versions", BODY) == (200, {"id": 1})
    assert library.put(f"/config/{own}", {"compatibility": "FULL"})[0] == 200
    assert library.put(f"/mode/{own}", {"mode": "READONLY"})[0] == 200
    assert library.delete(f"/mode/{own}")[0] == 200
    assert library.delete(f"/config/{own}")[0] == 200
    assert library.delete(f"/subjects/{own}/versions/1")[0] == 200
    assert library.delete(f"/subjects/{own}", permanent=True)[0] == 200
    for subject in others:
        for refused in (
            library.post(f"/subjects/{subject}/versions", BODY),
            library.delete(f"/subjects/{subject}"),
            library.delete(f"/subjects/{subject}/versions/1"),
            library.put(f"/config/{subject}", {"compatibility": "FULL"}),
            library.delete(f"/config/{subject}"),
            library.put(f"/mode/{subject}", {"mode": "READONLY"}),
            library.delete(f"/mode/{subject}"),
        ):
            library.refused(refused, 403, "library.")


def test_what_holds_for_all_is_the_operators(library: Calls, api: Calls) -> None:
    for method, path, body in (
        ("PUT", "/config", {"compatibility": "NONE"}),
        ("DELETE", "/config", None),
        ("PUT", "/mode", {"mode": "READONLY"}),
        ("DELETE", "/mode", None),
    ):
        library.refused(library.call(method, path, body), 403, "operator")
        assert api.call(method, path, body)[0] == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_a_token_is_the_password_of_basic_authentication(api: Calls, store: Store) -> None:
    token = token_of(store, "library")
    for headers in (basic("library", token), basic("operator", OPERATOR), {"Authorization": f"bearer  {token} "}):
        assert api.client.get("/subjects", headers=headers).status_code == 200
    assert api.client.post("/subjects/other-value/versions", json=BODY, headers=basic("x", token)).status_code == 403
    for headers in (basic(token, ""), basic("library", token[:-1]), basic("library", "é"), {"Authorization": "Basic"}):
        assert api.client.get("/subjects", headers=headers).status_code == 401


def test_G12_an_expired_or_revoked_token_is_refused(
    api: Calls, store: Store, now: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = {"Authorization": f"Bearer {token_of(store, 'library', lifetime_ms=999)}"}
    now[0] = 1_000
    assert api.client.get("/subjects", headers=expired).status_code == 401
    issued = store.tokens.issue("library", role="agency", lifetime_ms=None)
    headers = {"Authorization": f"Bearer {issued.secret}"}
    assert api.client.get("/subjects", headers=headers).status_code == 200
    store.tokens.revoke(issued.id)
    monkeypatch.setattr("hub.registry.access.FRESH_S", 0.0)  # as if that time had passed
    assert api.client.get("/subjects", headers=headers).status_code == 401


def test_S15_each_change_leaves_a_line_and_nothing_secret(library: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    subject = "library.b-value"
    library.registered(subject, rec())
    library.registered(subject, rec())  # no change
    library.put(f"/config/{subject}", {"compatibility": "FULL"})
    library.put(f"/mode/{subject}", {"mode": "READWRITE"})
    library.delete(f"/mode/{subject}")
    library.delete(f"/config/{subject}")
    library.delete(f"/subjects/{subject}")
    library.delete(f"/subjects/{subject}", permanent=True)
    lines = [line for line in capfd.readouterr().err.splitlines() if "datong.registry" in line]
    assert len(lines) == 7
    assert all("by=library" in line and subject in line for line in lines)
    assert not any(library.client.headers["authorization"][7:] in line for line in lines)


def test_health_needs_no_token(api: Calls) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        found = api.client.get(path, headers={"Authorization": ""})
        assert (found.status_code, found.json()["status"]) == (200, "ok")


def test_the_openapi_document_names_every_path(api: Calls) -> None:
    found = api.client.get("/openapi.json")
    assert found.headers["content-type"] == "application/json"
    paths = json.loads(found.content)["paths"]
    assert len(paths) == 28
    assert "/subjects/{subject}/versions/{version}" in paths

"""The API in one process: who may ask, what refusals look like, and what an agency gets (S8, S13, S16, S17)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import fastavro
import httpx
import pyarrow as pa
import pytest
from anyio.from_thread import start_blocking_portal
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from hub.api.app import create_app, registry_app
from hub.api.problems import problem
from hub.app import Hub
from hub.cli.inprocess import AppTransport, in_process
from hub.delivery.formats import FORMATS
from hub.directory import Directory
from hub.errors import DirectoryInUse
from hub.settings import load_settings
from tests.support.projects import make_project

TOPIC = "city-library.culture.branch.v1"
CANARY = "canary-Zq81"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "p")


@pytest.fixture
def operator(project: Path) -> Iterator[httpx.Client]:
    loaded = load_settings(project, env={})
    with in_process(loaded, Directory(loaded.settings.data_path)) as client:
        yield client


def run(client: httpx.Client, name: str = "city-library-branches") -> dict[str, object]:
    started = client.post(f"/api/v1/connectors/{name}/runs", json={}).json()
    while True:
        found: dict[str, object] = client.get(
            f"/api/v1/connectors/{name}/runs/{started['run']}", params={"wait_ms": 1000}
        ).json()
        if found["state"] != "running":
            return found


def agency(client: httpx.Client, name: str = "city-planning") -> dict[str, str]:
    token = client.post("/api/v1/tokens", json={"agency": name}).json()["token"]
    return {"Authorization": f"Bearer {token}"}


def records(client: httpx.Client, headers: dict[str, str], **params: object) -> httpx.Response:
    return client.get(f"/api/v1/topics/{TOPIC}/consumers/g/records", headers=headers, params=params)  # type: ignore[arg-type]


def test_health_needs_no_token_and_operators_do(operator: httpx.Client) -> None:
    anonymous = {"Authorization": ""}
    assert operator.get("/livez", headers=anonymous).json() == {"status": "ok"}
    assert operator.get("/readyz", headers=anonymous).json()["checks"] == {"log": "ok", "store": "ok"}
    refused = operator.get("/api/v1/connectors", headers=anonymous)
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert operator.get("/metrics", headers=anonymous).status_code == 401
    assert "datong_build_info" in operator.get("/metrics").text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(operator: httpx.Client, host: str) -> None:
    assert operator.get("/livez", headers={"Host": host}).status_code == 421


def test_S19_a_foreign_origin_is_refused(operator: httpx.Client) -> None:
    answer = operator.post("/api/v1/reload", headers={"Origin": "http://evil.example"}, json={})
    assert answer.status_code == 403


def test_G17_a_large_body_is_refused(operator: httpx.Client) -> None:
    answer = operator.post("/api/v1/tokens", content=b"x" * (9 * 1024 * 1024))
    assert answer.status_code == 413


def test_agencies_are_no_operators_and_operators_no_agencies(operator: httpx.Client) -> None:
    run(operator)
    mine = agency(operator)
    assert operator.get("/api/v1/connectors", headers=mine).status_code == 403
    assert records(operator, {}).status_code == 403
    assert records(operator, {"Authorization": "Bearer dtg.0000.nope"}).status_code == 401


def test_S8_without_grant_a_topic_does_not_exist(operator: httpx.Client) -> None:
    run(operator)
    other = agency(operator, "city-library")
    refused = records(operator, other)
    unknown = operator.get("/api/v1/topics/city-library.culture.nothing.v1/consumers/g/records", headers=other)
    assert refused.status_code == unknown.status_code == 404
    assert refused.json()["code"] == unknown.json()["code"]


def test_G11_a_subscriber_gets_its_fields_and_rows_only(operator: httpx.Client) -> None:
    run(operator)
    answer = records(operator, agency(operator)).json()
    assert [{k: v for k, v in r.items() if not k.startswith("_")} for r in answer["records"]] == [
        {"branch_id": "B-001", "district": "North", "seats": 240},
        {"branch_id": "B-003", "district": "North", "seats": 18},
    ]
    assert {r["_op"] for r in answer["records"]} == {"upsert"}


def test_R24_commit_moves_the_group_and_another_reader_waits(operator: httpx.Client) -> None:
    run(operator)
    mine = agency(operator)
    first = {**mine, "X-Datong-Reader": "one"}
    positions = records(operator, first).json()["positions"]
    assert records(operator, {**mine, "X-Datong-Reader": "two"}).status_code == 409
    base = f"/api/v1/topics/{TOPIC}/consumers/g"
    assert operator.post(f"{base}/offsets", headers=first, json={"positions": positions}).json()["lag"] == 0
    assert records(operator, first).json()["records"] == []
    operator.post(f"{base}/seek", headers=first, json={"to": "earliest"})
    assert len(records(operator, first).json()["records"]) == 2


def test_R27_csv_and_ndjson(operator: httpx.Client) -> None:
    run(operator)
    mine = agency(operator)
    lines = records(operator, {**mine, "Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line)["branch_id"] for line in lines] == ["B-001", "B-003"]
    table = records(operator, {**mine, "Accept": "text/csv"}).text.splitlines()
    assert "branch_id" in table[0]
    assert len(table) == 3


def test_R27_R23_arrow_container_file_and_framed_avro(operator: httpx.Client) -> None:
    run(operator)
    mine = agency(operator)
    expected = [("B-001", "North", 240), ("B-003", "North", 18)]
    kinds = ("vnd.apache.arrow.stream", "vnd.apache.avro", "vnd.confluent.avro")
    arrow, avro, framed = (records(operator, {**mine, "Accept": f"application/{kind}"}) for kind in kinds)
    assert [a.headers["content-type"] for a in (arrow, avro, framed)] == [f"application/{kind}" for kind in kinds]
    rows = pa.ipc.open_stream(arrow.content).read_all().to_pylist()
    assert [(r["branch_id"], r["district"], r["seats"]) for r in rows] == expected
    rows = list(fastavro.reader(io.BytesIO(avro.content)))  # type: ignore[arg-type]
    assert [(r["branch_id"], r["district"], r["seats"], r["_op"]) for r in rows] == [(*e, "upsert") for e in expected]
    schema_id = int(framed.headers["x-datong-schema-id"])
    assert framed.content.count(b"\0" + schema_id.to_bytes(4, "big") + b"\nB-00") == 2


@pytest.mark.parametrize("form", [form.media_type for form in FORMATS])
def test_R3_R24_every_form_tells_positions_lag_gaps_and_reset_in_headers(operator: httpx.Client, form: str) -> None:
    run(operator)
    answer = records(operator, {**agency(operator), "Accept": form})
    told = {
        name: answer.headers[f"x-datong-{name}"] for name in ("topic", "group", "grant", "records", "reset", "gaps")
    }
    assert told == {
        "topic": TOPIC, "group": "g", "grant": "planning-branches", "records": "2", "reset": "false", "gaps": "[]"
    }  # fmt: skip
    positions = {int(p): at for p, at in json.loads(answer.headers["x-datong-positions"]).items()}
    assert sum(positions.values()) >= 2
    assert int(answer.headers["x-datong-lag"]) == 0
    assert answer.headers["vary"] == "Accept"
    body = answer.json() if form == "application/json" else {}
    assert {str(p): at for p, at in positions.items()} == body.get(
        "positions", {str(p): at for p, at in positions.items()}
    )


def test_R27_R35_what_is_not_offered_is_406_with_what_there_is(operator: httpx.Client) -> None:
    run(operator)
    refused = records(operator, {**agency(operator), "Accept": "image/png, text/csv;q=0"})
    assert refused.status_code == 406
    assert refused.json()["code"] == "NotAcceptable"
    assert refused.json()["available"] == [form.media_type for form in FORMATS]


def test_G12_a_revoked_token_and_a_withdrawn_grant_end_at_once(operator: httpx.Client, project: Path) -> None:
    run(operator)
    made = operator.post("/api/v1/tokens", json={"agency": "city-planning"}).json()
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert records(operator, mine).status_code == 200
    (project / "grants.d/planning.yaml").unlink()
    operator.post("/api/v1/reload", json={})
    assert records(operator, mine).status_code == 404
    operator.delete(f"/api/v1/tokens/{made['id']}")
    assert records(operator, mine).status_code == 401


def test_a_second_hub_on_one_directory_is_refused(operator: httpx.Client, project: Path) -> None:
    assert operator.get("/livez").status_code == 200
    with pytest.raises(DirectoryInUse, match="in use"):
        Directory(project / "var").acquire()


def test_the_operators_token_is_private(operator: httpx.Client, project: Path) -> None:
    assert operator.get("/livez").status_code == 200
    assert (project / "var/operator.token").stat().st_mode & 0o777 == 0o600
    assert (project / "var/log.db").stat().st_mode & 0o777 == 0o600


def test_S16_data_and_tokens_are_in_no_answer_of_the_operator(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "data/branches.csv").write_text(
        f"Code,Name,District,Seats,Opened\n{CANARY},{CANARY},{CANARY},{CANARY},{CANARY}\nb,ok,North,5,\n"
    )
    loaded = load_settings(project, env={"DATONG_LOGGING__LEVEL": "debug", "DATONG_LOGGING__FORMAT": "json"})
    with in_process(loaded, Directory(loaded.settings.data_path)) as client:
        run(client)
        token = client.post("/api/v1/tokens", json={"agency": "city-planning"}).json()["token"]
        cases = client.get("/api/v1/quarantine").json()["cases"]
        assert len(cases) == 1
        paths = ["connectors", "topics", "quarantine", f"quarantine/{cases[0]['case']}", "config", "tokens", "schemas"]
        texts = [client.get(f"/api/v1/{p}").text for p in paths] + [client.get("/metrics").text]
        secret = (project / "var/operator.token").read_text()
    printed = capfd.readouterr()
    for text in [*texts, printed.out, printed.err]:
        assert CANARY not in text
        assert token not in text
        assert secret not in text


def test_a_framework_refusal_is_a_problem_too(operator: httpx.Client) -> None:
    missing = operator.get("/api/v1/nothing")
    assert missing.headers["content-type"] == "application/problem+json"
    assert (missing.json()["code"], "openapi.json" in missing.json()["remedy"]) == ("NotFound", True)
    assert operator.put("/livez").json()["code"] == "MethodNotAllowed"
    wrong = operator.post("/api/v1/tokens", json={"agency": "city-planning", "sudo": True})
    assert wrong.status_code == 422
    assert "sudo" in json.dumps(wrong.json()["mistakes"])


def test_requests_to_the_registry_are_counted_by_route_wherever_it_answers(project: Path) -> None:
    """Under /registry and at the root of a port of its own: one label for both, and never what was asked for."""
    loaded = load_settings(project, env={})
    token = Directory(loaded.settings.data_path).operator_token()
    with Hub.open(loaded) as hub, start_blocking_portal() as portal:

        def client(app: ASGIApp) -> httpx.Client:
            transport = AppTransport(httpx.ASGITransport(app=app), portal)
            return httpx.Client(
                transport=transport, base_url="http://localhost", headers={"Authorization": f"Bearer {token}"}
            )

        with client(create_app(hub)) as beside, client(registry_app(hub)) as alone:
            body = {"schema": json.dumps({"type": "string"})}
            made = beside.post(f"/registry/subjects/{CANARY}-value/versions", json=body)
            assert made.status_code == 200
            schema_id = made.json()["id"]
            for _ in range(2):  # by the route, then from what is at hand
                assert alone.get(f"/schemas/ids/{schema_id}").status_code == 200
            assert alone.get(f"/subjects/{CANARY}-none/versions").status_code == 404
            assert alone.get(f"/{CANARY}/nowhere").status_code == 404
            assert alone.request(CANARY, "/subjects").status_code == 405
            text = beside.get("/metrics").text
    counted = {
        (labels["route"], labels["method"], labels["code"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "datong_http_request_duration_seconds_count"
        for labels in (sample.labels,)
    }
    assert counted["/registry/subjects/{subject}/versions", "POST", "200"] == 1
    assert counted["/registry/schemas/ids/{id}", "GET", "200"] == 2
    assert counted["/registry/subjects/{subject}/versions", "GET", "404"] == 1
    assert counted["unknown", "GET", "404"] == 1
    assert CANARY not in text


def test_S15_half_of_a_surrogate_pair_in_a_refusal_is_answered() -> None:
    assert json.loads(problem(422, "SchemaInvalid", 'a name is "\ud800名"').body)["detail"] == 'a name is "?名"'

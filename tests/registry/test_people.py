"""For people: differences in words, the try-out, who uses a subject, and what a connector's publisher is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.affected import affected
from hub.access.grants import Grant
from hub.cli import templates
from hub.cli.inprocess import in_process
from hub.directory import Directory
from hub.settings import load_settings
from tests.registry.calls import Calls, f, rec, text
from tests.support.projects import make_project

SUBJECT = "city-library.culture.branch.v1-value"
SCHEMA = json.loads(templates.SCHEMA)


def grant(*fields: str, name: str = "g", topic: str = "t", where: tuple[str, ...] = ()) -> Grant:
    return Grant(
        name=name,
        agency="a",
        topic=topic,
        purpose="p",
        fields=fields,
        filter_fields=where,
        where="x" if where else None,
    )


@pytest.mark.parametrize(
    ("paths", "touched"),
    [
        (["name"], "one"),
        (["home"], "two three"),
        (["home.street"], "two three"),
        (["home.city"], "two"),
        (["list[].x"], "four"),
        (["map{}"], "four"),
        (["secret"], "five"),
        ([""], "one two three four five"),
        (["names"], ""),
        ([], ""),
        (["name", "secret"], "one five"),
    ],
)
def test_a_subscription_is_touched_by_what_it_reads(paths: list[str], touched: str) -> None:
    grants = [
        grant("name", name="one"),
        grant("home", name="two"),
        grant("home.street", name="three"),
        grant("list", "map", name="four"),
        grant("id", name="five", where=("secret",)),
        grant("name", name="other", topic="u"),
    ]
    assert [g.name for g in affected(grants, "t", paths)] == touched.split()


def test_the_diff_between_versions(api: Calls) -> None:
    one, two = rec(f("id", "string")), rec(f("id", "string"), f("n", "int", default=0))
    api.registered("s", one)
    api.registered("s", two)
    status, found = api.get("/-/diff", subject="s")
    assert status == 200
    assert (found["from"], found["to"], found["breaks"]) == (1, 2, [])
    (change,) = found["changes"]
    assert (change["path"], change["text"]) == ("n", "is new (int); records written before have 0 there")
    assert change["what"] == {"code": "ADDED_WITH_DEFAULT", "about": {"type": "int", "value": "0"}}
    assert api.get("/-/diff", subject="s", **{"from": "2", "to": "1"})[1]["changes"][0]["kind"] == "REMOVED"
    assert api.get("/-/diff", subject="s", **{"from": "2", "to": "2"})[1]["changes"] == []
    api.refused(api.get("/-/diff", subject="none"), 40401)
    api.refused(api.get("/-/diff", subject="s", to="9"), 40402)
    api.refused(api.get("/-/diff", subject="s", to="x"), 42202)


def test_the_try_out_never_registers(api: Calls) -> None:
    body = {"schema": text(rec(f("pupils")))}
    found = api.post("/-/check", body, subject="s")[1]
    assert (found["compatible"], found["difference"], found["reasons"]) == (True, None, [])
    api.registered("s", rec())
    found = api.post("/-/check", body, subject="s")[1]
    assert (found["compatible"], found["level"], found["difference"]["from"]) == (False, "BACKWARD", 1)
    (reason,) = found["reasons"]
    assert (reason["version"], reason["path"], reason["kind"]) == (1, "pupils", "READER_FIELD_MISSING_DEFAULT_VALUE")
    assert reason["why"]["code"] == "FIELD_MISSING"
    assert reason["why"]["about"]["writer"] == {"code": "version", "about": {"version": "1"}}
    assert reason["message"].startswith("the new schema needs this field, version 1 does not write it")
    assert api.get("/subjects/s/versions") == (200, [1])
    api.refused(api.post("/-/check", {"schema": "{"}, subject="s"), 42201)
    api.refused(api.post("/-/check", {}, subject="s"), 42201)


def test_a_registry_alone_knows_nobody(api: Calls) -> None:
    found = api.get("/-/uses", subject="s")[1]
    assert found == {"subject": "s", "topic": None, "connectors": [], "subscriptions": []}


# -- inside a hub


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "p")


@pytest.fixture
def hub(project: Path) -> Iterator[httpx.Client]:
    loaded = load_settings(project, env={})
    with in_process(loaded, Directory(loaded.settings.data_path)) as client:
        yield client


def run(client: httpx.Client) -> dict[str, Any]:
    client.post("/api/v1/reload", json={})
    path = "/api/v1/connectors/city-library-branches/runs"
    started = client.post(path, json={}).json()
    while (found := client.get(f"{path}/{started['run']}", params={"wait_ms": 1000}).json())["state"] == "running":
        pass
    return dict(found)


def test_the_hub_knows_who_uses_a_subject(hub: httpx.Client) -> None:
    assert run(hub)["state"] == "completed"
    token = hub.post("/api/v1/tokens", json={"agency": "city-planning"}).json()["token"]
    topic = SUBJECT.removesuffix("-value")
    read = hub.get(f"/api/v1/topics/{topic}/consumers/map/records", headers={"Authorization": f"Bearer {token}"})
    assert read.status_code == 200
    found = hub.get("/registry/-/uses", params={"subject": SUBJECT}).json()
    assert (found["topic"], found["connectors"]) == (topic, ["city-library-branches"])
    (subscription,) = found["subscriptions"]
    assert subscription == {
        "agency": "city-planning",
        "grant": "planning-branches",
        "fields": ["branch_id", "district", "seats"],
        "groups": ["map"],
    }


def test_a_change_names_the_subscriptions_that_it_breaks(hub: httpx.Client) -> None:
    run(hub)
    gone = {**SCHEMA, "fields": [x for x in SCHEMA["fields"] if x["name"] != "seats"]}
    found = hub.post("/registry/-/check", params={"subject": SUBJECT}, json={"schema": json.dumps(gone)}).json()
    assert found["compatible"]  # by Avro's rules; a grant that names the field is another matter
    assert [s["grant"] for s in found["breaks"]] == ["planning-branches"]
    other = {**SCHEMA, "fields": [x for x in SCHEMA["fields"] if x["name"] != "opened_on"]}
    found = hub.post("/registry/-/check", params={"subject": SUBJECT}, json={"schema": json.dumps(other)}).json()
    assert (found["compatible"], found["breaks"]) == (True, [])


@pytest.mark.parametrize(
    ("name", "whom"), [("seats", "planning-branches of city-planning"), ("opened_on", "no subscription")]
)
def test_G10_R35_an_incompatible_schema_is_refused_before_it_reaches_the_topic(
    hub: httpx.Client, project: Path, name: str, whom: str
) -> None:
    """The message names field, reason, the subscriptions that it would break, and what to do."""
    file = project / "schemas" / "culture" / "branch.avsc"
    file.write_text(schema_with("seats", "long"), encoding="utf-8")
    assert run(hub)["state"] == "completed"
    file.write_text(schema_with("seats", "long" if name != "seats" else "int", required=name), encoding="utf-8")
    before = hub.get(f"/api/v1/topics/{SUBJECT.removesuffix('-value')}").json()
    failed = run(hub)
    assert (failed["state"], failed["exit_code"]) == ("failed", 3)
    for word in ("SchemaIncompatible", SUBJECT, f"{name}: the new schema", "version 1", "cannot read", whom, ".v2"):
        assert word in failed["error"], failed["error"]
    after = hub.get(f"/api/v1/topics/{SUBJECT.removesuffix('-value')}").json()
    assert (before["offsets"], before["schema_id"]) == (after["offsets"], after["schema_id"])
    assert hub.get(f"/registry/subjects/{SUBJECT}/versions").json() == [1]


def schema_with(name: str, kind: str, required: str = "") -> str:
    """The schema with another type of a field, and a field that may be null no more."""
    fields = [{**x, "type": kind} if x["name"] == name else x for x in SCHEMA["fields"]]
    fields = [required_field(x) if x["name"] == required else x for x in fields]
    return json.dumps({**SCHEMA, "fields": fields})


def required_field(field: dict[str, Any]) -> dict[str, Any]:
    kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
    return {**{k: v for k, v in field.items() if k != "default"}, "type": kind}

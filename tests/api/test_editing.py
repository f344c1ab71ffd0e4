"""Editing connectors through the API: by text and revision, checked before anything is written (G9, G13, R13, R18, R35)."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import outcome

NAME = "city-library-branches"
TOPIC = "city-library.culture.branch.v1"
APPEND = {"mode: snapshot": "mode: append", "  key: [branch_id]\n": ""}
CANARY = "Central"  # stands in the file, and in no answer


def config(place: Path) -> Path:
    return place / "connectors.d/city-library-branches.yaml"


def text_of(api: httpx.Client, name: str = NAME) -> tuple[str, str]:
    answer = api.get(f"connectors/{name}/config")
    assert answer.status_code == 200, answer.text
    return answer.text, answer.headers["etag"]


def put(api: httpx.Client, text: str, etag: str | None, name: str = NAME) -> httpx.Response:
    headers = {} if etag is None else {"If-Match": etag}
    return api.put(f"connectors/{name}/config", content=text.encode(), headers=headers)


def run(api: httpx.Client, name: str = NAME) -> dict[str, int]:
    started = api.post(f"connectors/{name}/runs", json={}).json()
    assert "run" in started, started
    record = outcome(api, started["run"], name)
    assert record["state"] == "completed", record
    return {k: v for k, v in record["totals"].items() if v}


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_file_is_read_and_replaced_by_its_revision(api: httpx.Client, place: Path) -> None:
    text, etag = text_of(api)
    assert text == config(place).read_text()
    new = changed(text, {"every 1h": "every 2h"})
    saved = put(api, new, etag)
    assert (saved.status_code, saved.json()["created"]) == (200, False)
    assert config(place).read_text() == new
    assert saved.headers["etag"] == text_of(api)[1] != etag
    assert api.get(f"connectors/{NAME}").json()["schedule"] == "every 2h", "the hub has read it"
    assert [p.name for p in config(place).parent.iterdir()] == [config(place).name], "nothing is left beside it"


def test_who_changes_an_old_revision_is_told_and_changes_nothing(api: httpx.Client, place: Path) -> None:
    text, etag = text_of(api)
    assert put(api, changed(text, {"1h": "2h"}), etag).status_code == 200
    late = put(api, changed(text, {"1h": "3h"}), etag)
    assert (late.status_code, late.json()["code"]) == (412, "RevisionChanged")
    assert "every 2h" in config(place).read_text()
    assert put(api, text, None).status_code == 409, "without If-Match it would be a second one of this name"
    assert put(api, text, "W/" + etag).status_code == 412, "a weak tag says nothing of bytes"
    assert put(api, text, "*").status_code == 200
    assert put(api, text, '"x"', "nobody").status_code == 404


def test_R35_a_text_with_mistakes_is_refused_with_all_of_them_and_nothing_is_written(
    api: httpx.Client, place: Path
) -> None:
    text, etag = text_of(api)
    bad = changed(text, {"every 1h": "now and then", "trim(Name)": "trimm(Name)", "agency: city": "agenzy: city"})
    refused = put(api, bad, etag)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "ConfigurationInvalid")
    assert len(problem["mistakes"]) == 4
    assert config(place).read_text() == text
    checked = api.post("connectors/validate", content=bad.encode()).json()
    assert checked["valid"] is False
    assert {(m["line"], m["path"]) for m in checked["mistakes"]} >= {
        (2, "agenzy"),
        (6, "schedule"),
        (14, "publish.fields.name"),
    }
    assert all(m["message"] for m in checked["mistakes"])
    assert api.post("connectors/validate", content=text.encode()).json()["valid"] is True


def test_R13_columns_that_the_source_lacks_are_mistakes_before_anything_runs(api: httpx.Client) -> None:
    text, _etag = text_of(api)
    checked = api.post("connectors/validate", content=changed(text, {"trim(District)": "trim(Distrikt)"}).encode())
    (mistake,) = checked.json()["mistakes"]
    assert (mistake["path"], mistake["line"]) == ("publish.fields.district", 15)
    assert "District" in mistake["suggestion"]


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX alone")
def test_a_file_whose_name_is_no_text_is_a_mistake_that_can_be_told(api: httpx.Client, place: Path) -> None:
    for folder in ("topics.d", "connectors.d"):
        shutil.copy(config(place), os.fsencode(place / folder) + b"/\xb5\xd8.yaml")
    mistakes = api.post("reload", json={}).json()["mistakes"]
    assert [m for m in mistakes if "topics.d/??.yaml" in m and "not UTF-8" in m]
    assert [m for m in mistakes if "connectors.d/??.yaml" in m and "not UTF-8" in m]
    told = {alert["subject"] for alert in api.get("alerts").json()["alerts"]}
    assert {"topics.d/??.yaml", "connectors.d/??.yaml"} <= told
    assert text_of(api)[0] == config(place).read_text()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what the process has open as Linux tells it")
def test_a_look_at_the_source_leaves_nothing_open(api: httpx.Client, place: Path) -> None:
    database = place / "data/branches.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE branch (Code TEXT, Name TEXT, District TEXT, Seats TEXT, Opened TEXT)")
    files = 'kind: files\n  path: "data/branches*.csv"'
    table = 'kind: sql\n  url: "sqlite:///data/branches.db"\n  table: branch'
    text = changed(text_of(api)[0], {files: table, "seats: to_int(Seats)": "seats: to_int(NOTHING)"})
    gc.disable()  # what is only forgotten would go sooner or later
    try:
        (mistake,) = api.post("connectors/validate", content=text.encode()).json()["mistakes"]
        opened = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    finally:
        gc.enable()
    assert "NOTHING" in mistake["message"], "it was looked at"
    assert str(database) not in opened


def test_a_change_that_breaks_another_file_is_refused_with_that_files_line(api: httpx.Client, place: Path) -> None:
    text, etag = text_of(api)
    refused = put(api, changed(text, APPEND), etag)  # the topic has a scope, which only keyed ones may
    assert refused.status_code == 422
    assert any(m.startswith("topics.d/") for m in refused.json()["mistakes"]), refused.json()
    assert config(place).read_text() == text


def test_a_connector_stays_the_one_it_is(api: httpx.Client) -> None:
    text, etag = text_of(api)
    refused = put(api, changed(text, {f"connector: {NAME}": "connector: another"}), etag)
    assert refused.status_code == 422
    assert f"must stay `{NAME}`" in refused.json()["mistakes"][0]


def test_a_connector_is_created_stopped_and_deleted(api: httpx.Client, place: Path) -> None:
    text = changed(text_of(api)[0], {f"connector: {NAME}": "connector: second", "every 1h": "every 5h"})
    made = put(api, text, None, "second")
    assert (made.status_code, made.json()["file"]) == (201, "connectors.d/second.yaml")
    assert (place / "connectors.d/second.yaml").read_text() == text
    assert api.get("connectors/second").json()["schedule"] == "every 5h"
    assert api.delete("connectors/second/config").status_code == 409, "only a stopped one goes"
    api.put("connectors/second/stop")
    assert api.delete("connectors/second/config", headers={"If-Match": '"0"'}).status_code == 412
    assert api.delete("connectors/second/config").status_code == 204
    assert not (place / "connectors.d/second.yaml").exists()
    assert api.get("connectors/second").status_code == 404
    assert api.delete("connectors/second/config").status_code == 404


def test_a_connector_that_is_left_out_for_its_mistakes_can_be_read_and_mended(api: httpx.Client, place: Path) -> None:
    sound = config(place).read_text()
    config(place).write_text(changed(sound, {"trim(Name)": "trimm(Name)"}))
    api.post("reload")
    assert api.get(f"connectors/{NAME}").status_code == 404
    text, etag = text_of(api)
    assert "trimm" in text
    assert put(api, sound, etag).status_code == 200
    assert api.get(f"connectors/{NAME}").status_code == 200


@pytest.mark.parametrize("name", ["%2e%2e", "%2e%2e%2fdatong", "a%2fb", "a.yaml", "A", "a%00", "a%0a", "-", "x" * 101])
def test_S16_names_that_lead_elsewhere_name_nothing(api: httpx.Client, place: Path, name: str) -> None:
    before = sorted(p for p in place.rglob("*") if "var" not in p.parts)
    text = config(place).read_text()
    assert api.get(f"connectors/{name}/config").status_code == 404
    assert put(api, text, None, name).status_code in (404, 405, 422)
    assert api.delete(f"connectors/{name}/config").status_code in (404, 405)
    assert sorted(p for p in place.rglob("*") if "var" not in p.parts) == before


@pytest.mark.skipif(os.name != "posix", reason="links of a POSIX system")
def test_S16_a_link_is_neither_read_nor_written(api: httpx.Client, place: Path) -> None:
    text, etag = text_of(api)
    (place / "elsewhere.yaml").write_text(text)
    config(place).unlink()
    config(place).symlink_to(place / "elsewhere.yaml")
    (place / "connectors.d/linked.yaml").symlink_to(place / "datong.yaml")
    for answer in (api.get(f"connectors/{NAME}/config"), put(api, text, etag), api.get("connectors/linked/config")):
        assert (answer.status_code, answer.json()["code"]) == (409, "Conflict")
    named = changed(text, {f"connector: {NAME}": "connector: linked"})
    assert put(api, named, None, "linked").status_code == 409
    assert (place / "datong.yaml").read_text().startswith("#")


BAD = {
    "large": b"connector: a\n#" + b"x" * 1_000_000,
    "alias": b"connector: &a x\nagency: *a\n",
    "bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nconnector: *b\n",
    "deep": b"connector: " + b"[" * 500 + b"]" * 500,
    "tag": b"connector: !!python/object/apply:os.system [x]\n",
    "bytes": b"\xff\xfe\x00connector",
    "list": b"- connector\n",
    "empty": b"",
    "nul": b"connector: \x00",
    "kind": b"connector: a\nagency: city-library\nsource: {kind: telepathy}\npublish: 1\n",
    "types": b"connector: [a]\nagency: {}\nsource: 5\npublish: [x]\nschedule: {a: b}\n",
}


@pytest.mark.parametrize("text", BAD.values(), ids=list(BAD))
def test_S5_bad_texts_are_mistakes_never_errors(api: httpx.Client, text: bytes, place: Path) -> None:
    checked = api.post("connectors/validate", content=text)
    assert checked.status_code == 200
    assert checked.json()["valid"] is False
    assert checked.json()["mistakes"]
    assert api.post("connectors/preview", content=text).status_code == 422
    refused = put(api, text.decode("latin-1"), None, "fresh")
    assert (refused.status_code, bool(refused.json()["mistakes"])) == (422, True)
    assert not (place / "connectors.d/fresh.yaml").exists()


def test_G13_a_preview_shows_what_becomes_of_rows_and_no_value(api: httpx.Client, place: Path) -> None:
    text, _etag = text_of(api)
    assert CANARY in (place / "data/branches.csv").read_text()
    answer = api.post("connectors/preview", content=text.encode(), params={"limit": 2})
    shown = answer.json()
    assert [r["outcome"] for r in shown["rows"]] == ["published", "published"]
    assert shown["rows"][0]["source"]["Code"] == "x-999"
    assert shown["rows"][0]["result"]["branch_id"] == "x-999"
    assert CANARY not in answer.text
    failing = changed(text, {"seats > 0": "seats > 1000"})
    assert api.post("connectors/preview", content=failing.encode()).json()["published"] == 0
    assert api.get("topics").json()["topics"][0]["records"] == 0, "nothing was stored"


def test_a_source_that_one_reader_empties_is_not_looked_at(api: httpx.Client) -> None:
    text, _etag = text_of(api)
    mqtt = changed(text, {"kind: files": "kind: mqtt", 'path: "data/branches*.csv"': "host: 127.0.0.1\n  topics: [a]"})
    refused = api.post("connectors/preview", content=mqtt.encode())
    assert (refused.status_code, refused.json()["code"]) == (409, "Conflict"), refused.text
    forever = api.post("connectors/preview", content=changed(text, {"every 1h": "continuous"}).encode())
    assert forever.status_code == 409


def test_G9_a_fix_is_tried_on_quarantined_rows_before_it_is_saved(api: httpx.Client) -> None:
    text, etag = text_of(api)
    assert put(api, changed(text, {"seats > 0": "seats > 30"}), etag).status_code == 200
    counts = run(api)
    assert counts["quarantined"] > 0
    (case,) = [c for c in api.get("quarantine").json()["cases"] if c["reason"] == "CHECK_FAILED"]
    same = api.post("connectors/preview", content=text_of(api)[0].encode(), params={"case": case["case"]}).json()
    assert (same["published"], same["rejected"]) == (0, case["count"])
    assert same["rows"][0]["columns"] == ["Seats"], "what the check reads"
    assert api.get(f"quarantine/{case['case']}").json()["columns"] == ["Seats"]
    answer = api.post("connectors/preview", content=text.encode(), params={"case": case["case"]})
    fixed = answer.json()
    assert (fixed["published"], fixed["rejected"]) == (case["count"], 0)
    assert fixed["rows"][0]["result"]["seats"] == "99"
    assert case in api.get("quarantine").json()["cases"], "the rows stay where they are"
    assert api.post("connectors/preview", content=text.encode(), params={"case": "0" * 12}).status_code == 404


def stop(api: httpx.Client) -> None:
    assert api.put(f"connectors/{NAME}/stop").json()["state"] == "STOPPED"


def reset(api: httpx.Client, **more: object) -> httpx.Response:
    return api.post(f"connectors/{NAME}/reset", json={"reason": "the file was mended", **more})


def test_R18_a_reset_doubles_nothing_on_a_keyed_topic(api: httpx.Client) -> None:
    first = run(api)
    assert reset(api).status_code == 409, "only a stopped connector"
    stop(api)
    done = reset(api)
    assert (done.status_code, done.json()["reason"]) == (200, "the file was mended")
    assert api.get(f"connectors/{NAME}").json()["reason"] == "checkpoint reset: the file was mended"
    assert api.get(f"connectors/{NAME}/runs").json()["runs"][0]["reset"] == "the file was mended"
    api.put(f"connectors/{NAME}/resume")
    again = run(api)
    assert again == {"read": first["read"], "unchanged": first["published"], "quarantined": first["quarantined"]}
    runs = api.get(f"connectors/{NAME}/runs").json()["runs"]
    assert [bool(r["notes"] and "reset" in r["notes"][0]) for r in runs] == [False, True, False]


def test_G4_a_reset_of_mode_append_doubles_only_with_consent_and_under_the_same_ids(
    api: httpx.Client, place: Path
) -> None:
    topics = place / "topics.d"
    for path in topics.iterdir():
        path.write_text(path.read_text().replace("scope: [district]\n", ""))
    (place / "grants.d").rename(place / "no-grants")
    text, etag = text_of(api)
    assert put(api, changed(text, APPEND), etag).status_code == 200
    published = run(api)["published"]
    assert run(api).get("published") is None, "what was read is not read again"
    stop(api)
    assert reset(api).status_code == 409
    assert reset(api, accept_duplicates=True).status_code == 200
    api.put(f"connectors/{NAME}/resume")
    assert run(api)["published"] == published


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 501}, {"reason": 5}])
def test_a_reset_needs_a_reason(api: httpx.Client, body: dict[str, object]) -> None:
    stop(api)
    assert api.post(f"connectors/{NAME}/reset", json=body).status_code == 422
    assert api.post("connectors/nobody/reset", json={"reason": "x"}).status_code == 404


def test_a_failed_connector_runs_anew_by_a_restart(api: httpx.Client, place: Path) -> None:
    started = api.post(f"connectors/{NAME}/restart")
    assert started.status_code == 202
    assert outcome(api, started.json()["run"])["state"] == "completed"
    stop(api)
    assert api.post(f"connectors/{NAME}/restart").status_code == 409
    assert api.post("connectors/nobody/restart").status_code == 404


def test_editing_is_for_operators(api: httpx.Client) -> None:
    token = api.post("tokens", json={"agency": "city-planning"}).json()["token"]
    mine = {"Authorization": f"Bearer {token}"}
    for method, path in (
        ("GET", f"connectors/{NAME}/config"),
        ("PUT", f"connectors/{NAME}/config"),
        ("DELETE", f"connectors/{NAME}/config"),
        ("POST", "connectors/validate"),
        ("POST", "connectors/preview"),
        ("POST", f"connectors/{NAME}/reset"),
        ("POST", f"connectors/{NAME}/restart"),
    ):
        assert api.request(method, path, headers=mine).status_code == 403
        assert api.request(method, path, headers={"Authorization": ""}).status_code == 401

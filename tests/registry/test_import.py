"""Moving in from another registry: ids, versions, soft deletions, levels, modes and references, and every answer alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.from_thread
import pytest

from hub.errors import ConfigurationInvalid
from hub.registry.client import RegistryClient
from hub.registry.dump import Dump, DumpedVersion, from_lines, in_order, to_lines, version_to_json
from hub.registry.model import Reference
from hub.registry.schemas_topic import dump_of_records
from hub.registry.snapshot import snapshot
from hub.store import Store
from tests.registry.calls import Calls, Served, f, rec, text

ADDRESS = rec(f("street", "string"), name="Address", namespace="edu")
PERSON = rec(f("home", "edu.Address"), name="Person", namespace="edu")
REFERENCE = {"name": "edu.Address", "subject": "z/address é", "version": 1}


@pytest.fixture
def other(migrated_file: Path, tmp_path: Path) -> Iterator[Calls]:
    """Somebody else's registry."""
    shutil.copy(migrated_file, tmp_path / "other.db")
    with (
        Store.open(f"sqlite:///{tmp_path / 'other.db'}") as store,
        anyio.from_thread.start_blocking_portal() as portal,
        Served(portal).calling(store) as calls,
    ):
        fill(calls)
        yield calls


def fill(api: Calls) -> None:
    """A past with everything in it."""
    api.registered("filler", '"long"')
    api.registered("z/address é", ADDRESS)
    api.registered("a-person", PERSON, references=[REFERENCE])
    api.put("/config/s", {"compatibility": "NONE", "normalize": True})
    for n in range(4):
        api.registered("s", rec(f(f"f{n}"), x={"b": 1, "a": 2}), metadata={"properties": {"n": str(n)}})
    api.delete("/subjects/s/versions/2")
    api.delete("/subjects/s/versions/2", permanent=True)
    api.delete("/subjects/s/versions/3")
    api.delete("/subjects/filler")
    api.put("/mode/twins", {"mode": "IMPORT"})
    api.registered("twins", ADDRESS, id=90, version=7)
    api.put("/mode/twins", {"mode": "READONLY"})
    api.put("/config", {"compatibility": "FULL_TRANSITIVE"})
    api.delete("/subjects/z%2Faddress%20%C3%A9")  # refused: it is referred to
    api.delete("/subjects/a-person")
    api.delete("/subjects/z%2Faddress%20%C3%A9")


def taken(api: Calls, dump: Dump) -> dict[str, Any]:
    body = {"versions": [version_to_json(v) for v in dump.versions]}
    found: dict[str, Any] = api.post("/-/import", body)[1]
    settings = [
        {"subject": s.subject, "compatibility": s.level, "normalize": s.normalise, "mode": s.mode}
        for s in dump.settings
    ]
    assert api.post("/-/import", {"settings": settings})[0] == 200
    return found


def everything(api: Calls) -> dict[str, Any]:
    """The answer to every question that can be asked of what was filled in."""
    paths = ["/config", "/mode"]
    for subject in ("filler", "z/address é", "a-person", "s", "twins", "none"):
        name = quote(subject, safe="")
        paths += [f"/config/{name}", f"/mode/{name}", f"/config/{name}?defaultToGlobal=true"]
        paths += [f"/subjects/{name}/versions{more}" for more in ("", "?deleted=true", "?deletedOnly=true")]
        for version in (1, 2, 3, 4, 7, "latest"):
            paths += [
                f"/subjects/{name}/versions/{version}{more}"
                for more in ("", "?deleted=true", "/schema", "/referencedby?deleted=true")
            ]
    for number in (*range(1, 9), 90):
        paths += [
            f"/schemas/ids/{number}{more}" for more in ("", "/subjects?deleted=true", "/versions", "?fetchMaxId=true")
        ]
    paths += [f"/subjects{more}" for more in ("", "?deleted=true", "?deletedOnly=true")]
    paths += [f"/schemas{more}" for more in ("", "?deleted=true", "?latestOnly=true")]
    return {path: without_time(api.get(path)) for path in paths}


def without_time(found: Any) -> Any:
    if isinstance(found, dict):
        return {k: without_time(v) for k, v in found.items() if k != "ts"}
    return [without_time(v) for v in found] if isinstance(found, list | tuple) else found


def test_after_an_import_every_answer_is_the_same(other: Calls, api: Calls) -> None:
    dump = snapshot(RegistryClient(other.client))
    assert len(dump.versions) == 7
    assert taken(api, dump) == {"new": 7, "present": 0, "refused": []}
    assert everything(api) == everything(other)
    assert taken(api, dump) == {"new": 0, "present": 7, "refused": []}  # may be repeated
    assert everything(api) == everything(other)
    assert api.registered("later", rec(name="Later")) == 91
    api.refused(api.register("twins", rec()), 42205)


def test_an_export_is_a_file_that_imports_the_same(other: Calls, api: Calls) -> None:
    lines = list(to_lines(snapshot(RegistryClient(other.client))))
    assert taken(api, from_lines(lines))["new"] == 7
    assert everything(api) == everything(other)
    for wrong in ("{", "[]", "5", '{"version":1}', '{"subject":"s","version":"x","id":1,"schema":"y"}'):
        with pytest.raises(ConfigurationInvalid, match="line 2"):
            from_lines([lines[0], wrong])
    with pytest.raises(ConfigurationInvalid, match="line 1"):
        from_lines(['{"format":9}'])


def test_what_is_another_thing_here_is_refused_and_named(other: Calls, api: Calls) -> None:
    api.registered("own", rec(name="Own"))  # id 1 is taken
    api.put("/mode/z%2Faddress%20%C3%A9", {"mode": "IMPORT"})
    api.registered("z/address é", rec(name="Own"), id=1, version=1)
    before = api.get("/subjects/z%2Faddress%20%C3%A9/versions/1")
    found = taken(api, snapshot(RegistryClient(other.client)))
    refused = {(r["subject"], r["version"]): r["why"] for r in found["refused"]}
    assert "id 1 is another schema" in refused["filler", 1]
    assert "this version is another schema" in refused["z/address é", 1]
    assert "it refers to z/address é version 1, which was refused" in refused["a-person", 1]
    assert found["new"] == 4
    assert api.get("/subjects/z%2Faddress%20%C3%A9/versions/1") == before


def test_an_import_never_changes_the_id_of_a_version(api: Calls) -> None:
    api.registered("s", rec())
    found = taken(api, Dump(versions=(DumpedVersion(subject="s", version=1, id=9, text=text(rec())),)))
    assert found["refused"][0]["why"] == "this version has id 1 here"


@pytest.mark.parametrize(
    "version",
    [
        {"subject": "s\n", "version": 1, "id": 1, "schema": '"int"'},
        {"subject": "s", "version": 0, "id": 1, "schema": '"int"'},
        {"subject": "s", "version": 1, "id": 2**31, "schema": '"int"'},
        {"subject": "s", "version": 1, "id": 1, "schema": "{"},
        {
            "subject": "s",
            "version": 1,
            "id": 1,
            "schema": '"int"',
            "references": [{"name": "n", "subject": "x", "version": 1}],
        },
        {"subject": "s", "version": 1, "id": 1, "schema": '"int"', "metadata": {"\ud800": 1}},
    ],
)
def test_S23_what_cannot_be_is_refused_and_the_rest_goes_on(api: Calls, version: dict[str, Any]) -> None:
    good = {"subject": "good", "version": 3, "id": 7, "schema": '"long"'}
    found = api.post("/-/import", {"versions": [version, good]})[1]
    assert (found["new"], len(found["refused"])) == (1, 1)
    assert api.get("/schemas/ids/7")[0] == 200
    assert api.get("/subjects") == (200, ["good"])


@pytest.mark.parametrize(
    "body", [{"versions": 5}, {"versions": [5]}, {"versions": [{}]}, {"settings": [{}]}, {"settings": [[]]}]
)
def test_a_body_that_is_no_import_is_400(api: Calls, body: Any) -> None:
    api.refused(api.post("/-/import", body), 400)


def test_a_wrong_level_or_mode_is_refused(api: Calls) -> None:
    api.refused(api.post("/-/import", {"settings": [{"subject": None, "compatibility": "UP"}]}), 42203)
    api.refused(api.post("/-/import", {"settings": [{"subject": None, "mode": "UP"}]}), 42204)


def test_versions_come_after_those_they_refer_to() -> None:
    def version(n: int, *below: int) -> DumpedVersion:
        refs = tuple(Reference(name=f"T{b}", subject=f"s{b}", version=1) for b in below)
        return DumpedVersion(subject=f"s{n}", version=1, id=10 - n, text="", references=refs)

    made = [version(0, 1, 2), version(1, 3), version(2, 3), version(3), version(4, 9)]
    order = [v.subject for v in in_order(made)]
    assert sorted(order) == ["s0", "s1", "s2", "s3", "s4"]
    assert order.index("s3") < order.index("s1") < order.index("s0") > order.index("s2") > order.index("s3")
    chain = [version(n, n + 1) for n in range(9)]
    assert [v.subject for v in in_order(chain)] == [f"s{n}" for n in reversed(range(9))]


# -- the topic of a registry that keeps itself in Kafka

Record = tuple[bytes | None, bytes | None]


def record(key: Any, value: Any) -> Record:
    return json.dumps(key).encode(), None if value is None else json.dumps(value).encode()


def schema(subject: str, version: int, number: int, of: Any, **more: Any) -> Record:
    key = {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}
    return record(
        key, {"subject": subject, "version": version, "id": number, "schema": text(of), "deleted": False, **more}
    )


def topic_records() -> list[Record]:
    """The same past as `fill` makes, as such a registry writes it."""
    numbered = [rec(f(f"f{n}"), x={"a": 2, "b": 1}) for n in range(4)]
    meta = [{"metadata": {"properties": {"n": str(n)}}} for n in range(4)]
    gone = {"keytype": "SCHEMA", "subject": "s", "version": 2, "magic": 1}
    return [
        record({"keytype": "NOOP", "magic": 0}, None),
        (None, b"no key"),
        (b"{no json", b"{}"),
        record({"keytype": "CONFIG", "subject": None, "magic": 0}, {"compatibilityLevel": "BACKWARD"}),
        schema("filler", 1, 1, '"long"'),
        schema("z/address é", 1, 2, ADDRESS),
        schema("a-person", 1, 3, PERSON, references=[REFERENCE]),
        record({"keytype": "CONFIG", "subject": "s", "magic": 0}, {"compatibilityLevel": "NONE", "normalize": True}),
        record({"keytype": "CONFIG", "subject": "dropped", "magic": 0}, {"compatibilityLevel": "NONE"}),
        record({"keytype": "CONFIG", "subject": "dropped", "magic": 0}, None),
        *[schema("s", n + 1, 4 + n, numbered[n], **meta[n]) for n in range(4)],
        schema("s", 2, 5, numbered[1], **{**meta[1], "deleted": True}),
        record(gone, None),
        schema("s", 3, 6, numbered[2], **{**meta[2], "deleted": True}),
        record({"keytype": "DELETE_SUBJECT", "subject": "filler", "magic": 0}, {"subject": "filler", "version": 1}),
        schema("twins", 7, 90, ADDRESS),
        record({"keytype": "MODE", "subject": "twins", "magic": 0}, {"mode": "READONLY"}),
        record({"keytype": "CONFIG", "subject": None, "magic": 0}, {"compatibilityLevel": "FULL_TRANSITIVE"}),
        record({"keytype": "CONFIG", "subject": "x", "magic": 0}, {"compatibilityLevel": "NO SUCH"}),
        schema("proto", 1, 40, "syntax", schemaType="PROTOBUF"),
        record({"keytype": "DELETE_SUBJECT", "subject": "a-person", "magic": 0}, {"subject": "a-person", "version": 1}),
        record(
            {"keytype": "DELETE_SUBJECT", "subject": "z/address é", "magic": 0},
            {"subject": "z/address é", "version": 1},
        ),
    ]


def test_a_schemas_topic_gives_every_answer_too(other: Calls, api: Calls) -> None:
    dump = dump_of_records(topic_records())
    assert dump.left_out == ("proto version 1: a schema of type PROTOBUF",)
    assert taken(api, dump) == {"new": 7, "present": 0, "refused": []}
    assert everything(api) == everything(other)

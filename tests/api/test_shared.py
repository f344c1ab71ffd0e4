"""Topics, subscribers and schemas as the console, the API and commands show them (G13, R3, R24, S13)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from anyio.from_thread import start_blocking_portal

from connectors import SINKS
from hub.api.app import create_app
from hub.app import Hub
from hub.cli.inprocess import AppTransport
from hub.errors import Conflict
from hub.model import Topic
from hub.settings import load_settings
from hub.subscribers import Rewind
from hub.views.newest import newest_blocks
from tests.api.test_api import TOPIC, agency, records, run
from tests.contracts.log_contract import at, make_blocks
from tests.support.projects import make_project

GROUP = "city-planning.planning-branches.g"
BASE = f"/api/v1/topics/{TOPIC}"
SUBSCRIBER = f"/api/v1/subscribers/g/{TOPIC}"
HOOK = {"kind": "webhook", "url": "https://planning.example/hook", "secret": "${secret:KEY}"}


@dataclass
class Served:
    """A project and the hub that serves it, in this process."""

    root: Path
    hub: Hub
    api: httpx.Client

    def get(self, path: str, **params: Any) -> Any:
        answer = self.api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def branches(self, seats: dict[str, int]) -> None:
        """What the source has from now on, published."""
        lines = "".join(f"{code},Name of {code},North,{n},1999-03-01\n" for code, n in seats.items())
        (self.root / "data/branches.csv").write_text(f"Code,Name,District,Seats,Opened\n{lines}", encoding="utf-8")
        assert run(self.api)["state"] == "completed"

    def edit(self, name: str, **changes: Any) -> None:
        """A file of configuration, changed and read again."""
        path = self.root / name
        before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**before, **changes}), encoding="utf-8")
        assert self.api.post("/api/v1/reload", json={}).json()["mistakes"] == []

    def read(self, commit: bool = True) -> list[str]:
        """What the planners get next in their group, who then leave."""
        mine = {**agency(self.api), "X-Datong-Reader": "me"}
        answer = records(self.api, mine).json()
        if commit:
            body = {"positions": answer["positions"]}
            assert self.api.post(f"{BASE}/consumers/g/offsets", headers=mine, json=body).status_code == 200
        assert self.api.delete(f"{BASE}/consumers/g/lease", headers=mine).status_code == 204
        return [r["branch_id"] for r in answer["records"]]

    def rewind(self, to: Any, **more: Any) -> httpx.Response:
        return self.api.post(f"{SUBSCRIBER}/rewind", json={"to": to, "reason": "their disk was lost", **more})


@contextmanager
def serve(root: Path) -> Iterator[Served]:
    loaded = load_settings(root, env={})
    with Hub.open(loaded) as hub, start_blocking_portal() as portal:
        transport = AppTransport(httpx.ASGITransport(app=create_app(hub), raise_app_exceptions=False), portal)
        token = {"Authorization": f"Bearer {hub.operator_token()}"}
        with httpx.Client(transport=transport, base_url="http://localhost", headers=token, timeout=60) as api:
            yield Served(root, hub, api)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Names are personal, seats have no classification; deletions are published however many."""
    root = make_project(tmp_path / "p")
    (root / "datong.yaml").write_text("deletions: {max_share: 1}\n")
    path = root / "schemas/culture/branch.avsc"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["fields"][1]["classification"] = "personal"
    del schema["fields"][3]["classification"]
    path.write_text(json.dumps(schema), encoding="utf-8")
    (root / "secrets.d").mkdir(mode=0o700)
    (root / "secrets.d/KEY").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    (root / "secrets.d/KEY").chmod(0o600)
    with serve(root) as made:
        yield made


def test_a_topic_before_anything_was_published(served: Served) -> None:
    found = served.get(BASE)
    assert (found["freshness"], found["age_s"], found["late"], found["bytes"]) == ("no data yet", None, False, 0)
    assert found["offsets"] == found["fields"] == []
    assert served.get(f"{BASE}/sample") == {"topic": TOPIC, "records": [], "notes": [], "masked": []}
    assert served.get(f"{BASE}/readers")["grants"][0]["reason"] == "nothing was published yet"


def test_a_topic_with_its_contract_fields_and_size(served: Served) -> None:
    served.branches({"B-1": 1, "B-2": 2})
    found = served.get(BASE)
    assert found["agency_name"] == {"en": "City library office", "zh": "市图书馆办公室"}
    assert (found["key"], found["scope"], found["sharing"]) == (["branch_id"], ["district"], "conditional")
    assert found["retention"] == {"compacted": True, "age_s": None, "bytes": None}
    assert (found["freshness_target_s"], found["late"], found["records"]) == (26 * 3600, False, 2)
    assert 0 <= found["age_s"] < 600
    assert 100 < found["bytes"] < 10_000
    assert found["offsets"] == [{"partition": 0, "earliest": 0, "end": 2}]
    classes = {f["name"]: f["classification"] for f in found["fields"]}
    assert (classes["name"], classes["seats"], classes["district"]) == ("personal", "", "public")
    served.edit("topics.d/branch.yaml", freshness="1s")
    moved = datetime.fromisoformat(found["newest"]) < datetime.now(UTC) - timedelta(seconds=2)
    assert served.get(BASE)["late"] == moved or not moved


def test_G13_a_sample_is_masked_and_newest_first(served: Served) -> None:
    served.branches({"B-1": 11, "B-2": 22})
    served.branches({"B-2": 333})
    found = served.get(f"{BASE}/sample")
    shown = {(r["op"], r["values"]["branch_id"]): r for r in found["records"]}
    assert [r["offset"] for r in found["records"]] == [3, 2, 1, 0]
    assert shown["upsert", "B-1"]["values"] == {
        "branch_id": "B-1", "name": "xxxx xx x-9", "district": "North", "seats": "99", "opened_on": "1999-03-01",
    }  # fmt: skip
    assert shown["delete", "B-1"]["values"] == {"branch_id": "B-1"}
    assert [r["offset"] for r in served.get(f"{BASE}/sample", limit=2)["records"]] == [3, 2]
    for limit in (0, 101):
        assert served.api.get(f"{BASE}/sample", params={"limit": limit}).status_code == 422


def test_G13_a_record_that_cannot_be_read_hides_no_other(served: Served) -> None:
    served.branches({"B-1": 11})
    writer = served.hub.log.open("another", 1)
    strange = make_blocks(["x", "y"], ["no avro at all, canary", "\0\0\0\0\x63canary"], topic=TOPIC)
    writer.append(strange, at(1, TOPIC))
    served.branches({"B-1": 12})
    found = served.get(f"{BASE}/sample")
    assert [r["op"] for r in found["records"]] == ["upsert", "unreadable", "unreadable", "upsert"]
    assert "canary" not in json.dumps(found)


def test_R3_the_newest_records_are_found_from_the_end_and_over_gaps(served: Served) -> None:
    log, topic = served.hub.log, "city-library.test.long.v1"
    log.ensure(Topic(name=topic, compacted=True))
    writer = log.open("long", 1)
    for i in range(20):
        writer.append(make_blocks([f"k{i}-{n}" for n in range(1000)], ["v"] * 1000, topic=topic), at(i, topic))
    (last,) = newest_blocks(log, topic, 0, log.ends(topic)[0], 20)
    assert (last.base_offset, last.last_offset) == (19_000, 19_999)
    some = newest_blocks(log, topic, 0, log.ends(topic)[0], 1001)
    assert [b.base_offset for b in some][-2:] == [18_000, 19_000]
    assert len(some) < 10  # of twenty: steps back grow
    for i in range(20, 30):
        writer.append(make_blocks(["same"] * 1000, ["v"] * 1000, topic=topic), at(i, topic))
    log.maintain()
    found = newest_blocks(log, topic, 0, log.ends(topic)[0], 1001)
    assert [(b.base_offset, b.count) for b in found][-2:] == [(19_000, 1000), (29_000, 1000)]
    assert newest_blocks(log, topic, 0, log.ends(topic)[0], 1)[-1].last_offset == 29_999


def test_G11_who_may_read_and_until_when(served: Served) -> None:
    served.branches({"B-1": 1})
    (grant,) = served.get(f"{BASE}/readers")["grants"]
    assert (grant["agency"], grant["state"], grant["expired"]) == ("city-planning", "holds", False)
    assert (grant["fields"], grant["where"]) == (["branch_id", "district", "seats"], "district = 'North'")
    served.edit("grants.d/planning.yaml", until=datetime(2020, 1, 31, tzinfo=UTC).date())
    (grant,) = served.get(f"{BASE}/readers")["grants"]
    assert (grant["state"], grant["expired"], grant["reason"]) == ("expired", True, "it ended on 2020-01-31")


def test_R24_who_reads_and_how_far_behind(served: Served) -> None:
    served.branches({"B-1": 1, "B-2": 2})
    assert served.read() == ["B-1", "B-2"]
    served.branches({"B-1": 1, "B-2": 3})
    (group,) = served.get(f"{BASE}/readers")["groups"]
    assert (group["id"], group["by"], group["state"], group["lag"]) == (GROUP, "pull", "idle", 1)
    (place,) = group["partitions"]
    assert (place["committed"], place["end"], place["lag"]) == (2, 3, 1)
    one = served.get(f"/api/v1/subscribers/{GROUP}/{TOPIC}")
    assert one["receipts"]["commits"] == [{"partition": 0, "to": 2, "at": place["committed_at"]}]
    served.edit("grants.d/planning.yaml", fields=["branch_id", "seats", "district", "name"])
    (changed,) = served.get("/api/v1/subscribers")["subscribers"]
    assert (changed["reset"], changed["lag"]) == (True, 3)  # it reads again from the start
    assert served.get("/api/v1/subscribers", agency="city-library") == {"subscribers": []}


def test_R24_a_group_reads_again_and_it_is_on_record_who_let_it(
    capfd: pytest.CaptureFixture[str], served: Served
) -> None:
    served.branches({"B-1": 1, "B-2": 2})
    assert served.read() == ["B-1", "B-2"]
    done = served.rewind("earliest").json()
    assert (done["before"], done["after"], done["again"], done["skipped"]) == ({"0": 2}, {"0": 0}, 2, 0)
    said = capfd.readouterr()
    (line,) = [one for one in (said.out + said.err).splitlines() if "rewound" in one]
    assert all(word in line for word in ("their disk was lost", "operator", GROUP))
    assert served.read() == ["B-1", "B-2"]
    assert served.rewind({"0": 1}).json()["after"] == {"0": 1}
    assert served.read() == ["B-2"]


def test_R24_a_rewind_to_a_moment(served: Served) -> None:
    served.branches({"B-1": 1})
    served.branches({"B-1": 1, "B-2": 2})
    served.read()
    (_, second) = served.hub.log.read(TOPIC, 0, 0, 1_000_000).blocks
    moment = datetime.fromtimestamp(second.timestamp_ms / 1000, UTC)
    assert served.rewind(moment.isoformat()).json()["after"] == {"0": 1}
    assert served.read() == ["B-2"]
    assert served.rewind((moment - timedelta(days=1)).isoformat()).json()["after"] == {"0": 0}
    for none in ("2026-11-25T08:00:00", 0, 12, 1.5, "12", "20261125", "now", None, [0], {"0": "x"}, {"zero": 0}):
        assert served.rewind(none).status_code == 422, none


def test_R24_moving_forward_leaves_nothing_out_unasked(served: Served) -> None:
    served.branches({"B-1": 1, "B-2": 2})
    served.read(commit=False)
    refused = served.rewind("latest")
    assert refused.status_code == 409
    assert "over 2 offsets" in refused.json()["detail"]
    assert served.rewind("latest", accept_skip=True).json()["skipped"] == 2
    assert served.read() == []


def test_R24_where_a_group_is_counts_from_when_nobody_else_moves_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader commits after the rewind has looked for the group, and before it holds it."""
    served.branches({"B-1": 1, "B-2": 2})
    served.read(commit=False)
    monkeypatch.setattr(served.hub.subscribers, "_movable", lambda _group: served.read())
    rewind = Rewind(to="latest", reason="their disk was lost", by="test")
    moved = served.hub.subscribers.rewind("g", TOPIC, rewind)
    assert (moved["before"], moved["after"], moved["skipped"]) == ({"0": 2}, {"0": 2}, 0)
    monkeypatch.undo()
    served.branches({"B-1": 1, "B-2": 2, "B-3": 3})
    with pytest.raises(Conflict, match="over 1 offsets"):
        served.hub.subscribers.rewind("g", TOPIC, rewind)
    assert served.read() == ["B-3"], "a refused rewind holds nobody up"


def test_R24_what_may_not_be_rewound(served: Served) -> None:
    served.branches({"B-1": 1})
    assert served.rewind("earliest").status_code == 404  # nobody read
    served.read()
    assert served.rewind({"7": 0}).status_code == 404
    assert served.rewind({"0": 99}).status_code == 410
    assert served.rewind("earliest", reason="").status_code == 422
    holder = {**agency(served.api), "X-Datong-Reader": "holder"}
    assert records(served.api, holder).status_code == 200
    (group,) = served.get("/api/v1/subscribers")["subscribers"]
    assert group["state"] == "reading"
    assert served.rewind("earliest").json()["code"] == "GroupBusy"
    served.edit("grants.d/planning.yaml", until=datetime(2020, 1, 31, tzinfo=UTC).date())
    refused = served.rewind("earliest")
    assert (refused.status_code, refused.json()["code"]) == (409, "Conflict")
    assert "ended on 2020-01-31" in refused.json()["detail"]


def test_R24_one_name_of_two_agencies_is_not_guessed(served: Served) -> None:
    served.branches({"B-1": 1})
    served.read()
    grant = yaml.safe_load((served.root / "grants.d/planning.yaml").read_text())
    served.edit("grants.d/own.yaml", **{**grant, "grant": "own", "agency": "city-library"})
    other = agency(served.api, "city-library")
    assert records(served.api, other).status_code == 200
    refused = served.api.get(SUBSCRIBER)
    assert refused.status_code == 409
    assert GROUP in refused.json()["detail"]
    assert served.get(f"/api/v1/subscribers/{GROUP}/{TOPIC}")["id"] == GROUP


def test_R24_a_push_is_paused_before_it_is_rewound(served: Served) -> None:
    served.branches({"B-1": 1, "B-2": 2})
    served.edit("subscriptions.d/g.yaml", subscription="g", grant="planning-branches", sink=HOOK)
    (group,) = served.get("/api/v1/subscribers")["subscribers"]  # declared, and nothing was sent yet
    assert (group["id"], group["by"], group["kind"], group["lag"]) == (GROUP, "push", "webhook", 2)
    refused = served.rewind("latest", accept_skip=True).json()
    assert refused["code"] == "Conflict"
    assert "datong subscription pause g" in refused["remedy"]
    assert served.api.put("/api/v1/subscriptions/g/pause").status_code == 202
    assert served.rewind("latest", accept_skip=True).json()["after"] == {"0": 2}
    assert served.get(SUBSCRIBER)["lag"] == 0
    assert served.get(f"{BASE}/readers")["groups"][0]["state"] == "PAUSED"


def test_R24_a_system_that_keeps_its_own_place_is_not_rewound_here(served: Served) -> None:
    served.branches({"B-1": 1})
    table = {"kind": "table", "url": "sqlite:///out.db", "table": "branches"}
    served.edit("subscriptions.d/g.yaml", subscription="g", grant="planning-branches", sink=table, paused=True)
    refused = served.rewind("earliest").json()
    assert (refused["code"], refused["remedy"]) == ("Conflict", "to have all written again, empty the table")
    for name, spec in (("table", table), ("file", {"kind": "file", "directory": "out"}), ("webhook", HOOK)):
        served.edit("subscriptions.d/g.yaml", subscription="g", grant="planning-branches", sink=spec, paused=True)
        sink = served.hub.supervisor.worker._pusher._sink(served.hub.catalogue.subscriptions["g"])  # type: ignore[union-attr]
        assert (sink.positions() is not None) == SINKS[name].own_place
        sink.close()


def test_S13_only_an_operator_sees_or_moves_any_of_it(served: Served) -> None:
    served.branches({"B-1": 1})
    served.read()
    mine = agency(served.api)
    for path in (
        BASE,
        f"{BASE}/sample",
        f"{BASE}/readers",
        "/api/v1/subscribers",
        SUBSCRIBER,
        "/api/v1/schemas/x/uses",
    ):
        assert served.api.get(path, headers=mine).status_code == 403, path
        assert served.api.get(path, headers={"Authorization": ""}).status_code == 401, path
    assert (
        served.api.post(f"{SUBSCRIBER}/rewind", headers=mine, json={"to": "earliest", "reason": "x"}).status_code == 403
    )


def test_schemas_all_versions_what_changes_and_who_uses_them(served: Served) -> None:
    served.branches({"B-1": 1})
    subject = f"/api/v1/schemas/{TOPIC}-value"
    schema = served.get(f"{subject}/versions")["versions"][0]["schema"]
    schema["fields"].append({"name": "phone", "type": ["null", "string"], "default": None})
    tried = served.api.post(f"{subject}/check", json={"schema": json.dumps(schema)}).json()
    assert (tried["compatible"], [c["path"] for c in tried["difference"]["changes"]]) == (True, ["phone"])
    served.hub.registry.register(f"{TOPIC}-value", json.dumps(schema))
    versions = served.get(f"{subject}/versions")["versions"]
    assert [v["version"] for v in versions] == [2, 1]
    assert datetime.fromisoformat(versions[0]["registered"]) >= datetime.fromisoformat(versions[1]["registered"])
    found = served.get(f"{subject}/diff")
    assert (found["from"], found["to"], [c["path"] for c in found["changes"]]) == (1, 2, ["phone"])
    assert served.get(f"{subject}/diff", **{"from": 2, "to": 2})["changes"] == []
    assert served.get(f"{subject}/uses")["connectors"] == ["city-library-branches"]
    for path in ("versions", "diff"):
        assert served.api.get(f"/api/v1/schemas/nobody/{path}").status_code == 404


def test_S23_a_pasted_schema_never_ends_in_a_fault_of_the_hub(served: Served) -> None:
    served.branches({"B-1": 1})
    for text in ("", "{", "[" * 100_000, "null", '"no.such.Type"', '{"type": "record"}', '"\\ud800"', '{"a": NaN}'):
        answer = served.api.post(f"/api/v1/schemas/{TOPIC}-value/check", json={"schema": text})
        assert answer.status_code == 422 or answer.json()["compatible"] is False, text[:20]
        assert answer.status_code in (200, 422), text[:20]

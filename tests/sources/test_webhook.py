"""Records that are pushed by HTTP: who may, what is taken once, and that 2xx means durable (G1, G4, F26, S25)."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.context import SourceContext
from connectors.sources.push_specs import WebhookSpec
from connectors.sources.webhook import WebhookSource
from hub.api import intake
from hub.app import Hub
from hub.errors import ConfigurationInvalid, Conflict, SourceUnavailable
from hub.model import Receipt, RunTotals, Submission
from hub.pipeline.intake import Doors
from hub.pipeline.quarantine import Entry
from hub.pipeline.record_ids import KEPT_MS, RecordIds
from tests.support.projects import Bench, make_plan
from tests.support.push import NAME, Sender, here, make_project, published, readings, secret, serving, until_open
from tests.support.reading import quarantined

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
SOURCE = {"kind": "webhook", "keys": ["${secret:KEY}", "${secret:OTHER}", PUBLIC]}
BODY = b'{"sensor": "s1", "value": 1.5}'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Sender]]:
    """One hub for all that leaves it as it was."""
    with here(make_project(tmp_path_factory.mktemp("push"), SOURCE)) as (hub, client):
        yield hub, Sender(client)


def public(name: str, at: int, body: bytes) -> str:
    return "v1a," + base64.b64encode(PRIVATE.sign(f"{name}.{at}.".encode() + body)).decode()


def attempt(sender: Sender, case: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of one row of the table."""
    now, name = int(time.time()), f"msg_{abs(hash(case))}"
    other = Sender(sender.client, key=secret("second"))
    stranger = Sender(sender.client, key=secret("nobody"))
    confused = Sender(sender.client, key="whsec_" + PUBLIC.removeprefix("whpk_"))
    good = sender.headers(BODY, name)
    changes: dict[str, dict[str, str]] = {
        "as it should be": {},
        "by the other key": other.headers(BODY, name),
        "by the public key's pair": {"webhook-timestamp": str(now), "webhook-signature": public(name, now, BODY)},
        "the good one of three": {"webhook-signature": f"v1,AAAA v9,zzz {good['webhook-signature']}"},
        "nearly too old": sender.headers(BODY, name, at=now - 280),
        "nearly too early": sender.headers(BODY, name, at=now + 280),
        "too old": sender.headers(BODY, name, at=now - 320),
        "too early": sender.headers(BODY, name, at=now + 320),
        "an old signature under a new time": {
            **sender.headers(BODY, name, at=now - 320),
            "webhook-timestamp": str(now),
        },
        "no id": {"webhook-id": ""},
        "another id": {"webhook-id": name + "x"},
        "an id with a dot": sender.headers(BODY, f"{name}.1"),
        "an id that is too long": sender.headers(BODY, "x" * 201),
        "no time": {"webhook-timestamp": ""},
        "a time that is no number": {"webhook-timestamp": "now"},
        "a time with a sign": sender.headers(BODY, name, at=-1),
        "no signature": {"webhook-signature": ""},
        "by a stranger": stranger.headers(BODY, name),
        "one byte of it": {"webhook-signature": good["webhook-signature"][:5]},
        "not base64": {"webhook-signature": "v1,*"},
        "a version that nobody has": {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        "a symmetric one as asymmetric": {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")},
        "the public key as a symmetric one": confused.headers(BODY, name),
        "more than anybody needs": {"webhook-signature": "v1,AAAA " * 20 + good["webhook-signature"]},
    }
    body = BODY + b" " if case == "another body" else BODY
    return {**good, **changes.get(case, {}), "content-type": "application/json"}, body


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("as it should be", 200), ("by the other key", 200), ("by the public key's pair", 200),
        ("the good one of three", 200), ("nearly too old", 200), ("nearly too early", 200),
        ("too old", 401), ("too early", 401), ("an old signature under a new time", 401),
        ("no id", 401), ("another id", 401), ("an id with a dot", 401), ("an id that is too long", 401),
        ("no time", 401), ("a time that is no number", 401), ("a time with a sign", 401),
        ("no signature", 401), ("by a stranger", 401), ("one byte of it", 401), ("not base64", 401),
        ("a version that nobody has", 401), ("a symmetric one as asymmetric", 401),
        ("the public key as a symmetric one", 401), ("more than anybody needs", 401), ("another body", 401),
    ],
)  # fmt: skip
def test_S25_who_sends_is_proven_by_a_signature_of_now(running: tuple[Hub, Sender], case: str, status: int) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    headers, body = attempt(sender, case)
    answer = sender.client.post(sender.path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert len(readings(hub.log)) - before == (1 if status == 200 else 0)
    if status == 401:
        assert answer.json()["code"] == "NotAuthenticated"
        assert secret() not in answer.text


def test_S25_F26_a_replay_is_taken_once_and_a_reused_id_is_a_conflict(
    running: tuple[Hub, Sender], capfd: pytest.CaptureFixture[str]
) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    first, again = (sender.send({"sensor": "a", "value": 1}, "msg_once") for _ in range(2))
    assert (first.json(), again.json()) == ({"records": 1, "again": False}, {"records": 1, "again": True})
    other = sender.send({"sensor": "a", "value": 2}, "msg_once")
    assert (other.status_code, other.json()["code"]) == (409, "Conflict")
    assert sender.send({"sensor": "a", "value": 1}, "msg_once").status_code == 200
    assert len(readings(hub.log)) - before == 1
    assert "push refused" in "".join(capfd.readouterr())  # the security log has it


def test_F26_ten_attempts_at_once_and_out_of_order_are_one_record_each(running: tuple[Hub, Sender]) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    attempts = [f"many-{i % 7}" for i in range(70)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: sender.send({"sensor": n, "value": 3}, n).status_code, attempts))
    assert answers == [200] * 70
    found = readings(hub.log)[before:]
    assert sorted(found) == [(f"many-{i}", 3.0) for i in range(7)]


def test_G4_equal_records_of_two_bodies_are_both_kept(running: tuple[Hub, Sender]) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    reading = {"sensor": "same", "value": 20}
    assert sender.send([reading, reading]).json()["records"] == 2
    assert sender.send(reading).status_code == 200
    assert readings(hub.log)[before:] == [("same", 20.0)] * 3


def test_an_array_lines_and_nested_records_are_read(running: tuple[Hub, Sender]) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    lines = b'{"sensor": "l1", "value": 1}\n\n{"sensor": "l2", "value": 2, "more": {"x": [1]}}\n'
    assert sender.send(lines, media="application/x-ndjson").json() == {"records": 2, "again": False}
    assert sender.send(b"\xef\xbb\xbf" + BODY, media="").json()["records"] == 1
    assert readings(hub.log)[before:] == [("l1", 1.0), ("l2", 2.0), ("s1", 1.5)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "PushRefused"),
        (b"{", 422, "PushRefused"),
        (b"[]", 422, "PushRefused"),
        (b"17", 422, "PushRefused"),
        (b'[{"sensor": "a"}, 1]', 422, "PushRefused"),
        (b'{"sensor": "a", "sensor": "b"}', 422, "PushRefused"),
        (b'{"value": NaN}', 422, "PushRefused"),
        (b'{"sensor": "\xff"}', 422, "PushRefused"),
        (b'{"sensor": "\\ud800"}', 422, "PushRefused"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 413, "LimitExceeded"),
        (b"[" * 100_000, 413, "LimitExceeded"),
        (json.dumps({f"m{i}": 1 for i in range(2_001)}).encode(), 413, "LimitExceeded"),
        (b"[" + b",".join([b"{}"] * 10_001) + b"]", 413, "LimitExceeded"),
        (b'{"sensor": "' + b"x" * 1_048_576 + b'"}', 413, "LimitExceeded"),
    ],
    ids=range(14),
)
def test_S24_G17_what_is_no_record_or_too_much_is_refused_whole(
    running: tuple[Hub, Sender], body: bytes, status: int, code: str
) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    answer = sender.send(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(readings(hub.log)) == before


def test_G8_a_bad_record_is_quarantined_and_its_body_still_taken_once(running: tuple[Hub, Sender]) -> None:
    hub, sender = running
    before = len(readings(hub.log))
    body = [{"sensor": "q", "value": "x"}, {"sensor": "q"}, {"sensor": "skip"}, {"sensor": "q", "value": 4}]
    assert sender.send(body, "msg_mixed").json() == {"records": 4, "again": False}
    assert sender.send(body, "msg_mixed").json() == {"records": 4, "again": True}
    assert sender.send(body[:1], "msg_mixed").status_code == 409
    assert readings(hub.log)[before:] == [("q", 4.0)]
    entries = [entry for entry in quarantined(hub.log) if isinstance(entry, Entry)]
    assert sorted(entry.reason for entry in entries) == ["BAD_NUMBER", "NULL_REQUIRED"]
    assert len({entry.record_id for entry in entries}) == 2
    assert all(len(entry.record_id) == 32 for entry in entries)


def test_G1_F15_a_full_log_is_507_nothing_is_acknowledged_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    with here(make_project(tmp_path, SOURCE), run=False) as (hub, client):
        hub.supervisor.start()
        until_open(hub)
        sender = Sender(client)
        connection = hub.log._writer  # type: ignore[attr-defined]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        body = [{"sensor": f"{i}-{i * 7919 % 1009}", "value": i} for i in range(9_000)]
        refused = sender.send(body, "msg_large")
        assert refused.status_code in (503, 507), refused.text
        while refused.status_code == 503:  # until the run's end is on record
            refused = sender.send(body, "msg_large")
        assert (refused.status_code, refused.json()["code"]) == (507, "StorageFull")
        assert readings(hub.log) == []
        connection.execute("PRAGMA max_page_count = 1000000")
        until_open(hub)
        assert sender.send(body, "msg_large").json() == {"records": 9_000, "again": False}
        assert len(readings(hub.log)) == 9_000


def test_G1_what_is_not_durable_in_time_is_503_and_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "ANSWER_S", 0.3)
    with here(make_project(tmp_path, {**SOURCE, "waiting": 1})) as (hub, client):
        sender = Sender(client)
        with hub.log._write_lock:  # type: ignore[attr-defined]
            slow = sender.send(BODY, "msg_slow")
            assert (slow.status_code, slow.headers["retry-after"]) == (503, "2")
            assert sender.send({"sensor": "b"}, "msg_slow").status_code == 409  # under way, and not for this body
            full = sender.send(BODY, "msg_next")
            assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (429, "RateExceeded", "2")
        monkeypatch.setattr(intake, "ANSWER_S", 30.0)
        assert sender.send(BODY, "msg_slow").status_code == 200
        assert sender.send(BODY, "msg_next").status_code == 200
        assert readings(hub.log) == [("s1", 1.5)] * 2


def test_G17_more_bodies_than_its_rate_are_429(tmp_path: Path) -> None:
    with here(make_project(tmp_path, {**SOURCE, "per_second": 0.001})) as (hub, client):
        sender = Sender(client)
        assert sender.send(BODY, "msg_1").status_code == 200
        assert sender.send(BODY, "msg_1").status_code == 200  # known already: no work
        assert sender.send(BODY, "msg_2").status_code == 429
        assert len(readings(hub.log)) == 1


def test_what_does_not_run_here_is_503_with_the_reason_and_what_is_no_webhook_404(tmp_path: Path) -> None:
    project = make_project(tmp_path, SOURCE)
    make_project(tmp_path, {"kind": "files", "path": "x.csv"}, name="city-files")
    with here(project, run=False) as (hub, client):
        sender = Sender(client)
        waits = sender.send(BODY)
        assert (waits.status_code, waits.headers["retry-after"]) == (503, "2")
        assert "does not run yet" in waits.json()["detail"]
        lease = hub.store.leases.acquire(NAME, "elsewhere/1/x", 60_000)
        assert lease is not None
        elsewhere = sender.send(BODY)
        assert (elsewhere.status_code, "another process" in elsewhere.json()["detail"]) == (503, True)
        assert "elsewhere" not in elsewhere.text
        hub.steer(NAME, "pause")
        hub.store.leases.forget(NAME, job=True)
        for name in ("city-files", "nobody", "x" * 90):
            assert client.post(f"/api/v1/intake/{name}", content=BODY).status_code == 404


def test_a_pause_answers_503_and_a_resume_goes_on(tmp_path: Path) -> None:
    with here(make_project(tmp_path, SOURCE)) as (hub, client):
        sender = Sender(client)
        assert sender.send(BODY, "msg_1").status_code == 200
        hub.steer(NAME, "pause")
        result = hub.supervisor.wait(NAME, 30)
        assert result is not None
        assert result.totals == RunTotals(read=1, published=1)
        paused = sender.send(BODY, "msg_2")
        assert (paused.status_code, "PAUSED" in paused.json()["detail"]) == (503, True)
        hub.steer(NAME, "resume")
        hub.supervisor.run_now(NAME)
        until_open(hub)
        assert [sender.send(BODY, f"msg_{i}").json()["again"] for i in (1, 2)] == [True, False]


def test_upsert_keeps_what_is_newer_when_an_old_body_comes_again(tmp_path: Path) -> None:
    with here(make_project(tmp_path, SOURCE, mode="upsert")) as (hub, client):
        sender = Sender(client)
        for value, name in ((1, "old"), (2, "new"), (1, "old")):
            assert sender.send({"sensor": "k", "value": value}, name).status_code == 200
        assert readings(hub.log) == [("k", 1.0), ("k", 2.0)]


def test_G1_G4_F1_killed_at_every_step_what_is_sent_again_is_one_record(tmp_path: Path) -> None:
    """kill -9 inside the append, after it, and after the source heard of it: no answer came, so it is sent again."""
    project = make_project(tmp_path, SOURCE)
    steps = ("appended", "committed", "acknowledged")
    for step in steps:
        with serving(project, TEST_FAILPOINT=f"{step}:kill@1") as (process, client):
            wait_open(client)
            with suppress(httpx.TransportError):  # `acknowledged`: the answer may be faster than the end
                Sender(client).send([{"sensor": step, "value": 1}] * 2, f"msg_{step}")
            assert process.wait(120), step
    assert sorted({sensor for sensor, _ in published(project)}) == ["acknowledged", "committed"]
    with serving(project) as (_process, client):
        wait_open(client)
        answers = {
            step: Sender(client).send([{"sensor": step, "value": 1}] * 2, f"msg_{step}").json()["again"]
            for step in steps
        }
        conflict = Sender(client).send([{"sensor": "other"}], "msg_committed")
    assert answers == {"appended": False, "committed": True, "acknowledged": True}
    assert conflict.status_code == 409
    assert sorted(published(project)) == sorted([(step, 1.0) for step in steps] * 2)


def wait_open(client: httpx.Client) -> None:
    """Until the connector runs: what is not signed is then 401, before it is 503."""
    deadline = time.monotonic() + 120
    while client.post(f"/api/v1/intake/{NAME}", content=b"{}").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_S25_ids_are_known_for_72_hours_and_then_forgotten(tmp_path: Path) -> None:
    bench, plan, doors = Bench(tmp_path), make_plan("append"), Doors()
    at = 1_800_000_000_000
    bench.clock = lambda: at
    spec = WebhookSpec(kind="webhook", keys=("${secret:KEY}",))

    def push(body: bytes, name: str) -> Receipt:
        ids = RecordIds(plan.connector)
        context = SourceContext(
            task=plan.connector, root=tmp_path, mode="append", secret=lambda _text: secret(),
            columns=frozenset({"ID", "REGION", "SEATS"}), remembered=ids.known, intake=doors,
        )  # fmt: skip
        source = WebhookSource(spec, context, clock=lambda: at / 1000)
        run = threading.Thread(target=bench.run, args=(plan, source, ids))
        run.start()
        try:
            while (door := doors.door(plan.connector)) is None:
                time.sleep(0.01)
            headers = Sender(httpx.Client(timeout=60)).headers(body, name, at=at // 1000)
            return door.receive(Submission(headers=headers, body=body)).result(30)
        finally:
            source.close()
            run.join(60)

    body = b'{"ID": "a", "SEATS": 1}'
    assert not push(body, "msg_1").again
    at += KEPT_MS - 60_000
    assert push(body, "msg_1").again
    with pytest.raises(Conflict):
        push(body + b" ", "msg_1")
    assert not push(body, "msg_2").again  # an append long after
    at += 120_000
    assert not push(body, "msg_3").again
    assert not push(body, "msg_1").again
    assert len(bench.records()) == 4


def test_G1_nobody_is_answered_before_acknowledge_and_all_up_to_it_then(tmp_path: Path) -> None:
    doors = Doors()
    context = SourceContext(task="t", root=tmp_path, mode="append", secret=lambda _text: secret(), intake=doors)
    source = WebhookSource(WebhookSpec(kind="webhook", keys=("${secret:KEY}",)), context)
    batches = source.batches(None, threading.Event())
    next(batches)
    door, sender, pending, positions = doors.door("t"), Sender(httpx.Client(timeout=60)), [], []
    assert door is not None
    for name in ("m1", "m2", "m3"):
        pending.append(door.receive(Submission(headers=sender.headers(BODY, name), body=BODY)))
        positions.append(next(batches).position)
    assert [p.done() for p in pending] == [False] * 3
    source.acknowledge(positions[1])
    assert [p.done() for p in pending] == [True, True, False]
    source.close()
    with pytest.raises(SourceUnavailable, match="before this was durable"):
        pending[2].result(0)
    assert doors.door("t") is None
    with pytest.raises(SourceUnavailable):
        door.receive(Submission(headers=sender.headers(BODY, "m4"), body=BODY))


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_*", "whsec_QUJD", "whpk_QUJD", "c2VjcmV0", "whsk_" + "A" * 44])
def test_S16_a_key_that_is_none_is_named_by_its_place_and_never_shown(key: str, tmp_path: Path) -> None:
    spec = WebhookSpec(kind="webhook", keys=("${secret:KEY}",))
    context = SourceContext(task="t", root=tmp_path, mode="append", secret=lambda _text: key)
    (finding,) = WebhookSource(spec, context).check().findings
    assert not finding.ok
    assert "source.keys[0]" in finding.detail
    assert len(key) < 8 or key not in f"{finding.detail} {finding.remedy}"


def test_a_snapshot_is_never_pushed(tmp_path: Path) -> None:
    spec = WebhookSpec(kind="webhook", keys=(PUBLIC,))
    with pytest.raises(ConfigurationInvalid, match="never the whole"):
        WebhookSource(spec, SourceContext(task="t", root=tmp_path, mode="snapshot"))


def test_a_key_in_the_file_itself_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="keys"):
        WebhookSpec(kind="webhook", keys=(secret(),))

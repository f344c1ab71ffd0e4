"""Messages of a real MQTT broker: each once, acknowledged when durable, over storms, restarts and kills (F25, G1, G4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors.context import SourceContext
from connectors.outbound import Outbound
from connectors.sources.mqtt import MqttSource
from connectors.sources.push_specs import MqttSpec
from hub.app import Hub
from hub.errors import AnswerRefused, ConfigurationInvalid, SourceUnavailable
from hub.model import Batch, RunTotals, SourceCheckpoint
from hub.pipeline.intake import Doors
from hub.ports import Away
from tests.support.line import Line
from tests.support.mosquitto import PASSWORD, USER, Mosquitto
from tests.support.ports import free_port
from tests.support.push import NAME, here, make_project, published, readings, serving
from tests.support.waiting import eventually

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path_factory.mktemp("secure"), secure=True)
    made.start()
    yield made
    made.stop()


def settings(port: int, **more: Any) -> dict[str, Any]:
    """A connector's source."""
    plain = {"kind": "mqtt", "host": "127.0.0.1", "port": port, "tls": False, "reconnect_most_s": 0.3}
    return {**plain, "topics": ["wells/+/level"], "levels": ["", "sensor"], **more}


def project(directory: Path, port: int, **more: Any) -> Path:
    """With a mapping of `sensor` and `value`."""
    made = make_project(directory / "project", settings(port, **more))
    (made / "datong.yaml").write_text(f'outbound: {{allow: ["127.0.0.1:{port}"]}}\n')
    return made


def source(
    port: int,
    *,
    root: Path = Path("/nowhere"),
    columns: frozenset[str] | None = None,
    away: Away = lambda _why: None,
    **more: Any,
) -> MqttSource:
    context = SourceContext(
        task="t", root=root, mode="append", columns=columns, away=away,
        outbound=Outbound(allowed=frozenset({f"127.0.0.1:{port}"})), secret=lambda _text: PASSWORD, intake=Doors(),
    )  # fmt: skip
    return MqttSource(MqttSpec(**settings(port, **more)), context)


class Reading:
    """`batches` in a thread of its own; nothing is acknowledged unless the test does."""

    def __init__(self, made: MqttSource, after: SourceCheckpoint | None = None) -> None:
        self.source, self.stop, self.batches, self.error = made, Event(), list[Batch](), None
        self._thread = threading.Thread(target=self._read, args=(after,))
        self._thread.start()

    def _read(self, after: SourceCheckpoint | None) -> None:
        try:
            for batch in self.source.batches(after, self.stop):
                self.batches.append(batch)
        except AnswerRefused as error:
            self.error = error

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many, good or bad."""
        assert eventually(lambda: sum(b.read for b in self.batches) >= count), self.error
        return [row for b in self.batches for row in b.records.to_pylist()]

    def subscribed(self) -> Reading:
        """Wait until the broker has let it."""
        wanted = sorted(self.source._spec.topics)
        assert eventually(lambda: bool(self.batches) and self.batches[-1].position.value["topics"] == wanted)
        return self


def session(broker: Mosquitto, **more: Any) -> None:
    """Leave the connector's session at the broker, with its subscription: what is published from now on is kept for it."""
    with Reading(source(broker.port, client_id=f"datong-{NAME}", **more)).subscribed():
        pass


def until(hub: Hub, count: int) -> list[tuple[str, float]]:
    """Wait for so many records."""
    assert eventually(lambda: len(found(hub)) >= count), (len(found(hub)), hub.supervisor.status(NAME))
    return found(hub)


def found(hub: Hub) -> list[tuple[str, float]]:
    return readings(hub.log) if "city.sensor.reading.v1" in hub.log.topics() else []


@VERSIONS
def test_payloads_levels_and_what_is_no_json(broker: Mosquitto, version: str) -> None:
    with Reading(source(broker.port, version=version)).subscribed() as one, broker.publisher() as device:
        device.publish("wells/w1/level", ['{"value": 1.50, "place": {"x": 1}}', "7", '[{"value": 2}, {"value": "3"}]'])
        device.publish("wells/w2/level", ["{", b"\xff", "[1]", "null", "[]", "NaN", '{"a": 1, "a": 2}', ""])
        device.publish("other/w2/level", ["1"])
        device.publish("wells/w3/level", ["9"], qos=0)
        rows = one.rows(12)
        assert [(r["sensor"], r.get("value"), r["@topic"], r["@retained"]) for r in rows] == [
            ("w1", "1.50", "wells/w1/level", "false"), ("w1", "7", "wells/w1/level", "false"),
            ("w1", "2", "wells/w1/level", "false"), ("w1", "3", "wells/w1/level", "false"),
            ("w3", "9", "wells/w3/level", "false"),
        ]  # fmt: skip
        failures = [(f.reason, f.raw) for b in one.batches for f in b.failures]
        assert [reason for reason, _raw in failures] == [
            "BAD_JSON", "BAD_ENCODING", "BAD_JSON", "BAD_JSON", "BAD_JSON", "NOT_A_NUMBER", "DUPLICATE_MEMBER",
        ]  # fmt: skip
        assert failures[0][1] == b"{"
        assert rows[0]["place.x"] == "1"


@VERSIONS
def test_F25_what_is_not_durable_comes_again_and_what_is_does_not(broker: Mosquitto, version: str) -> None:
    with Reading(source(broker.port, version=version)).subscribed() as first, broker.publisher() as device:
        device.publish("wells/w1/level", ["1", "2"])
        first.rows(2)
        durable = [b for b in first.batches if b.read][-1].position
        first.source.acknowledge(durable)
        device.publish("wells/w1/level", ["3", "3"])
        first.rows(4)
    with Reading(source(broker.port, version=version), durable) as second:
        assert [row["value"] for row in second.rows(2)] == ["3", "3"]
        second.source.acknowledge(second.batches[-1].position)
        after = second.batches[-1].position
    with Reading(source(broker.port, version=version), after) as third, broker.publisher() as device:
        device.publish("wells/w1/level", ["4"])
        assert [row["value"] for row in third.rows(1)] == ["4"]
    ids = [i for one in (first, second, third) for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
    assert len(ids) == 7
    assert len(set(ids)) == 5  # what was given twice has the same name twice


def test_F25_G17_no_more_than_the_window_is_on_its_way(broker: Mosquitto) -> None:
    with Reading(source(broker.port, window=7)).subscribed() as one, broker.publisher() as device:
        device.publish("wells/w1/level", [str(i) for i in range(30)])
        one.rows(7)
        time.sleep(0.5)  # an eighth would come now
        assert len(one.rows(7)) == 7
        acknowledged = 0
        while acknowledged < 30:
            one.rows(min(acknowledged + 7, 30))
            last = one.batches[-1].position
            one.source.acknowledge(last)
            acknowledged = last.value["number"]
        assert [row["value"] for row in one.rows(30)] == [str(i) for i in range(30)]


@VERSIONS
def test_F25_a_retained_message_is_flagged_skipped_or_known_by_its_identity(broker: Mosquitto, version: str) -> None:
    with broker.publisher() as device:
        device.publish("wells/w1/level", ["1", "2"], retain=True)
    ids = []
    for session in ("one", "two"):
        with Reading(source(broker.port, client_id=session, version=version)) as one:
            assert [(r["value"], r["@retained"]) for r in one.rows(1)] == [("2", "true")]
            ids += [i for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
    assert len(set(ids)) == 1
    skipping = source(broker.port, client_id="three", version=version, retained="skip", window=1)
    with Reading(skipping).subscribed() as one, broker.publisher() as device:
        device.publish("wells/w1/level", ["3"])
        assert [(r["value"], r["@retained"]) for r in one.rows(1)] == [("3", "false")]
    named = source(broker.port, client_id="four", version=version, identity=("sensor", "value"))
    assert named.repeats
    with Reading(named) as one:
        one.rows(1)
        (name,) = [i for b in one.batches if b.ids is not None for i in b.ids.to_pylist()]
        assert name == b"+w1\0+2"


@VERSIONS
def test_F25_a_reconnect_storm_loses_nothing_and_doubles_nothing(
    tmp_path: Path, broker: Mosquitto, version: str
) -> None:
    session(broker, version=version)
    with Line(broker.port) as line, here(project(tmp_path, line.port, version=version), run=False) as (hub, _client):
        hub.supervisor.run_now(NAME)
        over = Event()

        def storm() -> None:
            while not over.wait(0.15):
                line.reset()

        worker = threading.Thread(target=storm)
        worker.start()
        with broker.publisher() as device:
            for start in range(0, 400, 20):  # the same three readings over and over: nothing tells them apart
                device.publish("wells/w1/level", [str(i % 3) for i in range(start, start + 20)])
                time.sleep(0.05)
        over.set()
        worker.join()
        until(hub, 400)
        hub.steer(NAME, "pause")
        result = hub.supervisor.wait(NAME, 30)
        assert result is not None
        assert result.totals == RunTotals(read=400, published=400)
        assert [value for _sensor, value in found(hub)] == [float(i % 3) for i in range(400)]


@VERSIONS
def test_F25_a_broker_that_restarts_goes_on_where_it_was(tmp_path: Path, broker: Mosquitto, version: str) -> None:
    session(broker, version=version)
    with here(project(tmp_path, broker.port, version=version), run=False) as (hub, _client):
        hub.supervisor.run_now(NAME)
        for turn in range(3):
            with broker.publisher() as device:
                device.publish("wells/w1/level", ["5"] * 40)
            broker.stop()
            broker.start()
            until(hub, 40 * (turn + 1))
        assert [v for _s, v in found(hub)] == [5.0] * 120


@VERSIONS
def test_F25_F1_G1_killed_at_every_step_the_hub_has_each_message_once(
    tmp_path: Path, broker: Mosquitto, version: str
) -> None:
    """kill -9 inside the append, between append and acknowledgement, and after it; equal readings all along."""
    made = project(tmp_path, broker.port, version=version)
    session(broker, version=version)
    count = 0
    for step in ("appended", "committed", "acknowledged"):
        with broker.publisher() as device:
            device.publish("wells/w1/level", ["1"] * 10)
        count += 10
        with serving(made, wait=False, TEST_FAILPOINT=f"{step}:kill@1") as (process, _http):
            assert process.wait(60) != 0, step
    with here(made, run=False) as (hub, _client):
        hub.supervisor.start()
        assert len(until(hub, count)) == count
        with broker.publisher() as device:
            device.publish("wells/w2/level", ["2"])
        until(hub, count + 1)
    assert published(made) == [("w1", 1.0)] * 30 + [("w2", 2.0)]


def test_G4_what_a_device_sends_twice_is_published_once_by_its_identity(tmp_path: Path, broker: Mosquitto) -> None:
    session(broker)
    made = project(tmp_path, broker.port, identity=["sensor", "at"])
    with here(made, run=False) as (hub, _client):
        hub.supervisor.run_now(NAME)
        with broker.publisher() as device:
            device.publish(
                "wells/w1/level", ['{"value": 1, "at": 1}', '{"value": 1, "at": 1}', '{"value": 1, "at": 2}']
            )
            device.publish("wells/w2/level", ['{"value": 1, "at": 1}', '{"value": 1}', '{"value": 1, "at": ""}'])
            device.publish("wells/end/level", ['{"value": 0}'])
        assert eventually(lambda: ("end", 0.0) in found(hub))
        assert found(hub) == [("w1", 1.0)] * 2 + [("w2", 1.0)] * 3 + [("end", 0.0)]
        hub.steer(NAME, "pause")
        result = hub.supervisor.wait(NAME, 30)
        assert result is not None
        assert result.totals == RunTotals(read=7, published=6, deduplicated=1)


def test_filters_that_change_are_changed_at_the_broker(broker: Mosquitto) -> None:
    with Reading(source(broker.port, topics=("a/1", "a/2"))).subscribed() as one, broker.publisher() as device:
        device.publish("a/1", ["1"])
        one.rows(1)
        position = one.batches[-1].position
        one.source.acknowledge(position)
    with (
        Reading(source(broker.port, topics=("a/2", "a/3")), position).subscribed() as one,
        broker.publisher() as device,
    ):
        for topic in ("a/1", "a/2", "a/3"):
            device.publish(topic, [f'"{topic}"'])
        assert [row["value"] for row in one.rows(2)] == ["a/2", "a/3"]


def test_S28_TLS_and_a_password(secure: Mosquitto) -> None:
    more = {"tls": True, "ca_file": "tls/ca.pem", "user": USER, "password": "${secret:MQTT}", "topics": ("open/+",)}
    made = source(secure.port, root=secure.root, **more)
    assert made.check().ok
    with Reading(made).subscribed() as one, secure.publisher() as device:
        device.publish("open/x", ["1"])
        assert one.rows(1)[0]["value"] == "1"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"user": "nobody"}, "refuses"),
        ({"ca_file": None}, "certificate is not trusted"),
        ({"host": "localhost"}, "the operator has not allowed it"),
    ],
)
@VERSIONS
def test_S28_S2_R17_what_trying_again_would_not_mend_ends_the_task(
    secure: Mosquitto, more: dict[str, Any], said: str, version: str
) -> None:
    usual = {"tls": True, "ca_file": "tls/ca.pem", "user": USER, "password": "${secret:MQTT}", "topics": ("open/+",)}
    made = source(secure.port, root=secure.root, version=version, **{**usual, **more})
    (finding,) = made.check().findings
    assert not finding.ok
    assert PASSWORD not in f"{finding.detail} {finding.remedy}"
    with Reading(made) as one:
        assert eventually(lambda: one.error is not None)
        assert said in str(one.error)
        assert one.error is not None
        assert one.error.remedy


def test_a_broker_that_is_away_is_said_by_check_and_waited_for_by_a_run() -> None:
    port = free_port()
    (finding,) = source(port, connect_timeout_s=0.5).check().findings
    assert (finding.ok, finding.detail) == (False, "the broker does not answer")
    with Reading(source(port)) as one:
        assert eventually(lambda: len(one.batches) > 3)  # signs of life


def test_F25_a_broker_that_is_away_while_a_run_waits_is_told_of_until_it_is_back(tmp_path: Path) -> None:
    broker, told = Mosquitto(tmp_path / "broker"), list[str]()
    made = source(broker.port, away=lambda why: told.append(why.told if why else ""))
    with Reading(made):
        assert eventually(lambda: any(told))
        assert told[-1].startswith(f"SourceUnavailable: mqtt://127.0.0.1:{broker.port}: the broker does not answer (")
        broker.start()
        assert eventually(lambda: told[-1] == "")
        broker.stop()
        assert eventually(lambda: told[-1] != "")


@VERSIONS
def test_F25_a_run_with_quiet_s_ends_when_all_was_taken_and_the_next_takes_what_was_kept(
    broker: Mosquitto, version: str
) -> None:
    with broker.publisher() as device:
        device.publish("wells/w1/level", ["1"], retain=True)
        first = list(source(broker.port, version=version, quiet_s=2).batches(None, Event()))
        device.publish("wells/w2/level", ["2", "3"])
    second = list(source(broker.port, version=version, quiet_s=2).batches(first[-1].position, Event()))
    taken = [[row["value"] for b in batches for row in b.records.to_pylist()] for batches in (first, second)]
    assert taken[0] == ["1"]
    assert taken[1][-2:] == ["2", "3"]


def test_a_run_with_quiet_s_fails_when_the_broker_is_away() -> None:
    with pytest.raises(SourceUnavailable, match="does not answer") as caught:
        list(source(free_port(), quiet_s=1, connect_timeout_s=0.5).batches(None, Event()))
    assert caught.value.remedy


@pytest.mark.parametrize("topics", [("a#",), ("a/#/b",), ("+a",), ("",), ()])
def test_a_topic_filter_that_is_none_is_refused(topics: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="topics"):
        MqttSpec(kind="mqtt", host="h", topics=topics)


def test_a_snapshot_is_never_pushed() -> None:
    with pytest.raises(ConfigurationInvalid, match="never the whole"):
        MqttSource(
            MqttSpec(kind="mqtt", host="h", topics=("a",)), SourceContext(task="t", root=Path(), mode="snapshot")
        )

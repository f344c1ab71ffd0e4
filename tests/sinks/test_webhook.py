"""Sink `webhook` against real servers: signed as Standard Webhooks says, and what each answer means (F13, S2, S16)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.context import SinkContext
from connectors.outbound import Outbound
from connectors.signing import signed
from connectors.sinks.specs import WebhookSpec
from connectors.sinks.webhook import WebhookSink
from hub.errors import ConfigurationInvalid, SinkGone, SinkRefused, SinkUnavailable
from tests.sinks.test_sinks import batch
from tests.support.fault_server import Answer, FaultServer, Request, answer
from tests.support.ports import free_port

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Request], Answer]], FaultServer]]:
    made: list[FaultServer] = []

    def start(say: Callable[[Request], Answer]) -> FaultServer:
        made.append(FaultServer(say))
        return made[-1]

    yield start
    for server in made:
        server.close()


def sink(url: str, tmp_path: Path, *, secret: str = SECRET, allowed: str = "", **more: Any) -> WebhookSink:
    spec = WebhookSpec(kind="webhook", url=url, secret="${secret:KEY}", **more)
    allowed = allowed or url.partition("//")[2].partition("/")[0]
    outbound = Outbound(allowed=frozenset({allowed}))
    return WebhookSink(
        spec, SinkContext(subscription="s", root=tmp_path, outbound=outbound, secret=lambda _text: secret)
    )


def test_signatures_are_those_of_the_specification() -> None:
    """The worked example of Standard Webhooks."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("url", ["http://[", "https://host:port/", "https://[::1/x"])
def test_an_address_that_is_none_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        sink(url, tmp_path)


def test_a_batch_is_one_signed_post_and_has_the_same_id_each_time(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda _request: answer({}, 204))
    one = sink(f"{server.url}/in?token=x", tmp_path)
    sent = batch([(0, "a", 1), (1, "b", None)], {0: 10})
    one.write(sent)
    one.write(sent)
    one.write(batch([(0, "c", 1)], {0: 11}))
    one.write(batch([]))
    one.close()
    assert len(server.requests) == 3
    first, again, other = server.requests
    ids = [request.headers["webhook-id"] for request in server.requests]
    assert ids[0] == ids[1] != ids[2]
    assert first.body == again.body
    said = json.loads(first.body.replace(b'{"id": "a", "n": 1}\n{"id": "b", "n": null}\n', b"[]"))
    assert said["type"] == "datong.records"
    assert (said["data"]["subscription"], said["data"]["positions"]) == ("s", {"0": 11, "1": 1})
    content = f"{other.headers['webhook-id']}.{other.headers['webhook-timestamp']}.".encode() + other.body
    made = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    assert other.headers["webhook-signature"] == f"v1,{made}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, SinkUnavailable), (503, SinkUnavailable), (408, SinkUnavailable), (429, SinkUnavailable),
        (400, SinkRefused), (401, SinkRefused), (404, SinkRefused), (422, SinkRefused), (410, SinkGone), (302, SinkRefused),
    ],
)  # fmt: skip
def test_F13_what_each_status_means(serve: Any, tmp_path: Path, status: int, kind: type[Exception]) -> None:
    server = serve(lambda request: answer({}, status, Location=f"{server.url}/elsewhere"))
    one = sink(f"{server.url}/in?token=canary-77", tmp_path)
    with pytest.raises(kind) as raised:
        one.write(batch([(0, "a", 1)]))
    assert type(raised.value) is kind
    assert "canary" not in f"{raised.value!r} {raised.value}"
    assert [request.path for request in server.requests] == ["/in"]
    one.close()


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)])
def test_F13_retry_after_is_heard(serve: Any, tmp_path: Path, said: str, seconds: float | None) -> None:
    server = serve(lambda _request: answer({}, 429, Retry_After=said))
    one = sink(server.url, tmp_path)
    with pytest.raises(SinkUnavailable) as raised:
        one.write(batch([(0, "a", 1)]))
    assert raised.value.wait_s == seconds
    one.close()


def test_F13_a_receiver_that_is_slow_or_away_is_unavailable(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda _request: [5.0, answer({})])
    for url in (server.url, f"http://127.0.0.1:{free_port()}"):
        one = sink(url, tmp_path, timeout_s=0.2)
        with pytest.raises(SinkUnavailable, match="did not answer"):
            one.write(batch([(0, "a", 1)]))
        one.close()


def test_S2_a_private_address_that_nobody_allowed_is_never_connected_to(serve: Any, tmp_path: Path) -> None:
    server = serve(lambda _request: answer({}))
    one = sink(server.url, tmp_path, allowed="elsewhere:1")
    with pytest.raises(SinkGone, match="private"):
        one.write(batch([(0, "a", 1)]))
    assert server.connections == 0
    one.close()


@pytest.mark.parametrize(
    "secret", ["whsec_short", "plain-text-canary", "whsec_" + base64.b64encode(b"x" * 23).decode()]
)
def test_S16_a_key_that_is_none_is_refused_and_never_quoted(tmp_path: Path, secret: str) -> None:
    with pytest.raises(ConfigurationInvalid) as raised:
        sink("http://127.0.0.1:1", tmp_path, secret=secret)
    assert secret not in f"{raised.value!r} {raised.value} {raised.value.remedy}"


@pytest.mark.parametrize(
    "change", [{"secret": "whsec_in_the_file"}, {"url": "ftp://x/"}, {"url": "https://user:pw@x/"}, {"tries": 0}]
)
def test_S16_a_file_with_the_key_itself_or_an_odd_address_is_a_mistake(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebhookSpec.model_validate({"kind": "webhook", "url": "https://x/", "secret": "${secret:K}", **change})

"""A secret that is bound leaves this machine encrypted or not at all, whatever the text of its user says (S16; ADR 17).

The service stands at this machine's own address, which is not loopback's, and nothing keeps anybody from there but the rule.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors import KINDS, SINKS
from hub.builder import open_channel, open_kind, open_sink
from hub.catalogue.notify import CHANNELS, NotifySpec
from hub.catalogue.specs import SubscriptionSpec
from hub.errors import DatongError
from hub.model import Message
from hub.settings import OutboundSettings, Settings, load_settings
from tests.sinks.test_sinks import batch
from tests.support.fault_server import FaultServer, answer
from tests.support.ports import own_address
from tests.support.requirements import unavailable

SECRET = "whsec_" + base64.b64encode(b"canary-5c1e-" * 2).decode()
Texts = dict[str, dict[str, Any]]


@pytest.fixture
def here() -> str:
    """Its own address."""
    return own_address() or unavailable("address", "this machine has no address but loopback's")


@pytest.fixture
def service(here: str) -> Iterator[FaultServer]:
    with closing(FaultServer(lambda _r: answer([{"a": 1}]), host=here)) as server:
        yield server


class HangingUp(FaultServer):
    """Takes connections, and ends each at once."""

    def _serve(self, connection: socket.socket) -> None:
        connection.close()


def project(root: Path, service: FaultServer, **binding: Any) -> Settings:
    (root / "secrets.d").mkdir()
    (root / "secrets.d/KEY").touch(0o600)
    (root / "secrets.d/KEY").write_text(SECRET)
    users = {"connectors": ["it"], "subscriptions": ["it"], "alerts": ["it"]}
    (root / "bindings.yaml").write_text(json.dumps({"secrets": [{"secret": "KEY", **users, **binding}]}))
    (root / "datong.yaml").write_text(json.dumps({"outbound": {"allow": [service.address]}}))
    return load_settings(root, env={}).settings


def texts(service: FaultServer, *, tls: bool) -> Texts:
    """Every kind that can send a secret, in clear or not."""
    s, at = "s" if tls else "", service.address
    key, place = "${secret:KEY}", {"host": service.host, "port": service.port}
    mode = "require" if tls else "prefer"
    rest = {"kind": "rest", "url": f"http{s}://{at}/", "tries": 1, "timeout_s": 2}
    return {
        "rest": {**rest, "auth": {"by": "bearer", "secret": key}},
        "rest query": {**rest, "parameters": {"key": key}},
        "rest token service": {
            **rest, "url": f"https://{at}/", "auth": {"by": "oauth2", "secret": key, "token_url": f"http{s}://{at}/t"},
        },
        "mqtt": {"kind": "mqtt", **place, "tls": tls, "user": "u", "password": key, "topics": ["#"], "quiet_s": 1,
                 "connect_timeout_s": 2},
        "sql": {"kind": "sql", "url": f"postgresql+psycopg://u:{key}@{at}/x?sslmode={mode}", "table": "t"},
        "postgres": {"kind": "postgres", "url": f"postgresql://u:{key}@{at}/x?sslmode={mode}", "table": "t"},
        "sink webhook": {"kind": "webhook", "url": f"http{s}://{at}/", "secret": key},
        "sink table": {"kind": "table", "url": f"postgresql+psycopg://u:{key}@{at}/x?sslmode={mode}", "table": "t"},
        "alerts webhook": {"kind": "webhook", "url": f"http{s}://{at}/", "secret": key},
    }  # fmt: skip


def use(what: str, spec: dict[str, Any], settings: Settings) -> str:
    """Let it connect; what the hub says of that."""
    part, _, name = what.partition(" ")
    try:
        if part == "sink":
            subscription = SubscriptionSpec(subscription="it", grant="g", sink=SINKS[name].spec.model_validate(spec))
            with closing(open_sink(subscription, settings)) as sink:
                sink.write(batch([(0, "a", 1)]))
        elif part == "alerts":
            channel = CHANNELS[name].model_validate(spec)
            message = Message(subject="s", text="t", body={})
            open_channel(NotifySpec(notify="it", channel=channel), settings).send(message)
        else:
            source = KINDS[part].spec.model_validate(spec)
            with closing(open_kind(part, source, settings, task="it", mode="append")) as opened:
                if KINDS[part].takes:  # which is only looked at
                    return str(opened.check().findings)
                for _batch in opened.batches(None, Event()):
                    pass
    except DatongError as error:
        return str(error)
    return "well"


KINDS_HERE = tuple(texts(FaultServer(lambda _r: b""), tls=False))


@pytest.mark.parametrize("what", KINDS_HERE)
def test_S16_a_bound_secret_is_not_sent_in_clear_and_the_refusal_says_what_to_write(
    tmp_path: Path, service: FaultServer, what: str
) -> None:
    settings = project(tmp_path, service, hosts=[service.address])
    said = use(what, texts(service, tls=False)[what], settings)
    assert "there is no TLS to where this leads" in said
    assert "`plain: true` there at KEY" in said
    assert SECRET not in said
    assert service.requests == []
    if what != "rest token service":  # which speaks TLS to the service itself
        assert service.connections == 0


@pytest.mark.parametrize("what", KINDS_HERE)
@pytest.mark.parametrize(("tls", "binding"), [(True, {}), (False, {"plain": True})])
def test_S16_over_TLS_or_where_the_entry_says_so_it_connects(
    tmp_path: Path, here: str, what: str, tls: bool, binding: dict[str, Any]
) -> None:
    with closing(HangingUp(lambda _r: b"", host=here)) as service:
        said = use(what, texts(service, tls=tls)[what], project(tmp_path, service, hosts=[service.address], **binding))
        assert "TLS to where" not in said
        assert service.connections > 0


def test_S16_a_redirect_into_the_clear_takes_no_secret_along(tmp_path: Path, service: FaultServer) -> None:
    """The first host is loopback, where nobody is on the way."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: {service.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    with closing(FaultServer(lambda _r: moved)) as first:
        settings = project(tmp_path, service, hosts=[service.address, first.address])
        settings = settings.model_copy(update={"outbound": OutboundSettings(allow=(service.address, first.address))})
        spec = {**texts(service, tls=False)["rest"], "url": f"{first.url}/", "redirects_to": [service.address]}
        assert "there is no TLS" in use("rest", spec, settings)
        assert [r.headers["authorization"] for r in first.requests] == [f"Bearer {SECRET}"]
    assert service.connections == 0


@pytest.mark.parametrize("hosts", [{}, {"hosts": []}])
def test_S16_no_secret_that_is_bound_to_nobodys_host_goes_in_clear(
    tmp_path: Path, service: FaultServer, hosts: dict[str, Any]
) -> None:
    said = use("rest", texts(service, tls=False)["rest"], project(tmp_path, service, **hosts))
    assert "no TLS" in said or "bound to no host" in said
    assert service.connections == 0

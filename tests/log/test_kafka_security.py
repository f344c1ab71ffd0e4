"""SASL, TLS and ACLs on a real broker: what works, and that every refusal says its real cause in time (S16)."""

from __future__ import annotations

import base64
import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deploy.services.kafka import Cluster, tool
from hub.errors import ConfigurationInvalid, DatongError, LogUnavailable
from hub.log.kafka import KafkaLog, KafkaOptions
from hub.log.kafka.connection import Connection
from hub.log.kafka.hanging import Open
from hub.log.kafka.oauth import ClientCredentials
from hub.model import Topic
from tests.contracts.log_contract import at, contents, make_blocks
from tests.support.kafka import fresh
from tests.support.waiting import eventually

WRONG = "canary-password-4711"
IN_TIME_S = 20.0  # the hub means five; what it must not do is wait for kafka-python's thirty


def options(cluster: Cluster, user: str = "admin", **changes: Any) -> KafkaOptions:
    known = user in ("admin", "writer", "reader", "stranger")
    made: dict[str, Any] = {
        "bootstrap": tuple(n.address for n in cluster.nodes),
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": user,
        "password": cluster.password(user) if known else WRONG,
        "ca_file": str(cluster.ca_file),
    }
    return KafkaOptions(**{**made, **changes})


def publish_and_read(log: KafkaLog) -> None:
    topic, task = f"city.test.{fresh('thing')}.v1", fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    writer.close()
    assert [v for _, v in contents(log, topic)] == [b"1"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_over_tls_works(kafka_secure: Cluster, mechanism: str) -> None:
    log = KafkaLog(options(kafka_secure, sasl_mechanism=mechanism))
    publish_and_read(log)
    log.close()


def test_a_client_certificate_works(kafka_secure: Cluster) -> None:
    certs = kafka_secure.ca_file.parent
    made = options(
        kafka_secure,
        bootstrap=(f"127.0.0.1:{kafka_secure.nodes[0].mtls_port}",),
        security_protocol="SSL",
        sasl_mechanism=None,
        cert_file=str(certs / "broker.crt"),
        key_file=str(certs / "broker.key"),
    )
    log = KafkaLog(made)
    assert log.healthy()
    assert set(log.topics()) >= {"__state", "__quarantine"}
    log.close()


class TokenServer(BaseHTTPRequestHandler):
    """Hands a token without signature to the one client it knows."""

    asked: ClassVar[list[str]] = []
    broken: ClassVar[bool] = False

    def do_POST(self) -> None:
        given = base64.b64decode(self.headers.get("Authorization", "Basic ").split()[1]).decode()
        self.asked.append(given)
        if given != "hub:right" or self.broken:
            self.send_response(503 if self.broken else 401)
            self.end_headers()
            return
        now = int(time.time())
        parts = [{"alg": "none"}, {"sub": "admin", "iat": now, "exp": now + 600, "scope": "kafka"}]
        token = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + "."
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": token, "expires_in": 600}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' output."""


@pytest.fixture
def token_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), TokenServer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        thread.join()


def test_oauthbearer_with_client_credentials_works(kafka_secure: Cluster, token_url: str) -> None:
    provider = ClientCredentials(token_url, "hub", "right")
    TokenServer.asked.clear()
    log = KafkaLog(options(kafka_secure, sasl_mechanism="OAUTHBEARER", password=None, token_provider=provider))
    publish_and_read(log)
    log.close()
    assert TokenServer.asked == ["hub:right"]  # one token served all connections


def test_S16_a_token_server_that_refuses_is_told_without_the_secret(kafka_secure: Cluster, token_url: str) -> None:
    provider = ClientCredentials(token_url, "hub", WRONG)
    with pytest.raises(ConfigurationInvalid, match="log-in") as refused:
        KafkaLog(options(kafka_secure, sasl_mechanism="OAUTHBEARER", password=None, token_provider=provider))
    assert WRONG not in str(refused.value)


def test_a_token_server_that_is_away_is_waited_for(kafka_secure: Cluster, token_url: str) -> None:
    """Its refusals are told as such, and asked again when somebody has mended them."""
    provider = ClientCredentials(token_url, "hub", "right")
    made = options(kafka_secure, sasl_mechanism="OAUTHBEARER", password=None, token_provider=provider)
    log = KafkaLog(replace(made, request_timeout_s=2.0))

    def answers() -> bool:
        with suppress(LogUnavailable):  # the machine may be too slow for such a hurry
            return "__state" in log._topics.all(fresh=True)
        return False

    try:
        for broken, secret, kind in ((True, "right", LogUnavailable), (False, WRONG, ConfigurationInvalid)):
            TokenServer.broken, provider._secret, provider._until = broken, secret, 0.0
            lose_connections(log)
            with pytest.raises(kind):
                log._cluster.partitions(fresh=True)
            with pytest.raises(kind):
                log._topics.all(fresh=True)
            TokenServer.broken, provider._secret = False, "right"
            assert eventually(answers)
        TokenServer.broken, provider._until = True, 0.0
        with pytest.raises(LogUnavailable, match="token server"):
            KafkaLog(made)
    finally:
        TokenServer.broken = False
        log.close()


def lose_connections(log: KafkaLog) -> None:
    """As when the broker restarts."""
    assert isinstance(log._cluster, Connection)
    manager, net = log._cluster._manager, log._cluster._net

    async def close() -> None:
        for connection in list(manager._conns.values()):
            connection.close()

    net.run(close)
    log._topics._admin.forget()


@pytest.mark.parametrize(
    ("name", "changes", "kind", "message"),
    [
        ("wrong password", {"password": WRONG}, ConfigurationInvalid, "refused the log-in"),
        ("unknown user", {"username": "nobody", "password": WRONG}, ConfigurationInvalid, "refused the log-in"),
        ("mechanism not offered", {"sasl_mechanism": "PLAIN"}, ConfigurationInvalid, "SASL mechanism|log-in"),
        ("no TLS to a TLS port", {"security_protocol": "PLAINTEXT"}, ConfigurationInvalid, "security_protocol"),
        ("SASL without TLS", {"security_protocol": "SASL_PLAINTEXT"}, ConfigurationInvalid, "security_protocol"),
        ("authority missing", {"ca_file": None}, ConfigurationInvalid, "not trusted"),
        ("authority's file missing", {"ca_file": "/no/such/file.pem"}, ConfigurationInvalid, "cannot be read"),
        ("nobody listens", {"bootstrap": ("127.0.0.1:1",)}, LogUnavailable, "nobody answers"),
        ("no such host", {"bootstrap": ("no-such-host.invalid:9092",)}, LogUnavailable, "host name is not known"),
    ],
)
def test_S16_a_refusal_has_its_cause_and_no_secret_within_five_seconds(
    kafka_secure: Cluster, name: str, changes: dict[str, Any], kind: type[DatongError], message: str
) -> None:
    made = options(kafka_secure, **changes)
    started = time.monotonic()
    with pytest.raises(kind, match=message) as refused:
        KafkaLog(made)
    assert time.monotonic() - started < IN_TIME_S, name
    assert refused.value.remedy
    for secret in (WRONG, kafka_secure.password("admin")):
        assert secret not in f"{refused.value} {refused.value!r} {made!r}"


@pytest.mark.parametrize("hangs_up", [True, False])
def test_S16_a_tls_alert_in_place_of_an_answer_is_a_wrong_protocol(hangs_up: bool) -> None:
    """What a TLS listener says to plain text, read before or after it closes the connection."""
    alert = bytes([21, 3, 3, 0, 2, 2, 70])  # RFC 8446 §6: alert, TLS 1.2, two bytes: fatal, protocol_version
    refused: list[socket.socket] = []

    class Refuses(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(1 << 16):
                self.request.sendall(alert)
                refused.append(self.request)
                if not hangs_up:
                    self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuses) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = KafkaOptions(bootstrap=(f"127.0.0.1:{server.server_address[1]}",))
        with pytest.raises(ConfigurationInvalid, match="security_protocol"):
            KafkaLog(made)
        server.shutdown()
    assert len(refused) == 2


def test_a_listener_that_wants_a_certificate_says_so(kafka_secure: Cluster) -> None:
    where = (f"127.0.0.1:{kafka_secure.nodes[0].mtls_port}",)
    with pytest.raises(ConfigurationInvalid, match="client certificate"):
        KafkaLog(options(kafka_secure, bootstrap=where, security_protocol="SSL", sasl_mechanism=None))


def test_S8_a_user_without_rights_is_told_which_are_missing(kafka_secure: Cluster) -> None:
    KafkaLog(options(kafka_secure)).close()  # the internal topics are there
    with pytest.raises(ConfigurationInvalid, match="may not use this topic"):
        KafkaLog(options(kafka_secure, "stranger"))


def test_S8_the_rights_of_the_how_to_page_are_enough(kafka_secure: Cluster, tmp_path: Path) -> None:
    """Its commands are run as they stand, for a user without any right, on a cluster where nothing is allowed."""
    page = (Path(__file__).resolve().parents[2] / "docs/how-to/kafka.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in page.splitlines() if line.startswith("kafka-acls.sh ")]
    assert len(commands) == 4
    properties = tmp_path / "admin.properties"
    properties.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
        f"ssl.truststore.location={kafka_secure.ca_file}\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="admin" password="{kafka_secure.password("admin")}";\n'
    )
    where = ["--bootstrap-server", kafka_secure.bootstrap, "--command-config", str(properties)]

    def grant(command: list[str]) -> None:
        words = [word.strip("'").replace("User:hub", "User:reader") for word in command]
        tool("org.apache.kafka.tools.AclCommand", *where, *words)

    for command in commands[:3]:
        grant(command)
    log = KafkaLog(options(kafka_secure, "reader"))
    publish_and_read(log)
    hanging = Open(("__checkpoints", 0), (4242, 0), 0)
    assert not log.hanging.mark(hanging, commit=False)
    grant(commands[3])
    assert eventually(lambda: log.hanging.mark(hanging, commit=False))
    topic, group = f"city.test.{fresh('thing')}.v1", fresh("it-planning")
    log.ensure(Topic(name=topic))
    log.ensure(Topic(name=topic, retention_ms=1_000_000))
    assert log.topics()[topic].retention_ms == 1_000_000
    log.committed(group, topic, {0: 0})
    log.close()
    described = tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *where, "--describe", "--group", group
    )
    assert topic in described


def _known(admin: Any, acl: Any) -> bool:
    """Has the broker heard of it?"""
    from kafka.admin import ACLFilter, ACLResourcePatternType, ResourcePatternFilter

    pattern = ResourcePatternFilter(
        acl.resource_pattern.resource_type, acl.resource_pattern.resource_name, ACLResourcePatternType.LITERAL
    )
    found, _ = admin.describe_acls(ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, pattern))
    return bool(found)


def test_rights_that_are_taken_away_in_mid_run_stop_the_task_with_the_cause(kafka_secure: Cluster) -> None:
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
    from kafka.admin import ACLResourcePatternType as Pattern

    KafkaLog(options(kafka_secure)).close()
    admin = KafkaAdminClient(**options(kafka_secure).client())
    allowed = [
        ACL("User:writer", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
        for kind, name, pattern in (
            (ResourceType.TOPIC, "", Pattern.PREFIXED),
            (ResourceType.TOPIC, "*", Pattern.LITERAL),
            (ResourceType.TRANSACTIONAL_ID, "hub-", Pattern.PREFIXED),
            (ResourceType.CLUSTER, "kafka-cluster", Pattern.LITERAL),
        )
        if name
    ]
    admin.create_acls(allowed)
    topic, task = f"city.test.{fresh('thing')}.v1", fresh("task")
    log = KafkaLog(options(kafka_secure, "writer", append_timeout_s=10.0))
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    forbidden = ACL(
        "User:writer", "*", ACLOperation.WRITE, ACLPermissionType.DENY, ResourcePattern(ResourceType.TOPIC, topic)
    )
    admin.create_acls([forbidden])
    assert eventually(lambda: _known(admin, forbidden))
    with pytest.raises(ConfigurationInvalid, match="may not use this topic"):
        writer.append(make_blocks(["b"], ["2"], topic=topic), at(2))
    admin.delete_acls([forbidden])
    assert eventually(lambda: not _known(admin, forbidden))
    writer.append(make_blocks(["b"], ["2"], topic=topic), at(2))
    assert [v for _, v in contents(log, topic)] == [b"1", b"2"]
    writer.close()
    log.close()
    admin.close()

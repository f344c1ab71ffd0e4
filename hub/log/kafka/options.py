"""What it takes to reach a cluster, in kafka-python's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Compression = str | None  # "lz4", "zstd", "gzip", "snappy" or None


@dataclass(frozen=True, kw_only=True)
class KafkaOptions:
    """A cluster and how to write to it. Secrets are not shown."""

    bootstrap: tuple[str, ...]  # host:port
    security_protocol: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
    sasl_mechanism: str | None = None  # PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_provider: Any = field(default=None, repr=False)  # kafka.net.sasl.oauth.AbstractTokenProvider
    ca_file: str | None = None
    cert_file: str | None = None  # mTLS: the client's certificate chain …
    key_file: str | None = None  # … and its key
    key_password: str | None = field(default=None, repr=False)
    replication: int = 1
    min_insync: int = 1
    compression: Compression = "lz4"
    client_id: str = "datong"
    max_message_bytes: int = 1_200_000  # of topics this log makes: above any block (R5)
    request_timeout_s: float = 15.0  # one answer of a broker
    append_timeout_s: float = 60.0  # all records of an append acknowledged
    transaction_timeout_s: float = 60.0  # then the broker aborts what a dead writer left open
    commit_timeout_s: float = 30.0  # then the outcome is unknown (R1)
    in_flight_bytes: int = 32 * 1024 * 1024  # bound on records handed over and not yet acknowledged
    bootstrap_timeout_s: float = 5.0
    paranoid: bool = False  # a new producer and epoch for every transaction (G3)
    kerberos_service: str = "kafka"  # GSSAPI: first part of the brokers' principals

    def client(self) -> dict[str, Any]:
        """Arguments that every client of kafka-python takes."""
        made: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            "reconnect_backoff_max_ms": 1000,
            "connections_max_idle_ms": 540_000,
            "proxy_url": _proxy_url(),
        }
        if "SSL" in self.security_protocol:
            made |= {"ssl_cafile": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file,
                     "ssl_password": self.key_password}  # fmt: skip
        if self.security_protocol.startswith("SASL"):
            made |= {"sasl_mechanism": self.sasl_mechanism, "sasl_plain_username": self.username,
                     "sasl_plain_password": self.password, "sasl_oauth_token_provider": self.token_provider,
                     "sasl_kerberos_service_name": self.kerberos_service}  # fmt: skip
        return made

    @property
    def where(self) -> str:
        """For messages: no secret in it."""
        return "kafka://" + ",".join(self.bootstrap)


def _proxy_url() -> str | None:
    """The scheme of `sockets`, where this kafka-python has schemes."""
    try:
        from hub.log.kafka.sockets import PROXY_URL
    except Exception:  # in another version: sockets may leak there, and nothing else is lost
        return None
    return PROXY_URL

"""From settings to adapters: which store, which log, and how they are reached."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import ConfigurationInvalid
from hub.log.sqlite import SqliteLog
from hub.ports import OpenLog
from hub.registry import Registry
from hub.secrets import Secrets
from hub.settings import Settings
from hub.store import Store

if TYPE_CHECKING:
    import httpx

    from hub.log.kafka import KafkaOptions
    from hub.registry.remote import RemoteRegistry

KAFKA = "kafka://"


def is_kafka(settings: Settings) -> bool:
    """Is the log one that several machines may share?"""
    return settings.log.url.startswith(KAFKA)


def open_log(settings: Settings, directory: Path, clock_ms: Callable[[], int]) -> OpenLog:
    """The log that `log.url` names. Raises ConfigurationInvalid, LogUnavailable, DirectoryTooNew."""
    if not is_kafka(settings):
        return SqliteLog.at(directory / "log.db", clock=clock_ms)
    from hub.log.kafka import KafkaLog

    return KafkaLog(kafka_options(settings, settings.log.url.removeprefix(KAFKA)))


def kafka_options(settings: Settings, addresses: str) -> KafkaOptions:
    """How to reach and use the cluster at these addresses, with commas between. Raises ConfigurationInvalid."""
    from hub.log.kafka import KafkaOptions

    made = settings.kafka
    sasl = made.security_protocol.startswith("SASL")
    if sasl and not made.sasl_mechanism:
        raise ConfigurationInvalid("kafka.sasl_mechanism is not set", remedy="SCRAM-SHA-512 is the usual one")
    if made.min_insync > made.replication:
        raise ConfigurationInvalid(
            f"kafka.min_insync is {made.min_insync} and kafka.replication {made.replication}: no append could succeed",
            where="kafka.min_insync",
            remedy="2 of 3 is the usual choice",
        )
    if made.sasl_mechanism == "GSSAPI" and importlib.util.find_spec("gssapi") is None:
        raise ConfigurationInvalid(
            "GSSAPI needs the package gssapi, which is not installed",
            where="kafka.sasl_mechanism",
            remedy="pip install 'datong[kerberos]'; it is built against the system's Kerberos headers",
        )
    password = Secrets(settings.root).fill(made.password) or None
    return KafkaOptions(
        bootstrap=tuple(addresses.split(",")),
        security_protocol=made.security_protocol,
        sasl_mechanism=made.sasl_mechanism or None,
        username=made.username or None,
        password=password,
        token_provider=_tokens(settings, password) if made.sasl_mechanism == "OAUTHBEARER" else None,
        ca_file=_file(settings, made.ca_file),
        cert_file=_file(settings, made.cert_file),
        key_file=_file(settings, made.key_file),
        replication=made.replication,
        min_insync=made.min_insync,
        compression=None if made.compression == "none" else made.compression,
        append_timeout_s=made.append_timeout,
        transaction_timeout_s=made.transaction_timeout,
        in_flight_bytes=made.in_flight_bytes,
        paranoid=made.paranoid,
        kerberos_service=made.kerberos_service,
    )


def open_registry(settings: Settings, store: Store) -> Registry | RemoteRegistry:
    """The hub's own schema registry, or the one that `registry.url` names. Raises ConfigurationInvalid."""
    made = settings.registry
    if not made.url:
        return Registry(store)
    from hub.registry.client import RegistryClient
    from hub.registry.remote import RemoteRegistry
    from hub.registry.remote_rows import Remembered

    return RemoteRegistry(RegistryClient(registry_http(settings)), Remembered(store.engine, made.url.rstrip("/")))


def registry_http(settings: Settings) -> httpx.Client:
    """Calls to the registry that `registry.url` names, as the settings say who calls. Raises ConfigurationInvalid."""
    import ssl

    import httpx

    made = settings.registry
    secret = Secrets(settings.root).fill(made.password)
    headers = {"Authorization": f"Bearer {secret}"} if secret and not made.username else {}
    auth = httpx.BasicAuth(made.username, secret) if made.username else None
    try:
        trusted = ssl.create_default_context(cafile=_file(settings, made.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationInvalid("the certificate file cannot be read", where="registry.ca_file") from error
    url = made.url.rstrip("/")
    return httpx.Client(base_url=url, headers=headers, auth=auth, timeout=made.timeout, verify=trusted, trust_env=False)


def _file(settings: Settings, name: str) -> str | None:
    return str(settings.root / name) if name else None


def _tokens(settings: Settings, secret: str | None) -> Any:
    from hub.log.kafka.oauth import ClientCredentials

    made = settings.kafka
    if not (made.token_url and made.username and secret):
        raise ConfigurationInvalid(
            "OAUTHBEARER needs kafka.token_url, kafka.username (client id) and kafka.password (client secret)"
        )
    return ClientCredentials(made.token_url, made.username, secret, ca_file=_file(settings, made.ca_file))

"""Settings of a hub: flags > environment > .env > datong.yaml > defaults, each value with its origin.

Environment variables are `DATONG_` and the setting's name, `__` for a dot: `DATONG_HTTP__PORT`. Unknown ones are errors with
a suggestion. `TEST_…` variables are never settings (R34).
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from hub.catalogue.mistakes import explain
from hub.catalogue.yaml import load_yaml
from hub.errors import ConfigurationInvalid
from hub.secrets import REFERENCE

PREFIX = "DATONG_"
CLIENT = {"DATONG_TOKEN", "DATONG_PERSON_TOKEN", "DATONG_IMPORT_USER"}  # read by commands, not settings of a hub
FILE = "datong.yaml"
SECRET = ("password", "secret", "token")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise ValueError("must be an address or a network | such as 10.0.0.8 or 10.0.1.0/24") from None
    return value


Network = Annotated[str, AfterValidator(_network)]


def is_everywhere(host: str) -> bool:
    """Does who listens there listen on every address of this machine? `0.0.0.0`, `::`, and all that means the same (`0`)."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        with suppress(OSError):
            return socket.inet_aton(host) == bytes(4)
    return False


class Http(_Section):
    """The API's address."""

    host: str = Field(
        "127.0.0.1",
        description="Address to bind; loopback unless you say otherwise.",
        pattern=r"^[A-Za-z0-9.:-]{1,253}$",
    )
    port: int = Field(8080, description="TCP port.", ge=1, le=65535)
    allowed_hosts: tuple[str, ...] = Field((), description="Host names the hub answers to besides loopback's.")
    proxies: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks (`10.0.0.8`, `10.0.1.0/24`) of reverse proxies on other machines, whose "
        "`X-Forwarded-For` and `X-Forwarded-Proto` are believed. One on this machine always is, nobody else ever.",
    )


class StoreSettings(_Section):
    """Registry, leases, tokens and subscribers' offsets."""

    url: str = Field(
        "",
        description="`postgresql+psycopg://USER:${secret:NAME}@HOST:5432/DATABASE`; empty = `store.db` in the data "
        "directory.",
        repr=False,
    )
    connections: int = Field(10, description="To PostgreSQL, at most, per process.", ge=2, le=1000)


class RegistrySettings(_Section):
    """The schema registry."""

    port: int = Field(
        8081,
        description="TCP port with the registry at its root; 0 = only under `/registry` of the hub's port.",
        ge=0,
        le=65535,
    )
    url: str = Field(
        "",
        description="Another registry to register and look up in, instead of the hub's own: `https://HOST:PORT`.",
        pattern=r"^(|https?://[^\s@]+)$",
    )
    username: str = Field("", description="Its user; empty: the password is sent as a bearer token.")
    password: str = Field(
        "", description="Its password or token, as `${secret:NAME}`; never in the file itself.", repr=False
    )
    ca_file: str = Field("", description="PEM file of the authority that signed its certificate.")
    timeout: float = Field(10.0, description="Seconds until it counts as away.", ge=0.1, le=300)


class ConnectSettings(_Section):
    """Kafka Connect's REST API over the connectors."""

    port: int = Field(
        0,
        description="TCP port with Kafka Connect's API at its root, by convention 8083; 0 = only under `/connect` of the "
        "hub's port.",
        ge=0,
        le=65535,
    )


class LogSettings(_Section):
    """Topics: one SQLite file on this machine, or Apache Kafka."""

    url: str = Field(
        "",
        description="Empty = `log.db` in the data directory; `kafka://HOST:PORT,HOST:PORT` for Kafka.",
        pattern=r"^(|kafka://[A-Za-z0-9.\-]+:\d{1,5}(,[A-Za-z0-9.\-]+:\d{1,5})*)$",
    )


class KafkaSettings(_Section):
    """How to reach and use the cluster of `log.url`."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="What the brokers' listener speaks."
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"] = Field(
        "", description="How the hub logs in, for the SASL protocols."
    )
    username: str = Field("", description="User of PLAIN and SCRAM; client id of OAUTHBEARER.")
    password: str = Field(
        "", description="Its password or client secret, as `${secret:NAME}`; never in the file itself.", repr=False
    )
    token_url: str = Field("", description="OAUTHBEARER: where client credentials are exchanged for a token.")
    kerberos_service: str = Field(
        "kafka",
        description="GSSAPI: service name of the brokers' principals, NAME/HOST@REALM.",
        pattern="^[A-Za-z0-9._-]+$",
    )
    ca_file: str = Field("", description="PEM file of the authority that signed the brokers' certificates.")
    cert_file: str = Field("", description="PEM file of the hub's own certificate chain (mTLS).")
    key_file: str = Field("", description="PEM file of its key.")
    replication: int = Field(1, description="Copies of each topic; 3 to survive the loss of a broker.", ge=1, le=10)
    min_insync: int = Field(
        1, description="Copies that must have an append before it counts; 2 of 3 for durability.", ge=1, le=10
    )
    compression: Literal["none", "lz4", "zstd", "gzip"] = Field(
        "lz4", description="Of blocks on their way and on disk."
    )
    append_timeout: float = Field(60.0, description="Seconds until an append that is not acknowledged fails.", ge=1)
    transaction_timeout: float = Field(
        60.0, description="Seconds after which the brokers end what a dead hub left open.", ge=10, le=900
    )
    paranoid: bool = Field(
        False, description="A new producer and epoch for every append, about 0.1 s each (G3); not needed otherwise."
    )
    in_flight_bytes: int = Field(
        32 * 1024 * 1024, description="Bytes handed to the network and not acknowledged, per connector.", ge=1024 * 1024
    )


class Files(_Section):
    """Where file sources may look."""

    root: str = Field(
        ".",
        description="Directory, relative to the project; nothing outside it is ever read, nor what is "
        "hidden or named like credentials (docs/how-to/secrets.md).",
    )


class OutboundSettings(_Section):
    """Where sources and sinks may connect (R17)."""

    allow: tuple[str, ...] = Field(
        (),
        description="`host:port` of private and loopback addresses that sources (`rest`, `mqtt`, `files` over SFTP) and "
        "sinks may reach, exactly as their files name them. Public addresses need no entry; the hub's own ports and metadata "
        "services are never reached. The sources `sql` and `postgres` need no entry where their files on disk name a private "
        "address (databases are inside); an edit through the hub does.",
    )


class Limits(_Section):
    """Bounds on inputs (G17)."""

    request_bytes: int = Field(8 * 1024 * 1024, description="Largest request body, bytes.", ge=1024)
    read_records: int = Field(10_000, description="Most records in one answer to a subscriber.", ge=1)
    read_bytes: int = Field(
        4 * 1024 * 1024, description="Bytes of blocks read for one answer.", ge=1024, le=256 * 1024 * 1024
    )
    streams: int = Field(500, description="Event streams of subscribers that may be open on a node.", ge=0)
    connections: int = Field(
        1_000, description="Connections that one address may have open at a time; a proxy in front is one.", ge=10
    )
    cache_bytes: int = Field(128 * 1024 * 1024, description="Bytes of decoded blocks shared by all subscribers.", ge=0)


class BreakerSettings(_Section):
    """When a connector that quarantines too much pauses (G8)."""

    share: float = Field(0.05, description="Share of the last `window` rows.", gt=0, le=1)
    window: int = Field(1_000, description="Rows.", ge=1)
    in_a_row: int = Field(100, description="Rows, one after the other.", ge=1)


class Deletions(_Section):
    """What a snapshot may delete by itself (R18)."""

    max_share: float = Field(0.10, description="Share of a topic's keys; more pauses the connector.", ge=0, le=1)


class SupervisorSettings(_Section):
    """Running connectors."""

    workers: int = Field(4, description="Connectors that run at the same time in a process.", ge=1, le=64)
    pushes: int = Field(
        32, description="Subscriptions that a process pushes at the same time; more take turns.", ge=1, le=1000
    )
    takeover_after: float = Field(
        20.0,
        description="Seconds without a sign of life until other workers go on with what a worker did; the same on all.",
        ge=2,
        le=3600,
    )


class AlertSettings(_Section):
    """From where on people are told (docs/how-to/operate.md)."""

    lag: int = Field(0, description="Offsets that a group may be behind; 0 = any, as long as it catches up.", ge=0)
    disk_free: float = Field(0.10, description="Share of the data directory's disk that must be free.", ge=0, lt=1)


class Logging(_Section):
    """Logs on stderr."""

    format: Literal["json", "console"] = Field("console", description="One JSON object a line, or lines for people.")
    level: Literal["debug", "info", "warning", "error"] = Field("warning", description="The least that is logged.")


class Settings(_Section):
    """All settings of a hub."""

    root: Path = Field(description="Project directory; not a setting, but where the others were found.", exclude=True)
    data_dir: str = Field("var", description="Directory of log, store and operator token, relative to the project.")
    http: Http = Http()
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    registry: RegistrySettings = RegistrySettings()
    connect: ConnectSettings = ConnectSettings()
    files: Files = Files()
    outbound: OutboundSettings = OutboundSettings()
    limits: Limits = Limits()
    breaker: BreakerSettings = BreakerSettings()
    deletions: Deletions = Deletions()
    supervisor: SupervisorSettings = SupervisorSettings()
    alerts: AlertSettings = AlertSettings()
    logging: Logging = Logging()

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return self.root / self.data_dir

    @property
    def files_path(self) -> Path:
        """The files root."""
        return self.root / self.files.root


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings and where each came from: `flag`, a variable's name, `.env`, `datong.yaml:3`, or `default`."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    project: Path, flags: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> Loaded:
    """Raises ConfigurationInvalid with every mistake at once."""
    known = dict(leaves(Settings))
    values: dict[str, Any] = {}
    origins = dict.fromkeys(known, "default")
    mistakes: list[str] = []
    for key, value, origin in _layers(project, flags or {}, os.environ if env is None else env, mistakes):
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            mistakes.append(
                f"{origin}: there is no setting `{key}`" + (f"; did you mean `{close[0]}`?" if close else "")
            )
            continue
        values[key], origins[key] = value, origin
    url = str(values.get("store.url", ""))
    if origins["store.url"].startswith(FILE) and re.search(r"://[^/@]*:[^/@$]+@", url):
        mistakes.append(
            f"{origins['store.url']}: store.url holds a password; give it by the variable DATONG_STORE__URL"
        )
    for name in ("kafka.password", "registry.password"):
        given = str(values.get(name, ""))
        if origins[name].startswith(FILE) and not REFERENCE.fullmatch(given):
            mistakes.append(f"{origins[name]}: {name} holds a password; write `${{secret:NAME}}`")
    settings = _build(project, values, origins, mistakes)
    if settings is None or mistakes:
        raise ConfigurationInvalid("the settings are not valid", mistakes=tuple(mistakes))
    return Loaded(settings=settings, origins=origins)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by dotted name, with pydantic's field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        elif not field.exclude:
            yield prefix + name, field


def _layers(
    project: Path, flags: Mapping[str, Any], env: Mapping[str, str], mistakes: list[str]
) -> Iterator[tuple[str, Any, str]]:
    """Lowest first, so that later ones win."""
    path = project / FILE
    if path.exists() or path.is_symlink():
        try:
            document = load_yaml(path.read_bytes(), FILE)
        except OSError:
            mistakes.append(f"{FILE}: the file cannot be read (see its rights, and where it leads if it is a link)")
        except ConfigurationInvalid as error:
            mistakes.extend(error.mistakes or (str(error),))
        else:
            for key, value in _flat(document.data, ""):
                yield key, value, f"{FILE}:{document.line(key)}"
    for name, text in dotenv_values(project / ".env", interpolate=False).items():
        if name.startswith(PREFIX) and name not in CLIENT and text is not None:
            yield _key(name), _scalar(text), ".env"
    for name, text in env.items():
        if name.startswith(PREFIX) and name not in CLIENT:
            yield _key(name), _scalar(text), name
    for key, value in flags.items():
        yield key, value, "flag"


def _flat(data: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in (data or {}).items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text) if text.startswith(("[", "{")) else text
    except yaml.YAMLError:
        return text


def _build(
    project: Path, values: Mapping[str, Any], origins: Mapping[str, str], mistakes: list[str]
) -> Settings | None:
    tree: dict[str, Any] = {"root": project}
    for key, value in values.items():
        *sections, name = key.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            key = ".".join(str(p) for p in item["loc"])
            mistakes.append(f"{origins.get(key, FILE)}: {key}: {_said(key, item)}")
        return None


def _said(key: str, item: ErrorDetails) -> str:
    """What is wrong with a value, never the value; what the setting is where its form is wrong (S16)."""
    message, suggestion = explain(item["type"], item["msg"], Settings, item["loc"], item["input"])
    if item["type"] == "string_pattern_mismatch":
        suggestion = str(dict(leaves(Settings))[key].description)
    return f"{message} ({suggestion})" if suggestion else message


def show(loaded: Loaded) -> list[tuple[str, str, str]]:
    """(setting, value, origin); secrets are redacted."""
    rows = []
    for key, _field in leaves(Settings):
        value: Any = loaded.settings
        for part in key.split("."):
            value = getattr(value, part)
        hidden = any(word in key for word in SECRET) or (key == "store.url" and "@" in str(value))
        rows.append((key, "[redacted]" if hidden else str(value), loaded.origins[key]))
    return rows


def settings_reference() -> str:
    """Markdown, from the models alone."""
    lines = ["| setting | default | what it is |", "|---|---|---|"]
    for key, field in leaves(Settings):
        lines.append(f"| `{key}` | `{field.default}` | {field.description} |")
    return "\n".join(lines)

"""Settings of the kinds that are pushed to: `webhook` and `mqtt`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.sources.specs import MAX_COLUMNS, distinct

KEY = r"^(\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,63}\}|whpk_[A-Za-z0-9+/=]{40,60})$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Key = Annotated[str, Field(pattern=KEY)]
Columns = Annotated[tuple[str, ...], AfterValidator(distinct)]


class WebhookSpec(_Part):
    """A department's system sends signed records by HTTP to `/api/v1/intake/CONNECTOR` (Standard Webhooks)."""

    kind: Literal["webhook"] = Field(description="Always `webhook`.")
    keys: tuple[Key, ...] = Field(
        description="Whose signature is taken: `${secret:NAME}`, where the secret is `whsec_` and 24 to 64 bytes in base64 "
        "(HMAC-SHA256, `v1`), or an Ed25519 public key, `whpk_` and 32 bytes in base64 (`v1a`), which may stand here as it "
        "is. Several while a key is changed: any of them is good.",
        min_length=1,
        max_length=10,
        repr=False,
    )
    columns: Columns = Field(
        (),
        description="Names of what a record has, dots between names of nested ones, so that the mapping can be checked before "
        "anything comes. What a record lacks is NULL, whether it stands here or not.",
        max_length=MAX_COLUMNS,
    )
    body_bytes: int = Field(
        1024 * 1024,
        description="Largest body; the setting limits.request_bytes bounds it too.",
        ge=256,
        le=4 * 1024 * 1024,
    )
    records: int = Field(10_000, description="Most records in one body.", ge=1, le=10_000)
    per_second: float = Field(
        100, description="Bodies a second, in the long run; more are answered 429.", gt=0, le=100_000
    )
    waiting: int = Field(
        1_000, description="Bodies that may wait for the log; more are answered 429.", ge=1, le=100_000
    )


def _filter(value: str) -> str:
    levels = value.split("/")
    wild = [i for i, level in enumerate(levels) if ("+" in level and level != "+") or ("#" in level and level != "#")]
    if "\0" in value or wild or "#" in levels[:-1]:
        raise ValueError("is no topic filter | `+` stands for one whole level, `#` for all that follow, at the end")
    return value


TopicFilter = Annotated[str, AfterValidator(_filter), Field(min_length=1, max_length=1000)]


class MqttSpec(_Part):
    """Messages of an MQTT broker, QoS 1: acknowledged to the broker when they are durable here."""

    kind: Literal["mqtt"] = Field(description="Always `mqtt`.")
    host: str = Field(description="Host name or address of the broker.", pattern=r"^[A-Za-z0-9.:-]{1,253}$")
    port: int = Field(8883, description="Its TCP port; 1883 is the usual one without TLS.", ge=1, le=65535)
    tls: bool = Field(True, description="Speak TLS, and check the broker's certificate.")
    ca_file: str | None = Field(
        None, description="PEM file below the files root: the authority that signed the broker's certificate."
    )
    user: str = Field("", description="Who logs in.", max_length=300)
    password: str = Field("", description="The password, as `${secret:NAME}`.", max_length=300, repr=False)
    version: Literal["3.1.1", "5"] = Field("5", description="Version of the protocol.")
    client_id: str = Field(
        "",
        description="Names the session at the broker, which keeps messages while the hub is away; no other client may have "
        "it. By default `datong-CONNECTOR`.",
        max_length=200,
    )
    topics: tuple[TopicFilter, ...] = Field(
        description="Topic filters, such as `wells/+/level` or `trams/#`.", min_length=1, max_length=100
    )
    levels: tuple[str, ...] = Field(
        (),
        description="Columns for the levels of a message's topic, from the first on; an empty name leaves one out. The whole "
        "topic is the column `@topic`.",
        max_length=32,
    )
    columns: Columns = Field(
        (),
        description="Names of what a payload has, dots between names of nested ones, so that the mapping can be checked "
        "before anything comes. What a payload lacks is NULL, whether it stands here or not.",
        max_length=MAX_COLUMNS,
    )
    retained: Literal["take", "skip"] = Field(
        "take",
        description="What the broker had kept before the hub subscribed: the last message of each topic. The column "
        "`@retained` is `true` for those. They come once for each session that is new at the broker, each time under the "
        "same record id.",
    )
    identity: Columns = Field(
        (),
        description="Columns that together name a reading, such as sensor and time: in mode append, what comes again within "
        "72 hours is published once, also when the device sent it twice. Without it each message of the broker is one.",
        max_length=20,
    )
    window: int = Field(
        200,
        description="Messages that may be on their way and not durable yet: the receive maximum of MQTT 5. For 3.1.1 at least "
        "as many as the broker allows itself (mosquitto: 20).",
        ge=1,
        le=10_000,
    )
    session_s: int = Field(
        604_800,
        description="Seconds for which an MQTT 5 broker keeps messages while the hub is away.",
        ge=60,
        le=4_294_967_294,
    )
    quiet_s: float | None = Field(
        None,
        description="End a run when the broker has sent nothing for so many seconds, and fail it when the broker is not there "
        "within `connect_timeout_s`: for a schedule such as `every 15m`, between whose runs the broker keeps what comes. "
        "Without it a run goes on until it is stopped, as `continuous` wants it.",
        gt=0,
        le=3600,
    )
    keepalive_s: int = Field(30, description="Seconds after which a silent connection counts as broken.", ge=5, le=3600)
    connect_timeout_s: float = Field(10, description="Seconds until the broker must have answered.", gt=0, le=300)
    reconnect_most_s: float = Field(
        60, description="Longest wait between two attempts to connect; they begin at one second.", gt=0, le=3600
    )

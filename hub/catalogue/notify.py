"""What may stand in the files of `alerts.d`: who is told of alerts, and how."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from hub.catalogue.checks import of_kind
from hub.catalogue.declared import Declared
from hub.catalogue.mistakes import Mistake
from hub.catalogue.specs import Duration, Name, Spec

REFERENCE = r"^\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,63}\}$"
MAIL = r"^[^\s@<>,;:\\\"]{1,64}@[A-Za-z0-9.-]{1,253}$"
COLLECT, REPEAT = timedelta(seconds=15), timedelta(hours=4)
Mail = Annotated[str, Field(pattern=MAIL)]


class WebhookChannel(Spec):
    """An address that is sent notices as JSON, signed as Standard Webhooks says."""

    kind: Literal["webhook"] = Field(description="Always `webhook`.")
    url: str = Field(
        description="Where notices are sent by POST. A private address must stand in the setting `outbound.allow`.",
        pattern=r"^https?://[^\s@#]{1,1990}$",
    )
    secret: str = Field(
        description="`${secret:NAME}` of the key that signs: `whsec_` and 24 to 64 random bytes in base64.",
        pattern=REFERENCE,
    )
    ca_file: str = Field("", description="PEM file below the files root, of the authority that signed its certificate.")


class EmailChannel(Spec):
    """A mail server that takes notices over TLS."""

    kind: Literal["email"] = Field(description="Always `email`.")
    host: str = Field(description="The mail server.", pattern=r"^[A-Za-z0-9.:-]{1,253}$")
    port: int = Field(587, description="Its port: a private address must stand in `outbound.allow`.", ge=1, le=65535)
    security: Literal["starttls", "tls"] = Field(
        "starttls", description="`tls` from the first byte (port 465), or STARTTLS; never without."
    )
    username: str = Field("", description="User; empty: it takes mail without.", max_length=200)
    password: str = Field("", description="`${secret:NAME}` of the password.", pattern=f"^$|{REFERENCE}")
    sender: Mail = Field(description="From whom.")
    to: tuple[Mail, ...] = Field(description="To whom: an office rather than a person.", min_length=1, max_length=50)
    ca_file: str = Field("", description="PEM file below the files root, of the authority that signed its certificate.")


CHANNELS: Mapping[str, type[Spec]] = {"webhook": WebhookChannel, "email": EmailChannel}


class NotifySpec(Spec):
    """Who is told of alerts."""

    notify: Name = Field(description="Its name: lower case, digits, hyphens.")
    severities: tuple[Literal["critical", "warning", "info"], ...] = Field(
        ("critical", "warning"), description="Alerts of these severities only.", min_length=1
    )
    language: Literal["en", "zh"] = Field("en", description="Language of the texts.")
    collect: Duration | None = Field(
        None,
        description="News is gathered for so long, and notices are at least so far apart, so that many alerts are one notice; "
        "15 seconds by default.",
    )
    repeat: Duration | None = Field(None, description="What lasts is told again after so long; 4 hours by default.")
    channel: Any = Field(description="`kind` and the settings of that kind of channel.")

    @property
    def collect_s(self) -> float:
        """News is gathered for so long."""
        return (self.collect or COLLECT).total_seconds()

    @property
    def repeat_s(self) -> float:
        """What lasts is told again after so long."""
        return (self.repeat or REPEAT).total_seconds()


def with_channel(one: Declared[NotifySpec]) -> tuple[Declared[NotifySpec], list[Mistake]]:
    """The same with its channel as its kind's own value, and what is wrong with that."""
    channel, mistakes = of_kind(one.spec.channel, "channel", one.place, CHANNELS)
    if channel is None:
        return one, mistakes
    return Declared(spec=one.spec.model_copy(update={"channel": channel}), place=one.place), mistakes

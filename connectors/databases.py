"""Databases over the network (SQLAlchemy): where they may stand is judged before each connection (S2, R17)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from connectors.outbound import Outbound
from hub.errors import ConfigurationInvalid, DatongError, SinkUnavailable
from hub.urls import port_of

NO_HOST = "the URL must name one host and port, and no parameter that leads elsewhere"
LIBPQ = ("psycopg", "psycopg2")  # drivers that take addresses beside the name, which certificates are compared with
ASIDE = frozenset(  # parameters that lead elsewhere than host and port say
    {"dsn", "host", "hostaddr", "odbc_connect", "port", "read_default_file", "service", "servicefile", "unix_socket"}
)
ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})  # sslmode, after which libpq sends nothing in clear


def asks_for_tls(url: URL) -> bool:
    """Does it say `sslmode`, as libpq reads it? Other drivers have words of their own, which nobody here knows."""
    given = url.query.get("sslmode", ())
    said = {given} if isinstance(given, str) else {*given}
    return bool(said) and said <= ENCRYPTED


def judged(
    engine: Engine,
    url: URL,
    outbound: Outbound,
    where: str,
    *,
    inside: bool = False,
    unknown: type[DatongError] = SinkUnavailable,
) -> None:
    """Every new connection of the engine is judged, and goes to a judged address where the driver takes one; others
    resolve the name once more. Connecting raises TargetRefused, and `unknown` for a name that has no address. `inside`: see
    `Outbound.judge`.

    Raises ConfigurationInvalid for a URL that does not say where it leads."""
    host, port = url.host, port_of(url)
    libpq = url.get_driver_name() in LIBPQ
    encrypted = libpq and asks_for_tls(url)
    if not host or port is None or ASIDE & set(url.query):
        raise ConfigurationInvalid(
            NO_HOST,
            where=where,
            remedy="postgresql+psycopg://user:${secret:NAME}@host:5432/database; a socket of this machine is not reached",
        )

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        try:
            addresses = outbound.addresses(host, port, encrypted=encrypted, inside=inside)
        except (OSError, UnicodeError) as error:
            raise unknown("the name of the database's host is not known", where=where) from error
        if libpq:
            parameters["host"] = ",".join([host] * len(addresses))
            parameters["hostaddr"] = ",".join(addresses)

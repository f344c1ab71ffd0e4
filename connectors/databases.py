"""Databases over the network (SQLAlchemy): where they may stand is judged before each connection (S2, R17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from connectors.outbound import Outbound
from hub.errors import ConfigurationInvalid, SinkUnavailable

PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "oracle": 1521, "mssql": 1433}
LIBPQ = ("psycopg", "psycopg2")  # drivers that take addresses beside the name, which certificates are compared with
ASIDE = frozenset(  # parameters that lead elsewhere than host and port say
    {"dsn", "host", "hostaddr", "odbc_connect", "port", "read_default_file", "service", "servicefile", "unix_socket"}
)


def judged(engine: Engine, url: URL, outbound: Outbound, where: str) -> None:
    """Every new connection of the engine is judged, and goes to a judged address where the driver takes one; others
    resolve the name once more. Connecting raises TargetRefused, SinkUnavailable.

    Raises ConfigurationInvalid for a URL that does not say where it leads."""
    host, port = url.host, url.port or PORTS.get(url.get_backend_name())
    if not host or port is None or ASIDE & set(url.query):
        raise ConfigurationInvalid(
            "the URL must name one host and port, and no parameter that leads elsewhere",
            where=where,
            remedy="postgresql+psycopg://user:${secret:NAME}@host:5432/database; a socket of this machine is not reached",
        )

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        try:
            addresses = outbound.addresses(host, port)
        except (OSError, UnicodeError) as error:
            raise SinkUnavailable("the name of the database's host is not known", where=where) from error
        if url.get_driver_name() in LIBPQ:
            parameters["host"] = ",".join([host] * len(addresses))
            parameters["hostaddr"] = ",".join(addresses)

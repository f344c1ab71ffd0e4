"""URLs of databases in files, and the secrets that stand in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hub.secrets import REFERENCE

PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "oracle": 1521, "mssql": 1433}
PASSWORD = re.compile(rf"[^/]*//[^/@]*:({REFERENCE.pattern})@")


def filled(text: str, fill: Callable[[str], str]) -> URL:
    """The URL with its secrets, as `fill` puts them into a text. A password that is a reference may have any characters; a
    secret elsewhere, or that is the whole URL, is written as in a URL. Raises ArgumentError or ValueError for what is none.
    """
    found = PASSWORD.match(text)
    if found is None:
        return make_url(fill(text))
    rest = text[: found.start(1) - 1] + text[found.end(1) :]
    return make_url(fill(rest)).set(password=fill(found.group(1)))


def port_of(url: URL) -> int | None:
    """The port that a URL leads to; None where nobody can say."""
    return url.port or PORTS.get(url.get_backend_name())


def place_of(text: str) -> str | None:
    """`host:port` of a URL as it is written, in lower case; empty where it does not say, None for a file."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return ""
    if url.get_backend_name() == "sqlite":
        return None
    return f"{url.host}:{port_of(url)}".lower() if url.host else ""

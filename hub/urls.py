"""URLs of databases in files, and the secrets that stand in them."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy.engine import URL, make_url

from hub.secrets import REFERENCE

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

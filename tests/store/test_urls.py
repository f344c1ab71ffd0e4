"""Secrets in the URLs of databases: any password that is one (S16)."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import ArgumentError

from hub.urls import filled

SECRETS = {"PW": "a@b/c:d?e#f%40 ${x}", "HOST": "db.example", "ALL": "postgresql://u:p%40w@h/d"}


def fill(text: str) -> str:
    for name, value in SECRETS.items():
        text = text.replace(f"${{secret:{name}}}", value)
    return text


@pytest.mark.parametrize("rest", ["@h:5432/d", "@h/d?sslmode=require", "@${secret:HOST}/d"])
def test_S16_a_password_that_is_a_secret_may_have_any_characters(rest: str) -> None:
    url = filled("postgresql://u:${secret:PW}" + rest, fill)
    assert (url.username, url.password, url.database) == ("u", SECRETS["PW"], "d")
    assert url.host == ("db.example" if "HOST" in rest else "h")


def test_S16_a_url_that_is_a_secret_is_written_as_a_url() -> None:
    assert filled("${secret:ALL}", fill).password == "p@w"


def test_a_url_without_secrets_is_as_it_stands() -> None:
    assert filled("postgresql://u:p%40w@h/d", fill).password == "p@w"


def test_what_is_no_url_is_told() -> None:
    with pytest.raises(ArgumentError):
        filled("nothing", fill)

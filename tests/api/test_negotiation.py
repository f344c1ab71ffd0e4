"""Accept with qualities, wildcards and nonsense (RFC 9110, 12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.negotiation import best

OFFERED = ("application/json", "text/csv", "application/vnd.apache.avro")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=UTF-8", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*", "application/json"),
        ("text/csv, application/json", "text/csv"),  # equal: the client's order
        ("application/json, text/csv", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.8", "application/json"),
        ("text/csv;q=0.5, */*;q=0.1", "text/csv"),
        ("*/*, text/csv", "text/csv"),  # equal: the more specific
        ("*/*;q=0.9, application/json;q=0.1", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("application/*;q=0, */*", "text/csv"),
        ("application/*;q=0, application/vnd.apache.avro, text/csv;q=0.5", "application/vnd.apache.avro"),
        ("application/vnd.apache.avro;q=0.001", "application/vnd.apache.avro"),
        ("image/png, text/csv;q=0.2", "text/csv"),
        ("image/png", None),
        ("text/csv;q=0", None),
        ("*/*;q=0", None),
        ("text/csv;q=2", None),
        ("text/csv;q=-1", None),
        ("text/csv;q=nan", None),
        ("text/csv;q=0.0005", None),
        ("csv", None),
        ("*/csv", None),
        (",,;q=1,/", None),
        ('text/plain;x="a,text/csv"', None),
        ('text/csv;x="a,b";q=0.3, application/json;q=0.2', "text/csv"),
        ('text/plain;x="unclosed, text/csv', None),
    ],
)
def test_R27_the_form_that_is_wanted_most(accept: str | None, chosen: str | None) -> None:
    assert best(accept, OFFERED) == chosen


@given(st.text(st.sampled_from('*/,;q=01." jsontexcv\\'), max_size=60))
def test_any_header_is_answered_with_an_offer_or_none(accept: str) -> None:
    assert best(accept, OFFERED) in (*OFFERED, None)

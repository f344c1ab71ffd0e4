"""Connector states and bearer tokens."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import sqlalchemy as sa

import hub.store.tokens
from hub.errors import NotFound
from hub.store import Store
from hub.store.engine import reading
from hub.store.tables import tokens

DAY = 86_400_000


def test_a_connector_that_nobody_changed_is_running(store: Store) -> None:
    state = store.states.get("c")
    assert (state.state, state.desired, state.reason) == ("RUNNING", "RUNNING", "")
    assert store.states.all() == {}


def test_state_changes_are_kept_with_reason_time_and_author(store: Store) -> None:
    store.states.put("c", "PAUSED", reason="breaker", by="supervisor", now_ms=7)
    state = store.states.get("c")
    assert (state.state, state.reason, state.changed_ms, state.changed_by) == ("PAUSED", "breaker", 7, "supervisor")


@pytest.mark.parametrize("wanted", ["RUNNING", "PAUSED", "STOPPED"])
def test_a_failure_does_not_change_what_is_desired(store: Store, wanted: str) -> None:
    store.states.put("c", wanted, reason="", by="operator", now_ms=1)  # type: ignore[arg-type] # parametrized
    store.states.put("c", "FAILED", reason="broken", by="supervisor", now_ms=2)
    assert (store.states.get("c").desired, store.states.get("c").state) == (wanted, "FAILED")


def test_S13_a_token_is_verified_and_its_secret_is_not_kept(store: Store, now: list[int]) -> None:
    made = store.tokens.issue("it-lom", role="agency", lifetime_ms=DAY)
    now[0] = 1
    found = store.tokens.verify(made.secret)
    assert found is not None
    assert (found.id, found.agency, found.role, found.expires_ms, found.revoked) == (
        made.id,
        "it-lom",
        "agency",
        DAY,
        False,
    )
    secret = made.secret.rpartition(".")[2]
    assert len(secret) >= 43
    assert secret not in repr(made)
    with reading(store.engine) as connection:
        assert secret not in repr(connection.execute(sa.select(tokens)).all())


def test_S7_a_wrong_expired_future_or_revoked_token_is_nobody(store: Store, now: list[int]) -> None:
    now[0] = 10 * DAY
    made = store.tokens.issue("a", role="agency", lifetime_ms=DAY)
    other = store.tokens.issue("b", role="agency", lifetime_ms=None)
    swapped = f"dtg.{made.id}.{other.secret.rpartition('.')[2]}"
    now[0] += 1
    for bad in ("", ".", "..", "dtg", f"dtg.{made.id}", f"dtg.{made.id}.", made.secret + "x", swapped, "dtg.0.0",
                made.secret.replace("dtg.", "xyz."), "\udcff", "é" * 100, "dtg.\udcff.x", "dtg.\0.x"):  # fmt: skip
        assert store.tokens.verify(bad) is None, bad
    now[0] = 11 * DAY
    assert store.tokens.verify(made.secret) is None
    now[0] = 999 * DAY
    assert store.tokens.verify(other.secret) is not None
    now[0] = 10 * DAY + 1
    assert store.tokens.verify(made.secret) is not None
    store.tokens.revoke(made.id)
    assert store.tokens.verify(made.secret) is None
    assert {token.id: token.revoked for token in store.tokens.listed()} == {made.id: True, other.id: False}


def test_F18_a_clock_far_behind_accepts_no_token(store: Store, now: list[int]) -> None:
    now[0] = 10 * DAY
    made = store.tokens.issue("a", role="agency", lifetime_ms=None)
    now[0] -= 60_000
    assert store.tokens.verify(made.secret)
    now[0] -= 1
    assert store.tokens.verify(made.secret) is None


def test_G19_a_token_counts_at_once_on_a_node_whose_clock_is_minutes_behind(url: str) -> None:
    """Both ask the database what time it is."""
    issue = "from hub.store import Store; import sys; print(Store.open(sys.argv[1]).tokens.issue('a', role='agency', "
    skew = "import time; t = time.time; time.time = lambda: t() + 7200; time.time_ns = lambda: int(time.time() * 1e9); "
    command = [sys.executable, "-c", f"{skew}{issue}lifetime_ms=3600_000).secret)", url]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with Store.open(url) as store:
        assert store.tokens.verify(made) is not None


def test_revoking_may_be_repeated_and_names_unknown_tokens(store: Store) -> None:
    made = store.tokens.issue("a", role="operator", lifetime_ms=None)
    store.tokens.revoke(made.id)
    store.tokens.revoke(made.id)
    with pytest.raises(NotFound, match="nope"):
        store.tokens.revoke("nope")


def test_S13_secrets_are_compared_in_constant_time_only() -> None:
    source = inspect.getsource(hub.store.tokens)
    assert "compare_digest" in source
    assert not re.search(r"(secret|hash|salt)\w*\s*(==|!=)|(==|!=)\s*\w*(secret|hash|salt)", source)


def test_S13_hashes_are_salted(store: Store) -> None:
    for _ in range(3):
        store.tokens.issue("a", role="agency", lifetime_ms=None)
    with reading(store.engine) as connection:
        assert len({bytes(salt) for salt in connection.scalars(sa.select(tokens.c.salt))}) == 3

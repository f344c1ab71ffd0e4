"""Connector states and bearer tokens."""

from __future__ import annotations

import inspect
import re
import sqlite3
from pathlib import Path

import pytest

import hub.store.tokens
from hub.errors import NotFound
from hub.store import Store

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


def test_S13_a_token_is_verified_and_its_secret_is_not_kept(store: Store, tmp_path: Path) -> None:
    made = store.tokens.issue("it-lom", role="agency", now_ms=0, expires_ms=DAY)
    found = store.tokens.verify(made.secret, 1)
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
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_S7_a_wrong_expired_future_or_revoked_token_is_nobody(store: Store) -> None:
    made = store.tokens.issue("a", role="agency", now_ms=10 * DAY, expires_ms=11 * DAY)
    other = store.tokens.issue("b", role="agency", now_ms=10 * DAY, expires_ms=None)
    swapped = f"dtg.{made.id}.{other.secret.rpartition('.')[2]}"
    now = 10 * DAY + 1
    for bad in ("", ".", "..", "dtg", f"dtg.{made.id}", f"dtg.{made.id}.", made.secret + "x", swapped, "dtg.0.0",
                made.secret.replace("dtg.", "xyz."), "\udcff", "é" * 100):  # fmt: skip
        assert store.tokens.verify(bad, now) is None, bad
    assert store.tokens.verify(made.secret, 11 * DAY) is None
    assert store.tokens.verify(other.secret, 999 * DAY) is not None
    store.tokens.revoke(made.id)
    assert store.tokens.verify(made.secret, now) is None
    assert {token.id: token.revoked for token in store.tokens.listed()} == {made.id: True, other.id: False}


def test_F18_a_clock_far_behind_accepts_no_token(store: Store) -> None:
    made = store.tokens.issue("a", role="agency", now_ms=10 * DAY, expires_ms=None)
    assert store.tokens.verify(made.secret, 10 * DAY - 60_000)
    assert store.tokens.verify(made.secret, 10 * DAY - 60_001) is None


def test_revoking_may_be_repeated_and_names_unknown_tokens(store: Store) -> None:
    made = store.tokens.issue("a", role="operator", now_ms=0, expires_ms=None)
    store.tokens.revoke(made.id)
    store.tokens.revoke(made.id)
    with pytest.raises(NotFound, match="nope"):
        store.tokens.revoke("nope")


def test_S13_secrets_are_compared_in_constant_time_only() -> None:
    source = inspect.getsource(hub.store.tokens)
    assert "compare_digest" in source
    assert not re.search(r"(secret|hash|salt)\w*\s*(==|!=)|(==|!=)\s*\w*(secret|hash|salt)", source)


def test_S13_hashes_are_salted(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        store.tokens.issue("a", role="agency", now_ms=0, expires_ms=None)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        salts = {salt for (salt,) in connection.execute("SELECT salt FROM tokens")}
    connection.close()
    assert len(salts) == 3

"""What a machine lacks is skipped with a reason, or failed where it must be there."""

from __future__ import annotations

import pytest

from tests.support.requirements import require


def test_R34_what_is_there_is_used() -> None:
    require("git")


def test_R34_what_is_absent_is_skipped_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        require("no-such-program")


def test_R34_what_is_absent_and_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_REQUIRE", "strace, no-such-program")
    with pytest.raises(pytest.fail.Exception, match="TEST_REQUIRE"):
        require("no-such-program")

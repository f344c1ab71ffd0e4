"""Secrets: from the environment or a private file, never in an error (S16)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.errors import ConfigurationInvalid
from hub.secrets import Secrets

POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def store(project: Path, name: str, value: str, mode: int = 0o600) -> None:
    (project / "secrets.d").mkdir(exist_ok=True)
    path = project / "secrets.d" / name
    path.write_text(value)
    path.chmod(mode)


def test_S16_environment_before_file(tmp_path: Path) -> None:
    store(tmp_path, "DB", "file\n")
    assert Secrets(tmp_path, {}).resolve("DB") == "file"
    assert Secrets(tmp_path, {"DB": "env"}).resolve("DB") == "env"
    assert Secrets(tmp_path, {"DB": "p"}).fill("postgresql://u:${secret:DB}@h/d") == "postgresql://u:p@h/d"
    assert Secrets(tmp_path, {}).fill("no reference: ${other}") == "no reference: ${other}"


def test_S16_a_missing_secret_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        Secrets(tmp_path, {"OTHER": "canary"}).resolve("DB")
    assert "DB" in str(caught.value)
    assert "secrets.d/DB" in caught.value.remedy
    assert "canary" not in str(caught.value)


@POSIX
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o666])
def test_S16_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    store(tmp_path, "DB", "canary", mode)
    with pytest.raises(ConfigurationInvalid) as caught:
        Secrets(tmp_path, {}).resolve("DB")
    assert "chmod 600" in caught.value.remedy
    assert "canary" not in str(caught.value)


def test_S16_repr_shows_nothing(tmp_path: Path) -> None:
    assert "canary" not in repr(Secrets(tmp_path, {"DB": "canary"}))

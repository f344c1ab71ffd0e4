"""Settings: order of layers, origins, unknown keys, and what never shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.errors import ConfigurationInvalid
from hub.settings import Settings, leaves, load_settings, settings_reference, show


def file(project: Path, text: str) -> None:
    (project / "datong.yaml").write_text(text)


def mistakes(project: Path, **given: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(project, **{"env": {}, **given})
    return caught.value.mistakes


def test_defaults_have_their_origin(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path, env={})
    assert (loaded.settings.http.host, loaded.settings.http.port) == ("127.0.0.1", 8080)
    assert loaded.settings.data_path == tmp_path / "var"
    assert set(loaded.origins.values()) == {"default"}


def test_flags_before_environment_before_dotenv_before_file(tmp_path: Path) -> None:
    file(tmp_path, "data_dir: d\nhttp:\n  host: localhost\n  port: 1\nsupervisor: {workers: 1}\n")
    (tmp_path / ".env").write_text("DATONG_HTTP__PORT=2\nDATONG_SUPERVISOR__WORKERS=2\nOTHER=x\n")
    env = {"DATONG_HTTP__PORT": "3", "PATH": "/bin"}
    loaded = load_settings(tmp_path, env=env, flags={"http.host": "::1"})
    assert (loaded.settings.http.host, loaded.origins["http.host"]) == ("::1", "flag")
    assert (loaded.settings.http.port, loaded.origins["http.port"]) == (3, "DATONG_HTTP__PORT")
    assert (loaded.settings.supervisor.workers, loaded.origins["supervisor.workers"]) == (2, ".env")
    assert (loaded.settings.data_dir, loaded.origins["data_dir"]) == ("d", "datong.yaml:1")


def test_lists_come_from_variables_too(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path, env={"DATONG_HTTP__ALLOWED_HOSTS": '["a.example", "b.example"]'})
    assert loaded.settings.http.allowed_hosts == ("a.example", "b.example")


def test_R34_unknown_keys_are_mistakes_with_a_suggestion_all_at_once(tmp_path: Path) -> None:
    file(tmp_path, "http:\n  prot: 1\n  port: many\n")
    found = mistakes(tmp_path, env={"DATONG_HTTP__HOTS": "x"})
    assert len(found) == 3
    assert any("datong.yaml:2" in m and "`http.port`" in m for m in found)
    assert any("datong.yaml:3" in m and "http.port" in m for m in found)
    assert any("DATONG_HTTP__HOTS" in m and "`http.host`" in m for m in found)


def test_R34_test_variables_are_never_settings(tmp_path: Path) -> None:
    env = {"TEST_REQUIRE": "x", "TEST_FAILPOINT": "y", "TEST_HTTP__PORT": "1"}
    assert load_settings(tmp_path, env=env).settings.http.port == 8080
    assert "DATONG_TEST_REQUIRE" in mistakes(tmp_path, env={"DATONG_TEST_REQUIRE": "x"})[0]


def test_the_subscribers_token_is_no_setting(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path, env={"DATONG_TOKEN": "canary"})
    assert "canary" not in repr(loaded) + repr(show(loaded))


def test_S5_settings_refuse_hostile_yaml(tmp_path: Path) -> None:
    file(tmp_path, "a: &a [1]\nb: *a\n")
    assert "datong.yaml:1" in mistakes(tmp_path)[0]


def test_S16_a_password_never_shows(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path, env={"DATONG_STORE__URL": "postgresql://u:canary@h/d"})
    assert "canary" not in repr(show(loaded))


def test_every_setting_is_documented_and_in_the_reference() -> None:
    reference = settings_reference()
    for name, field in leaves(Settings):
        assert field.description, name
        assert f"`{name}`" in reference


def test_settings_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(tmp_path, env={}).settings.http.port = 1  # type: ignore[misc]


def test_R35_settings_that_cannot_be_read_are_a_mistake_and_not_defaults(tmp_path: Path) -> None:
    (tmp_path / "datong.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigurationInvalid) as refused:
        load_settings(tmp_path, env={})
    assert "datong.yaml: the file cannot be read" in refused.value.mistakes[0]

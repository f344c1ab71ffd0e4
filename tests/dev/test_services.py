"""`dev.py services postgres`: a server of its own for a person at a desk, and a clear word where it cannot be."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.services import ServiceMissing, postgres
from deploy.services.__main__ import main
from tests.support.requirements import unavailable


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the server's user may enter, which pytest's own folders do not let it."""
    try:
        postgres.programs()
    except ServiceMissing as missing:
        unavailable("postgres", str(missing))
    made = Path(tempfile.mkdtemp(prefix="datong-pg-")) / "deep" / "postgres"
    yield made
    if server := postgres.status(made):
        server.remove()
    shutil.rmtree(made.parents[1])


def test_S16_a_server_starts_keeps_its_data_and_tells_its_password_only_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--directory", str(folder)]
    assert main(["postgres", "status", *where]) == 1
    folder.parent.mkdir()
    folder.parents[1].chmod(0o711)
    assert main(["postgres", "start", *where]) == 0
    server = postgres.status(folder)
    assert server is not None
    said = capsys.readouterr()
    assert "DATONG_STORE__URL" in said.out
    assert server.passwords["datong"] not in said.out + said.err
    for file in (folder / "server.json", server.data):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert main(["postgres", "start", "--print-url", *where]) == 0
    url = capsys.readouterr().out.strip()
    assert url == server.url
    plain = url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        who = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert who == ("datong", False)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(plain.replace(server.passwords["datong"], "guessed"))
    assert main(["postgres", "stop", *where]) == 0
    assert main(["postgres", "status", *where]) == 1
    assert main(["postgres", "stop", *where]) == 0
    assert main(["postgres", "start", *where]) == 0
    assert main(["postgres", "status", *where]) == 0
    with psycopg.connect(plain) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_R35_what_is_missing_is_named_with_the_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(postgres, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["postgres", "start", "--directory", str(tmp_path / "x")]) == 1
    assert "Debian's package postgresql " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()

"""Files on an SFTP server: a real OpenSSH, its key pinned, its line broken (R16, F24, S6, S16, S28)."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors.context import SourceContext
from connectors.outbound import Outbound
from connectors.sources.files import FilesSource
from connectors.sources.specs import FilesSpec
from hub.errors import ConfigurationInvalid, SourceUnavailable
from hub.model import Batch, Mode, SourceCheckpoint
from tests.sources.reading import rows
from tests.support.sshd import Sshd


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    made = Sshd(tmp_path_factory.mktemp("sshd"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(shared: Sshd) -> Sshd:
    for file in sorted(shared.files.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    return shared


def source(
    server: Sshd,
    mode: Mode = "append",
    *,
    sftp: dict[str, Any] | None = None,
    outbound: Outbound | None = None,
    **spec: Any,
) -> FilesSource:
    place = {
        "host": "127.0.0.1", "port": server.port, "user": server.user, "host_key": server.key("host"),
        "private_key": "${secret:client}", **(sftp or {}),
    }  # fmt: skip
    made = FilesSpec(kind="files", sftp=place, **{"path": "*.csv", "stable_after_s": 0, **spec})

    def secret(text: str) -> str:
        return server.secret(text.removeprefix("${secret:").removesuffix("}")) if text.startswith("${") else text

    rule = outbound or Outbound(allowed=frozenset({f"127.0.0.1:{place['port']}"}))
    return FilesSource(made, SourceContext(task="t", root=Path("/nowhere"), mode=mode, outbound=rule, secret=secret))


def read(server: Sshd, after: SourceCheckpoint | None = None, **options: Any) -> list[Batch]:
    made = source(server, **options)
    try:
        return list(made.batches(after, Event()))
    finally:
        made.close()


def test_R16_files_are_read_resumed_and_unpacked_over_sftp(server: Sshd) -> None:
    (server.files / "sub").mkdir()
    (server.files / "a.csv").write_text("a\n1\n")
    (server.files / "sub/b.csv.gz").write_bytes(gzip.compress(b"a\n2\n"))
    (server.files / ".hidden.csv").write_text("a\n9\n")
    (server.files / "c.csv.part").write_text("a\n9\n")
    assert [r["a"] for r in rows(read(server, path="**/*.csv*"))] == ["1", "2"]
    found = read(server)
    assert [r["a"] for r in rows(found)] == ["1"]
    (server.files / "a.csv").write_text("a\n1\n3\n")
    assert [r["a"] for r in rows(read(server, found[-1].position))] == ["3"]
    assert source(server).check().ok
    assert source(server).discover()[0].columns.names == ["a"]


def test_R16_a_large_file_comes_whole(server: Sshd) -> None:
    (server.files / "a.csv").write_text("a,b\n" + "".join(f"{i},{'x' * 90}\n" for i in range(100_000)))
    assert [int(r["a"]) for r in rows(read(server))] == list(range(100_000))


def test_S6_links_and_paths_that_lead_elsewhere(server: Sshd) -> None:
    (server.files / "a.csv").write_text("a\n1\n")
    (server.files / "link.csv").symlink_to("/etc/hostname")
    os.mkfifo(server.files / "fifo.csv")
    assert [r["a"] for r in rows(read(server))] == ["1"]
    with pytest.raises(ValueError, match=r"without `\.\.`"):
        read(server, path="../*.csv")


def test_S6_S16_credentials_on_the_server_are_not_there(server: Sshd) -> None:
    (server.files / "secrets.d").mkdir()
    for name in ("a.csv", "planning.token", ".env", "secrets.d/DB", "id.key"):
        (server.files / name).write_text("a\n1\n" if name == "a.csv" else "a\ncanary\n")
    assert [r["a"] for r in rows(read(server, path="**/*", format="csv"))] == ["1"]
    for where in ({"path": "*.token"}, {"sftp": {"directory": "/var/lib/hub/.ssh"}}):
        with pytest.raises(ValueError, match="name of credentials"):
            read(server, **where)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host_key": "stranger"}, "another host key"),
        ({"host_key": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ=="}, "not a public key|no host key of the pinned kind"),
        ({"host_key": "nonsense"}, "not a public key"),
        ({"private_key": "${secret:stranger}"}, "refused the log-in"),
        ({"private_key": "", "password": "canary-pw-77"}, "refused the log-in"),
    ],
)
def test_S28_S16_a_wrong_key_or_log_in_is_refused_with_its_cause(
    server: Sshd, changes: dict[str, Any], message: str
) -> None:
    (server.files / "a.csv").write_text("a\n1\n")
    if changes.get("host_key") == "stranger":
        changes = {"host_key": server.key("stranger")}
    with pytest.raises(ConfigurationInvalid, match=message) as refused:
        read(server, sftp=changes)
    assert "canary" not in f"{refused.value!r} {refused.value}"
    report = source(server, sftp=changes).check()
    assert not report.ok
    assert report.findings[0].remedy


def test_F24_a_server_that_is_away_is_retried_later(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd")
    server.start()
    (server.files / "a.csv").write_text("a,b\n" + "".join(f"{i},{'x' * 90}\n" for i in range(200_000)))
    reading = source(server).batches(None, Event())
    first = next(reading)
    server.stop()
    with pytest.raises(SourceUnavailable):
        list(reading)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        read(server)
    server.start()
    rest = read(server, first.position)
    assert [int(r["a"]) for r in rows([first, *rest])] == list(range(200_000))
    server.stop()


def test_R16_a_file_that_is_still_written_is_left_for_later(server: Sshd) -> None:
    (server.files / "a.csv").write_text("a\n1\n")
    stop = Event()
    made = source(server, stable_after_s=0.2)
    grown = False
    original = made._place.open

    def growing(name: str) -> Any:
        nonlocal grown
        opened = original(name)
        if not grown:
            grown = True
            (server.files / "a.csv").write_text("a\n1\n2\n")
        return opened

    made._place.open = growing  # type: ignore[method-assign]
    found = list(made.batches(None, stop))
    assert [r["a"] for r in rows(found)] == ["1", "2"]
    made.close()


@pytest.mark.parametrize(
    ("host", "rule", "message"),
    [
        ("127.0.0.1", Outbound(), "not allowed it"),
        ("localhost", Outbound(allowed=frozenset({"127.0.0.1:22"})), "not allowed it"),
        ("169.254.169.254", Outbound(allowed=frozenset({"169.254.169.254:22"})), "never"),
        ("127.0.0.1", Outbound(allowed=frozenset({"127.0.0.1:22"}), own_ports=frozenset({22})), "hub itself"),
    ],
)
def test_S2_R17_an_sftp_server_is_judged_before_it_is_connected_to(
    server: Sshd, host: str, rule: Outbound, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("a connection was made"))
    made = source(server, sftp={"host": host, "port": 22}, outbound=rule)
    with pytest.raises(ConfigurationInvalid, match=message) as refused:
        list(made.batches(None, Event()))
    assert message != "not allowed it" or f"outbound: {{allow: ['{host}:22']}}" in refused.value.remedy
    assert not made.check().ok

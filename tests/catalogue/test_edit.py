"""Connectors' files by revision: whole or not at all, one writer wins, nothing outside the folder (S16)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from hub.catalogue.edit import ConnectorFiles, declared, is_name, revision_of
from hub.errors import ConfigurationInvalid, Conflict, RevisionChanged

TEXT = b"connector: a\n"


@pytest.fixture
def files(tmp_path: Path) -> ConnectorFiles:
    return ConnectorFiles(tmp_path)


def test_of_many_who_change_one_revision_one_wins(files: ConnectorFiles, tmp_path: Path) -> None:
    first = files.put("a", TEXT, None)
    together = Barrier(8)

    def change(i: int) -> bytes | None:
        text = TEXT + b"# %d\n" % i
        other = ConnectorFiles(tmp_path)  # as another process has it
        together.wait()
        try:
            other.put("a", text, first.revision)
        except RevisionChanged:
            return None
        return text

    with ThreadPoolExecutor(8) as pool:
        done = [text for text in pool.map(change, range(8)) if text]
    assert [files.get("a").text] == done
    assert len(list((tmp_path / "connectors.d").iterdir())) == 1


def test_a_file_is_found_by_what_it_declares_and_by_its_name_when_it_cannot_be_read(
    files: ConnectorFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "connectors.d"
    folder.mkdir()
    (folder / "b.yaml").write_bytes(b"connector: a\n")
    (folder / "c.yaml").write_bytes(b"connector: [\n")
    assert files.get("a").file == "connectors.d/b.yaml"
    assert files.find("b") is None
    assert files.get("c").file == "connectors.d/c.yaml"
    assert files.place("d") == "connectors.d/d.yaml"
    with pytest.raises(Conflict):
        files.put("b", b"connector: b\n", None)  # b.yaml is the file of another
    assert (folder / "b.yaml").read_bytes() == b"connector: a\n"


@pytest.mark.skipif(os.name != "posix", reason="links and modes of a POSIX system")
def test_S16_links_are_not_followed_and_a_mode_stays(files: ConnectorFiles, tmp_path: Path) -> None:
    made = files.put("a", TEXT, None)
    path = tmp_path / made.file
    path.chmod(0o600)
    files.put("a", TEXT + b"#\n", made.revision)
    assert path.stat().st_mode & 0o777 == 0o600
    outside = tmp_path / "outside.yaml"
    outside.write_bytes(b"connector: l\n")
    (tmp_path / "connectors.d/l.yaml").symlink_to(outside)
    (tmp_path / "connectors.d/m.yaml").symlink_to(tmp_path / "nowhere.yaml")
    for name in ("l", "m"):
        with pytest.raises(Conflict):
            files.put(name, b"connector: x\n", None)
    (tmp_path / "connectors.d").rename(tmp_path / "moved")
    (tmp_path / "connectors.d").symlink_to(tmp_path / "moved")
    for act in (lambda: files.get("a"), lambda: files.put("z", TEXT, None), lambda: files.remove("a", None)):
        with pytest.raises(Conflict):
            act()
    assert outside.read_bytes() == b"connector: l\n"
    assert not (tmp_path / "nowhere.yaml").exists()


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", "a.yaml", "A", "a\n", "a\0", "-a", "x" * 101])
def test_S16_what_is_no_name_is_no_file(files: ConnectorFiles, name: str) -> None:
    assert not is_name(name)
    assert files.find(name) is None
    with pytest.raises(ConfigurationInvalid):
        files.put(name, TEXT, None)


def test_a_write_that_fails_leaves_what_was_there(
    files: ConnectorFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = files.put("a", TEXT, None)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Exception, match="full"):
            files.put("a", b"connector: a\n# longer\n", made.revision)
    assert files.get("a") == made
    assert [p.name for p in (tmp_path / "connectors.d").iterdir()] == ["a.yaml"]


def test_a_revision_changes_with_every_byte() -> None:
    assert revision_of(TEXT) != revision_of(TEXT + b"\n")
    assert declared(TEXT) == "a"
    assert declared(b"connector: 5\n") is declared(b"\xff") is None

"""Members of zip files: bounded before a byte is unpacked, and never a way out (S3, S6, F24)."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from threading import Event

import pytest

from hub.errors import FileRefused
from tests.sources.reading import read, rows, source


def archive(root: Path, members: dict[str, bytes], name: str = "a.zip") -> None:
    with zipfile.ZipFile(root / name, "w", zipfile.ZIP_DEFLATED) as made:
        for member, content in members.items():
            made.writestr(member, content)


def test_R16_each_member_is_a_file_of_its_own(tmp_path: Path) -> None:
    archive(tmp_path, {"x/one.csv": b"a\n1\n2\n", "two.csv": b"a\n3\n", "readme.txt": b"no data"})
    found = read(tmp_path, path="*.zip", member="*.csv")
    assert [r["a"] for r in rows(found)] == ["3", "1", "2"]
    assert {b.origin.partition("@")[0] for b in found} == {"a.zip!x/one.csv", "a.zip!two.csv"}
    assert rows(read(tmp_path, found[-1].position, path="*.zip", member="*.csv")) == []


def test_R16_a_member_that_grew_goes_on_and_formats_go_by_its_ending(tmp_path: Path) -> None:
    archive(tmp_path, {"f.csv": b"a\n1\n", "g.json": b'[{"a": 9}]'})
    found = read(tmp_path, path="a.zip", member="*")
    assert sorted(r["a"] for r in rows(found)) == ["1", "9"]
    archive(tmp_path, {"f.csv": b"a\n1\n2\n", "g.json": b'[{"a": 9}]'})
    assert [r["a"] for r in rows(read(tmp_path, found[-1].position, path="a.zip", member="*"))] == ["2"]


def test_S6_S16_members_of_credentials_are_not_there(tmp_path: Path) -> None:
    names = ("operator.token", ".env", "__MACOSX/._f.csv", "secrets.d/DB", "x/key.pem")
    archive(tmp_path, {**dict.fromkeys(names, b"a\ncanary\n"), "f.csv": b"a\n1\n"})
    assert rows(read(tmp_path, path="a.zip", member="*", format="csv")) == [{"a": "1"}]
    with pytest.raises(FileRefused, match="no member"):
        read(tmp_path, path="a.zip", member="*.token", format="csv")


@pytest.mark.parametrize("name", ["/etc/passwd.csv", "../up.csv", "x/../../up.csv", "c:\\x.csv", "\\\\host\\x.csv"])
def test_S3_a_name_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    archive(tmp_path, {name: b"a\n1\n", "good.csv": b"a\n2\n"})
    with pytest.raises(FileRefused, match="leads out"):
        read(tmp_path, path="*.zip", member="*.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_S3_a_bomb_is_refused_and_its_neighbours_pass(tmp_path: Path) -> None:
    archive(tmp_path, {"bomb.csv": b"0" * (64 << 20)}, "a.zip")
    archive(tmp_path, {"good.csv": b"a\n1\n"}, "b.zip")
    seen = []
    batches = source(tmp_path, path="*.zip", member="*.csv").batches(None, Event())
    with pytest.raises(FileRefused, match="grows by more than 100 times"):  # noqa: PT012 - what came before it counts
        for batch in batches:
            seen.append(batch)
    assert [r["a"] for r in rows(seen)] == ["1"]


def test_S3_a_size_that_is_a_lie_is_found_out(tmp_path: Path) -> None:
    archive(tmp_path, {"f.csv": b"a\n" + b"1\n" * 100_000})
    raw = (tmp_path / "a.zip").read_bytes()
    size = (2 + 200_000).to_bytes(4, "little")
    assert raw.count(size) == 2
    (tmp_path / "a.zip").write_bytes(raw.replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(FileRefused):
        read(tmp_path, path="*.zip", member="*.csv")


def test_S3_links_archives_and_encrypted_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        link = zipfile.ZipInfo("l.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
    with pytest.raises(FileRefused, match="is a link"):
        read(tmp_path, path="*.zip", member="*.csv")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as nested:
        nested.writestr("x.csv", "a\n1\n")
    archive(tmp_path, {"inner.zip": inner.getvalue()})
    with pytest.raises(FileRefused, match="archive in an archive"):
        read(tmp_path, path="*.zip", member="*")
    archive(tmp_path, {"f.csv": b"a\n1\n"})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[raw.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(FileRefused, match="encrypted"):
        read(tmp_path, path="*.zip", member="*.csv")


def test_S3_too_many_members(tmp_path: Path) -> None:
    archive(tmp_path, {f"{i}.csv": b"a\n" for i in range(10_001)})
    with pytest.raises(FileRefused, match="10,001 members"):
        read(tmp_path, path="*.zip", member="*.csv")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"no archive at all" * 100])
def test_F24_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FileRefused):
        read(tmp_path, path="*.zip", member="*.csv")


def test_F24_a_damaged_member_is_refused(tmp_path: Path) -> None:
    archive(tmp_path, {"f.csv": b"".join(b"%d,%d\n" % (i, i * i) for i in range(9000))})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(FileRefused):
        read(tmp_path, path="*.zip", member="*.csv", header=0, columns=("a", "b"))

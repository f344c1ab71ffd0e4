"""The `files` source on bad bytes, odd quotes, odd files and hostile paths (R15, R16, F21, F23, F24, S3, S6, S24)."""

from __future__ import annotations

import csv
import gzip
import os
import resource
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.below import MARK
from connectors.context import SourceContext
from connectors.sources.files import FilesSource
from connectors.sources.opening import open_below
from connectors.sources.specs import FilesSpec
from hub.builder import open_kind
from hub.directory import LOCK, Directory
from hub.errors import ConfigurationInvalid, FileRefused, SourceUnavailable
from hub.model import Batch
from hub.settings import load_settings
from tests.sources.reading import failures, read, rows, source


def test_R15_a_bad_row_costs_exactly_itself(tmp_path: Path) -> None:
    body = b"a,b\n1,x\n2\n3,y,z\n\n4,\xff\xfe\n5,ok\n" + b"6,caff\xc3\xa8\n" * 200
    (tmp_path / "f.csv").write_bytes(body)
    found = read(tmp_path)
    assert failures(found) == [(2, "COLUMN_COUNT"), (3, "COLUMN_COUNT"), (4, "BAD_ENCODING")]
    assert rows(found)[:3] == [{"a": "1", "b": "x"}, {"a": "5", "b": "ok"}, {"a": "6", "b": "caffè"}]
    assert [int(n) for b in found for n in b.rows][:3] == [1, 5, 6]


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX alone")
def test_R16_a_file_whose_name_is_not_UTF_8_is_refused_after_the_others_were_read(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a\n1\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb5\xd8.csv")).write_text("a\n2\n")
    found: list[Batch] = []
    opened = source(tmp_path, path="*.csv")
    with pytest.raises(FileRefused, match="not UTF-8") as refused:
        found.extend(opened.batches(None, Event()))
    names = [(f.name, f.ok) for f in opened.check().findings]
    assert rows(found) == [{"a": "1"}]
    assert names == [("f.csv", True), ("??.csv", False)]
    assert "??.csv" in str(refused.value)


def test_R15_quotes_newlines_and_what_does_not_close(tmp_path: Path) -> None:
    body = 'a,b\n1,"x, ""y""\nz"\n2,12" pipe\n3,"open\n4,fine\n5,"also\r\nfine"\n'
    (tmp_path / "f.csv").write_bytes(body.encode())
    found = read(tmp_path)
    texts = {r["a"]: r["b"] for r in rows(found)}
    assert texts["1"] == 'x, "y"\nz'
    assert texts["2"] == '12" pipe'
    assert all(reason == "UNCLOSED_QUOTE" or reason == "COLUMN_COUNT" for _, reason in failures(found))
    assert len(texts) + len(failures(found)) == sum(b.read for b in found)


def test_R15_an_unclosed_quote_at_the_end_costs_its_line(tmp_path: Path) -> None:
    lines = "".join(f"{i},fine\n" for i in range(5000))
    (tmp_path / "f.csv").write_text('a,b\n1,"never closed\n' + lines)
    found = read(tmp_path)
    assert failures(found) == [(1, "UNCLOSED_QUOTE")]
    assert len(rows(found)) == 5000


def test_R15_fields_are_told_apart_as_csv_does_at_any_length(tmp_path: Path) -> None:
    body = '"q"z,"",""""\n"q","' + "z" * 60_000 + '"," x"\n"q",' + "z" * 200_000 + ',"a,b"\n'
    (tmp_path / "f.csv").write_text("a,b,c\n" + body)
    before = csv.field_size_limit(1_000_000)
    with (tmp_path / "f.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    csv.field_size_limit(before)
    assert rows(read(tmp_path, nulls=[])) == expected


@pytest.mark.parametrize("header", ["a,b", '"a","b"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_R15_a_file_whose_lines_end_in_cr_alone_is_refused(tmp_path: Path, header: str, encoding: str) -> None:
    (tmp_path / "f.csv").write_bytes(f"{header}\r1,2\r3,4\r".encode(encoding))
    with pytest.raises(FileRefused, match="CR alone"):
        read(tmp_path)


def test_R15_a_return_inside_a_row_costs_no_more_than_the_row(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b'a,b\n"x"\ry,2\nx,1\ry,2\n"x",1\ry,2\n3,4\n"h\ri",5\n')
    found = read(tmp_path)
    assert rows(found) == [{"a": "x\ry", "b": "2"}, {"a": "3", "b": "4"}, {"a": "h\ri", "b": "5"}]
    assert failures(found) == [(2, "COLUMN_COUNT"), (3, "COLUMN_COUNT")]


def test_R15_a_file_that_ends_before_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileRefused, match="its header is line 5"):
        read(tmp_path, header=5)
    assert rows(read(tmp_path, header=2)) == []


def test_R15_a_long_row_is_refused_and_its_neighbours_pass(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b"a,b\n1,x\n2," + b"y" * (9 * 1024 * 1024) + b"\n3,z\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(tmp_path)
    assert failures(found) == [(2, "TOO_LARGE")]
    assert [r["a"] for r in rows(found)] == ["1", "3"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024


def test_R15_nulls_are_only_what_is_configured(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,b\nNA,\nNon Disponibile,x\n")
    assert rows(read(tmp_path)) == [{"a": "NA", "b": None}, {"a": "Non Disponibile", "b": "x"}]
    assert rows(read(tmp_path, nulls=["Non Disponibile"])) == [{"a": "NA", "b": ""}, {"a": None, "b": "x"}]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("gb18030", None), ("gbk", "gbk"), ("cp1252", "cp1252")],
)
def test_F23_encodings(tmp_path: Path, encoding: str, declared: str | None) -> None:
    text = "caffè" if encoding == "cp1252" else "统计局𠀀" if encoding not in ("gbk",) else "统计局"
    content = f"a,b\n1,{text}\n2,x\n"
    (tmp_path / "f.csv").write_bytes(content.encode(encoding))
    spec = {"encoding": declared} if declared else {}
    assert rows(read(tmp_path, **spec)) == [{"a": "1", "b": text}, {"a": "2", "b": "x"}]


@pytest.mark.parametrize(("encoding", "delimiter"), [("gbk", "|"), ("gb18030", "|"), ("big5", "|"), ("gb18030", "5")])
def test_F23_a_delimiter_may_be_half_of_a_character(tmp_path: Path, encoding: str, delimiter: str) -> None:
    """The second byte of 倈 in GBK is that of `|`; bytes of four-byte GB 18030 are those of digits."""
    wide = [
        c
        for c in map(chr, (*range(0x4E00, 0x9FA6), *range(0x20000, 0x20020)))
        if delimiter.encode() in _encoded(c, encoding)
    ]
    assert wide
    lines = "".join(f"{c}{delimiter}x\n" for c in wide)
    bad = b"\xff" + delimiter.encode() + b"y\r\n"
    (tmp_path / "f.csv").write_bytes(
        f"a{delimiter}b\n{lines}".encode(encoding) + bad + f"好{delimiter}z\n".encode(encoding)
    )
    found = read(tmp_path, delimiter=delimiter, encoding=encoding)
    assert [r["a"] for r in rows(found)][: len(wide)] == wide
    assert failures(found)[0] == (len(wide) + 1, "BAD_ENCODING")


def _encoded(character: str, encoding: str) -> bytes:
    try:
        return character.encode(encoding)
    except UnicodeEncodeError:
        return b""


def test_F23_utf_16_without_bom_says_what_to_declare(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes("a,b\n1,统计\n".encode("utf-16-le"))
    with pytest.raises(FileRefused, match="NUL") as refused:
        read(tmp_path, encoding="utf-8")
    assert "utf-16-le" in refused.value.remedy
    assert rows(read(tmp_path, encoding="utf-16-le")) == [{"a": "1", "b": "统计"}]


def test_F23_a_file_in_neither_encoding_is_refused_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b"a,b\n" + b"1,\xff\xff\xff\n" * 50)
    with pytest.raises(FileRefused, match="neither UTF-8 nor GB 18030"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["nul\0in", "\u202ebidi", "zero\u200bwidth", "e\u0301", "Ã¨"])
def test_F23_odd_characters_pass_unchanged(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.csv").write_text(f"a,b\n1,{text}\n", encoding="utf-8")
    assert rows(read(tmp_path)) == [{"a": "1", "b": text}]


def test_F24_zero_bytes_growing_replaced_and_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"")
    assert rows(read(tmp_path)) == []
    path.write_bytes(b"a\n1\n2\n")
    first = read(tmp_path)
    assert [r["a"] for r in rows(first)] == ["1", "2"]
    path.write_bytes(b"a\n1\n2\n3\n")
    grown = read(tmp_path, first[-1].position)
    assert ([r["a"] for r in rows(grown)], grown[0].origin) == (["3"], first[0].origin)
    path.write_bytes(b"a\n9\n")
    replaced = read(tmp_path, grown[-1].position)
    assert [r["a"] for r in rows(replaced)] == ["9"]
    assert replaced[0].origin != first[0].origin
    assert read(tmp_path, replaced[-1].position) == []


def test_R16_a_snapshot_of_several_files_must_say_which(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a\n1\n")
    (tmp_path / "2.csv").write_text("a\n2\n")
    with pytest.raises(FileRefused, match="snapshot"):
        read(tmp_path, mode="snapshot")
    assert [r["a"] for r in rows(read(tmp_path, mode="snapshot", snapshot_of="newest"))] == ["2"]
    both = read(tmp_path, mode="snapshot", snapshot_of="union")
    assert [r["a"] for r in rows(both)] == ["1", "2"]
    assert [b.complete for b in both] == [False, True]


def test_R18_no_file_is_never_an_empty_snapshot(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        read(tmp_path, mode="snapshot")
    (tmp_path / "f.csv").write_text("a,b\n")
    empty = read(tmp_path, mode="snapshot")
    assert [(b.read, b.complete) for b in empty] == [(0, True)]


def test_R18_a_header_of_another_file_is_no_empty_snapshot(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("x,y\n")
    with pytest.raises(FileRefused, match="none of the columns"):
        source_batches(tmp_path, frozenset({"a", "b"}))
    assert [(b.read, b.complete) for b in source_batches(tmp_path, frozenset({"a", "y"}))] == [(0, True)]
    (tmp_path / "f.csv").write_text("")
    assert [(b.read, b.complete) for b in source_batches(tmp_path, frozenset({"a"}))] == [(0, True)]


def source_batches(root: Path, wanted: frozenset[str]) -> list[Batch]:
    return list(source(root, "snapshot", wanted).batches(None, Event()))


def test_R16_resuming_from_every_checkpoint_gives_the_rest(tmp_path: Path) -> None:
    for name in ("1.csv", "2.csv"):
        lines = "".join(f'{name}-{i},"q{i}{"x" * 400}"\n' for i in range(3000))
        (tmp_path / name).write_text("a,b\n" + lines * 5)
    whole = read(tmp_path)
    total = sum(b.read for b in whole)
    done = 0
    assert len(whole) > 3
    for batch in whole:
        done += batch.read
        assert sum(b.read for b in read(tmp_path, batch.position)) == total - done


def test_gzip_and_tsv_and_no_header(tmp_path: Path) -> None:
    (tmp_path / "f.tsv.gz").write_bytes(gzip.compress(b"1\tx\n2\ty\n"))
    found = read(tmp_path, path="*.tsv.gz", header=0, columns=["a", "b"])
    assert rows(found) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def test_S3_a_gzip_bomb_and_a_truncated_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a\n" + b"0" * (200 * 1024 * 1024)))
    with pytest.raises(FileRefused, match="100 times"):
        read(tmp_path, path="bomb.csv.gz")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(os.urandom(100_000))[:-2000])
    with pytest.raises(FileRefused, match="ends early"):
        read(tmp_path, path="cut.csv.gz", encoding="latin-1")


@pytest.mark.parametrize("path", ["../x.csv", "/etc/passwd", "a/../../x.csv", "x\0.csv", "", "./x.csv", "a//x.csv"])
def test_S6_paths_stay_below_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValidationError, match="below the files root"):
        FilesSpec(kind="files", path=path)
    spec = FilesSpec(kind="files", path="x.csv").model_copy(update={"path": path})
    context = SourceContext(task="t", root=tmp_path, mode="append")
    with pytest.raises((FileRefused, SourceUnavailable)):
        list(FilesSource(spec, context).batches(None, Event()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"encoding": "utf8x"}, "not an encoding"),
        ({"encoding": "rot13"}, "not an encoding"),
        ({"delimiter": "é"}, "one ASCII character"),
        ({"delimiter": "\n"}, "one ASCII character"),
        ({"delimiter": "tab"}, "one ASCII character"),
        ({"quote": ""}, "one ASCII character"),
        ({"delimiter": '"'}, "the same character"),
        ({"header": 0}, "needs `columns`"),
        ({"columns": ["a", "a"]}, "twice"),
        ({"stable_after_s": float("inf")}, "less than or equal"),
    ],
)
def test_settings_that_no_file_can_be_read_with_are_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FilesSpec(**{"kind": "files", "path": "x.csv", **spec})


def test_S6_links_devices_hidden_and_refused_files_are_not_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("a\nsecret\n")
    root = tmp_path / "root"
    (root / "var").mkdir(parents=True)
    (root / "var/log.csv").write_text("a\nhub\n")
    (root / "link.csv").symlink_to(outside)
    (root / "linked").symlink_to(tmp_path)
    (root / ".hidden.csv").write_text("a\nhidden\n")
    os.mkfifo(root / "pipe.csv")
    (root / "ok.csv").write_text("a\nfine\n")
    assert rows(read(root, path="**/*.csv")) == [{"a": "fine"}]
    assert rows(read(root)) == [{"a": "fine"}]
    for path in ("var/*.csv", "linked/*.txt"):
        with pytest.raises(SourceUnavailable):
            read(root, path=path)


CREDENTIALS = (
    "planning.token", "hub.KEY", "server.pem", "client.p12", "kafka.keytab", ".env", ".pgpass", ".ssh/id_ed25519",
    "secrets.d/DB", "inner/secrets.d/DB", "inner/operator.token", "var-2/log.db", "inner/var-3/x/quarantine.csv",
)  # fmt: skip


def credentials(root: Path) -> None:
    """What a project, and others below the same root, keep beside their data."""
    for name in CREDENTIALS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\ncanary\n")
    for other in ("var-2", "inner/var-3"):
        (root / other / LOCK).touch()
    (root / "ok.csv").write_text("a\nfine\n")


@pytest.mark.parametrize(
    "path", ["*", "*/*", "**/*", "**/*.*", "[!o]*", "*[n]", "inner/**/*", "var-?/*", "inner/*/*/*"]
)
def test_S6_S16_no_glob_leads_to_credentials_or_to_another_hubs_directory(tmp_path: Path, path: str) -> None:
    credentials(tmp_path)
    try:
        found = rows(read(tmp_path, path=path, format="csv"))
    except SourceUnavailable as nothing:
        assert "no file matches" in nothing.message  # noqa: PT017 - either is well
        found = []
    assert found == [{"a": "fine"}] * len(found)


@pytest.mark.parametrize("name", [*CREDENTIALS, "*.token", "data/*.pem", "**/.env*", "SECRETS.D/*"])
def test_S6_S16_R35_credentials_by_their_name_are_a_mistake_and_are_never_opened(tmp_path: Path, name: str) -> None:
    credentials(tmp_path)
    if "var-" not in name:
        with pytest.raises(ValidationError, match="name of credentials"):
            FilesSpec(kind="files", path=name)
    spec = FilesSpec(kind="files", path="x.csv", format="csv").model_copy(update={"path": name})
    context = SourceContext(task="t", root=tmp_path, mode="append")
    with pytest.raises((FileRefused, SourceUnavailable)):
        list(FilesSource(spec, context).batches(None, Event()))
    if "*" not in name:
        with pytest.raises(FileRefused, match=r"name of credentials|hub's own directory"):
            open_below(tmp_path, name)
        with pytest.raises(ConfigurationInvalid, match=r"name of credentials|hub's own directory"):
            context.place(name)


def test_S6_S16_a_key_file_of_the_settings_is_nobodys_data_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "datong.yaml").write_text("kafka: {key_file: certs/kafka.txt}\n")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/kafka.txt").write_text("a\ncanary\n")
    (tmp_path / "certs/list.txt").write_text("a\nfine\n")
    spec = FilesSpec(kind="files", path="certs/*", format="csv", stable_after_s=0)
    with closing(open_kind("files", spec, load_settings(tmp_path, env={}).settings, task="t", mode="append")) as source:
        assert rows(list(source.batches(None, Event()))) == [{"a": "fine"}]


def test_S6_the_mark_of_a_hubs_directory_is_the_one_that_it_leaves(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "var")
    directory.acquire()
    directory.release()
    assert (tmp_path / "var" / MARK).exists()


def test_S6_a_link_swapped_in_after_the_listing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("a\n1\n")
    (tmp_path / "swap.csv").symlink_to(tmp_path / "real.csv")
    with pytest.raises(FileRefused):
        open_below(tmp_path, "swap.csv")


def test_F21_ten_thousand_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(",".join(f"c{i}" for i in range(10_000)) + "\n")
    with pytest.raises(FileRefused, match="2,000"):
        read(tmp_path)


def test_S24_ndjson_rows_that_are_none(tmp_path: Path) -> None:
    lines = [
        '{"a": 1, "b": {"c": "x", "d": [1, 2]}, "e": true, "f": null}',
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1e400}',
        '{"a": 123456789012345678901234567890}',
        "[1]",
        "{",
        '{"a": "\\ud800"}',
        "{" + '"a":{' * 40 + "}" * 41,
        "",
    ]
    (tmp_path / "f.ndjson").write_text("\n".join(lines))
    found = read(tmp_path, path="*.ndjson")
    assert [r["a"] for r in rows(found)] == ["1", "1e400", "123456789012345678901234567890"]
    assert rows(found)[0] == {"a": "1", "b.c": "x", "b.d": "[1, 2]", "e": "true", "f": None}
    reasons = ["DUPLICATE_MEMBER", "NOT_A_NUMBER", "BAD_JSON", "BAD_JSON", "BAD_ENCODING", "TOO_DEEP"]
    assert [reason for _, reason in failures(found)] == reasons


def test_R16_a_drop_folder_is_watched_within_one_run(tmp_path: Path) -> None:
    stop = Event()
    seen: list[str] = []
    steps = iter(["a.csv", "b.csv", "a.csv"])
    for turn, batch in enumerate(source(tmp_path, path="*.csv", watch_s=0.1).batches(None, stop)):
        assert turn < 200
        seen += [r["a"] for r in batch.records.to_pylist()]
        if batch.read:
            continue
        name = next(steps, None)
        if name is None and len(seen) == 3:
            stop.set()
        elif name:
            (tmp_path / f"{name}.part").write_text("a\n9\n")
            with (tmp_path / name).open("a") as file:
                file.write(f"{len(seen)}\n" if (tmp_path / name).stat().st_size else f"a\n{len(seen)}\n")
    assert len(seen) == 3


def test_R16_names_of_unfinished_files_never_match(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv.part", "c.csv.tmp", "d.csv.filepart", ".e.csv"):
        (tmp_path / name).write_text(f"a\n{name}\n")
    assert [r["a"] for r in rows(read(tmp_path, path="*"))] == ["a.csv"]

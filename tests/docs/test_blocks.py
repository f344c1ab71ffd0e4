"""README, README.zh and the tutorial are followed block by block; and the reader that follows them is tested itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import PageBroken, Reader, matches, steps

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "README.zh.md",
        "docs/tutorial.md",
        "docs/how-to/bring-in.md",
        "docs/how-to/consume.md",
        "docs/how-to/normalise.md",
        "docs/how-to/quarantine.md",
        "docs/how-to/push.md",
        "docs/how-to/push-in.md",
    ],
)
def test_a_page_runs(page: str, reader: Reader) -> None:
    reader.follow((ROOT / page).read_text(encoding="utf-8"))


SAMPLE = """\
# A page

```python title="work/server.py"
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.create_server(("127.0.0.1", int(os.environ["DATONG_HTTP__PORT"]))) as server:
    while True:
        connection, _ = server.accept()
        connection.sendall(b"hello")
        connection.close()
```

```console
$ cd work
$ echo one; \\
  echo two
one
two
$ python3 server.py &
$ echo http://localhost:8080/x
http://localhost:8080/x
```

```python run
import socket

with socket.create_connection("127.0.0.1:8080".split(":")) as connection:
    assert connection.recv(5) == b"hello"
```

<!-- not run: it would end the test -->
```console
$ exit 1
```

````markdown
```console
$ exit 1
```
````

```python
not_run()
```
"""


def test_a_sample_page_is_read_as_steps() -> None:
    assert [(step.kind, step.line) for step in steps(SAMPLE)] == [
        ("file", 4), ("command", 14), ("command", 15), ("server", 19), ("command", 20), ("python", 25),
    ]  # fmt: skip


def test_a_sample_page_runs(reader: Reader) -> None:
    reader.follow(SAMPLE)
    assert reader.cwd == reader.base / "work"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```console\n$ false\n```", "line 2: false\nended with 1"),
        ("```console\n$ echo valid\ninvalid\n```", "line 2: echo valid\nprinted"),
        ("```console\n$ echo invalid\nvalid\n```", "printed"),
        ("text\n\n```python run\nraise SystemExit(3)\n```", "line 4.*ended with 3"),
        ("```console\noutput alone\n```", "begins with a command"),
        ("<!-- not run -->\n```console\n$ true\n```", "say why"),
        ("```console\n$ false &\n```", "does not serve"),
    ],
)
def test_what_is_wrong_is_found(page: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PageBroken, match=f"(?s){message}"):
        Reader(tmp_path).follow(page)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\n…", "a\nb\nc\n", True),
        ("…b…", "a\nb\nc\n", True),
        ("a", "a\nb\n", False),
        ("valid: 2", "invalid: 2", False),
        ("a.c", "abc", False),
        ("a  ", "a", True),
    ],
)
def test_the_whole_output_must_match(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same

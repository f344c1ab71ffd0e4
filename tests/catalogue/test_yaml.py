"""Hostile YAML is refused with its line, and costs its own bytes (S5)."""

from __future__ import annotations

import pytest

from hub.catalogue.yaml import MAX_BYTES, load_yaml
from hub.errors import ConfigurationInvalid

BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))
)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (BOMB, 1),
        (b"ok: 1\na: &x 1\n", 2),
        (b"ok: 1\na: *x\n", 2),
        (b"ok: 1\na: !!python/object/apply:os.system [id]\n", 2),
        (b"ok: 1\na: !!str 1\n", 2),
        (b"ok: 1\na: ! 1\n", 2),
        (b"ok: 1\n<<: {b: 1}\n", 2),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", 4),
        (b"a: [1\nb: }\n", 2),
        (b"? [a]\n: 1\n", 1),
        (b"- a\n", 1),
    ],
)
def test_S5_refused_with_its_line(raw: bytes, line: int) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_yaml(raw, "x.yaml")
    assert caught.value.where == f"x.yaml:{line}"


@pytest.mark.parametrize(
    "raw",
    [
        b"a: " + b"x" * MAX_BYTES,
        b"a: " + b"[" * 400_000,
        b"a: " + b"{b: " * 100_000,
        b"a: [" + b"1," * 400_000 + b"]",
        b"\xff\xfea",
        b"a: \x00",
        b"a: \xed\xa0\x80",
        b"a: 1\n---\nb: 1\n",
    ],
)
def test_S5_too_large_too_deep_or_not_text(raw: bytes) -> None:
    with pytest.raises(ConfigurationInvalid):
        load_yaml(raw, "x.yaml")


def test_every_path_has_its_line() -> None:
    document = load_yaml(b"\xef\xbb\xbfa: 1\nb:\n  - x\n  - {y: 2}\n  -\n    z.w: 3\n", "x.yaml")
    assert document.data == {"a": 1, "b": ["x", {"y": 2}, {"z.w": 3}]}
    assert [document.line(p) for p in ("a", "b", "b.0", "b.1.y", "b.2.z.w", "b.1.none")] == [1, 2, 3, 4, 6, 4]

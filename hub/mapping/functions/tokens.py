"""Instead of identifiers: join keys that only those who share a secret can make, and masks for people to look at."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.distinct import over_distinct
from hub.mapping.functions.table import Function, Kernel, always, constant, text

REFERENCE = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]{0,63})\}")
SHORTEST = 32  # bytes of a key: identifiers are few, so the key alone keeps tokens from being guessed
HASHES = ("sha256", "sm3")
MOST_SHOWN = 8  # characters at each end


def _bind(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    name = REFERENCE.fullmatch(str(literals[0]))
    if name is None:
        raise ValueError("a key does not stand in a file; write '${secret:NAME}' and keep it in secrets.d/NAME")
    algorithm = str(literals[1]) if len(literals) > 1 else "sha256"
    if algorithm not in HASHES:
        raise ValueError(f"a hash is one of {', '.join(HASHES)}")
    if algorithm not in hashlib.algorithms_available:
        raise ValueError(f"{algorithm} is not in this machine's OpenSSL")
    if codes.keys is None:
        return _unkeyed
    key = codes.keys(name.group(1))
    if len(key) < SHORTEST:
        raise ValueError(
            f"the key {name.group(1)} has less than {SHORTEST} bytes; make one with `openssl rand -hex 32`"
        )
    return lambda columns: (over_distinct(columns[0], lambda v: _token(v, key, algorithm)), None, {})


def _token(value: str, key: bytes, algorithm: str) -> str:
    return hmac.new(key, value.encode(), algorithm).hexdigest()


def _unkeyed(columns: Sequence[pa.Array]) -> tuple[pa.Array, None, dict[str, int]]:
    """Where an expression is only checked there are no keys, and nothing may come out that looks like a token."""
    return pa.nulls(len(columns[0]), pa.string()), None, {}


def _bind_mask(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    first, last = [*literals, 1, 1][:2] if len(literals) != 1 else (literals[0], 1)
    if not all(isinstance(n, int) and 0 <= n <= MOST_SHOWN for n in (first, last)):
        raise ValueError(f"at each end 0 to {MOST_SHOWN} characters are shown")

    def mask(value: str) -> str:
        hidden = len(value) - first - last
        return value[:first] + "*" * hidden + value[len(value) - last :] if hidden > 0 else "*" * len(value)

    return lambda columns: (over_distinct(columns[0], mask), None, {})


FUNCTIONS = (
    Function(
        name="mask",
        doc="A text with all but its first and last characters (one each, unless others are given, at most 8) as stars; one "
        "that is no longer than what would be shown is stars alone. For people's eyes only: 6 + 4 of a citizen's number "
        "leave some 3,300 dates of a century. To join, use `token`.",
        parameters=(text(), constant("first", "number", optional=True), constant("last", "number", optional=True)),
        result=always(pa.string()),
        bind=_bind_mask,
        examples=(
            ("mask('11010519491231002X')", "1****************X"),
            ("mask('+8613800138000', 3, 4)", "+86*******8000"),
            ("mask('王某')", "**"),
        ),
    ),
    Function(
        name="token",
        doc="A keyed hash (HMAC, 64 hexadecimal digits) of a text: the same text and key give the same token, and without "
        "the key nobody can tell from which text. The key is named as '${secret:NAME}', at least 32 bytes, one for each "
        "recipient; `hash` is sha256 or sm3. Normalise first: `token(cn_id(ID), '${secret:JOIN_KEY}')`.",
        parameters=(text(), constant("key"), constant("hash", optional=True)),
        result=always(pa.string()),
        bind=_bind,
        examples=(("substr(token('11010519491231002X', '${secret:EXAMPLE}'), 1, 16)", "2737afb53115176b"),),
    ),
)

"""Bearer tokens: issued once, kept as salted hashes, looked up by id and compared in constant time (S13).

A token reads `dtg.<id>.<secret>`. The secret has 256 random bits, so a fast hash keeps it: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Row

from hub.errors import NotFound
from hub.store.clock import StoreClock
from hub.store.engine import reading, writing
from hub.store.tables import people, tokens

Role = Literal["agency", "operator", "person"]
PREFIX = "dtg"  # lets secret scanners find a token that leaked
SECRET_BYTES = 32
MAX_BACKWARD_MS = 60_000  # a clock that is further behind than this is not believed (G19)
ID = re.compile(r"[0-9a-f]{16}")
NO_SALT, NO_HASH = bytes(16), bytes(32)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token as the hub knows it: without its secret."""

    id: str
    agency: str
    role: Role
    created_ms: int
    expires_ms: int | None  # None = never
    revoked: bool
    person: str = ""  # whose it is, of role person
    rank: str = ""  # what that person may do, now


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """A new token. `secret` is the whole text to send as bearer token; it cannot be read again."""

    id: str
    secret: str = field(repr=False)
    expires_ms: int | None


class Tokens:
    """All tokens. They begin and end by the store's clock, the same for every node."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def issue(self, agency: str, *, role: Role, lifetime_ms: int | None, person: str | None = None) -> IssuedToken:
        """Make a token for an agency, or for a person (NotFound: nobody has that name); `lifetime_ms` None: it never ends."""
        now = self._clock.now
        token_id, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES), secrets.token_bytes(16)
        with writing(self._engine) as connection:
            if person is not None and not connection.execute(_of(person).with_for_update()).all():
                raise NotFound(f"there is no person {person}", remedy="`datong people list` names them")
            expires_ms = connection.scalar(
                sa.insert(tokens)
                .values(
                    token_id=token_id,
                    agency=agency,
                    role=role,
                    salt=salt,
                    hash=_hash(salt, secret),
                    created_at=now,
                    expires_at=None if lifetime_ms is None else now + lifetime_ms,
                    revoked=False,
                    person=person,
                )
                .returning(tokens.c.expires_at)
            )
        return IssuedToken(id=token_id, secret=f"{PREFIX}.{token_id}.{secret}", expires_ms=expires_ms)

    def verify(self, token: str) -> Token | None:
        """Whose token this is, or None when it is unknown, wrong, expired, made in the future (G19), revoked, or of a person
        who is gone."""
        prefix, _, rest = token.partition(".")
        token_id, _, secret = rest.partition(".")
        token_id = token_id if ID.fullmatch(token_id) else ""
        with reading(self._engine) as connection:
            query = _query().add_columns(self._clock.now.label("now")).where(tokens.c.token_id == token_id)
            row = connection.execute(query).one_or_none()
        salt, expected = (NO_SALT, NO_HASH) if row is None else (row.salt, row.hash)
        right = hmac.compare_digest(_hash(salt, secret), expected)  # also when unknown: the same time either way
        if row is None or not right or prefix != PREFIX or row.revoked or (row.person is not None and row.rank is None):
            return None
        if row.created_at > row.now + MAX_BACKWARD_MS or (row.expires_at is not None and row.expires_at <= row.now):
            return None
        return _token(row)

    def listed(self) -> Sequence[Token]:
        """All tokens, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(_query().order_by(tokens.c.created_at, tokens.c.token_id)).all()
        return [_token(row) for row in rows]

    def revoke(self, token_id: str) -> None:
        """End a token for good. May be repeated. Raises NotFound."""
        ended = sa.update(tokens).where(tokens.c.token_id == token_id).values(revoked=True)
        with writing(self._engine) as connection:
            if not connection.execute(ended.returning(tokens.c.token_id)).all():
                raise NotFound(f"there is no token {token_id}", remedy="`datong token list` names them")


def _of(person: str) -> sa.Select[tuple[str]]:
    return sa.select(people.c.name).where(people.c.name == person)


def _query() -> sa.Select[tuple[object, ...]]:
    """With what the person of each may do at this moment."""
    whose = sa.select(tokens, people.c.role.label("rank"))
    return whose.join_from(tokens, people, tokens.c.person == people.c.name, isouter=True)


def _hash(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode(errors="surrogatepass")).digest()


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(
        id=row.token_id,
        agency=row.agency,
        role=cast(Role, row.role),
        created_ms=row.created_at,
        expires_ms=row.expires_at,
        revoked=row.revoked,
        person=row.person or "",
        rank=row.rank or "",
    )

"""People of the console: passwords, log-in, sessions, roles (S27).

A password is kept as Argon2id (RFC 9106). A session is 256 random bits in a cookie, of which only a hash is kept; it is new
at each log-in, ends after fifteen idle minutes and after twelve hours in any case. After five wrong passwords in a row a
name waits, each time for twice as long, where they came from: who guesses cannot lock out who is meant. A hundred from
wherever slow those networks where nobody of the name has logged in yet. An address that goes on guessing waits as well,
whatever names it tries.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, get_args

from hub.errors import ConfigurationInvalid, NotAuthenticated, NotGranted, RateExceeded, TooBusy
from hub.moments import iso
from hub.store.guesses import Lock
from hub.store.people import Account, People, Role
from hub.store.states import ITSELF

if TYPE_CHECKING:
    from argon2 import PasswordHasher

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SHORTEST, LONGEST = 12, 256  # characters of a password
LOCK_AFTER, SLOW_AFTER = 5, 100
HERE = Lock(after=LOCK_AFTER, first_ms=30_000, longest_ms=15 * 60_000)  # wrong passwords for a name from one network
ANYWHERE = Lock(after=SLOW_AFTER, first_ms=1_000, longest_ms=60_000)  # and from all that it is not known to log in from
IDLE_MS, SESSION_MS, FRESH_MS = 15 * 60_000, 12 * 3600_000, 30_000
GUESSES, GUESSES_S = 30, 300.0  # wrong passwords of one address in this time
ADDRESSES = 10_000  # remembered
TAKEN = frozenset({"operator", ITSELF})  # who is put on record where no person acted
RANKS: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
DEMO_NAME, DEMO_PASSWORD = "demo", "datong-demo"  # known to everybody, good on loopback only
HASHING = threading.BoundedSemaphore(2)  # each takes 64 MiB
HASHING_S = 5.0  # that a log-in waits for its turn, holding a thread of the API


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is logged in."""

    name: str
    role: Role
    token: str  # what forms of this session carry, so that no other site can post them (S19)

    def may(self, role: Role) -> bool:
        """Is the person's role this one, or one that may more?"""
        return RANKS.index(self.role) >= RANKS.index(role)

    def require(self, role: Role) -> None:
        """Raises NotGranted unless the person may."""
        if not self.may(role):
            raise NotGranted(f"only the role {role} may do this", rule=f"{role}_only")


class PeopleDesk:
    """All about the people of a hub. Thread-safe. `clock` gives seconds and counts an address's guesses."""

    def __init__(self, store: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._guesses = _Guesses(clock)

    def add(self, name: str, role: str, password: str, *, demo: bool = False) -> dict[str, Any]:
        """A new person. Raises ConfigurationInvalid for a name, role or password that is none, Conflict for a known name."""
        if not NAME.fullmatch(name):
            raise ConfigurationInvalid(
                "a person's name has 1 to 64 lower-case letters, digits, '.', '_' and '-'", where="name"
            )
        if name in TAKEN:
            raise ConfigurationInvalid("this is what the hub itself is called in its records", where="name")
        self._store.add(name, _role(role), self._hash(name, password), demo=demo)
        return self.one(name)

    def ensure_demo(self) -> None:
        """The person whose password everybody knows, unless there is one of this name."""
        if self._store.get(DEMO_NAME) is None:
            self._store.add(DEMO_NAME, "operator", self._hasher.hash(DEMO_PASSWORD), demo=True)

    def listed(self) -> list[dict[str, Any]]:
        """All people, without passwords."""
        return [_as_json(account) for account in self._store.listed()]

    def one(self, name: str) -> dict[str, Any]:
        """One person."""
        return next(person for person in self.listed() if person["name"] == name)

    def change(self, name: str, *, role: str | None = None, password: str | None = None) -> dict[str, Any]:
        """Another role or password, and nobody waits any more; ends the person's sessions. Raises NotFound and
        ConfigurationInvalid."""
        self._store.change(
            name,
            role=None if role is None else _role(role),
            password=None if password is None else self._hash(name, password),
        )
        return self.one(name)

    def remove(self, name: str) -> None:
        """Ends the person's sessions. Raises NotFound."""
        self._store.remove(name)

    @property
    def has_demo(self) -> bool:
        """Is there anybody whose password everybody knows?"""
        return any(account.demo for account in self._store.listed())

    def log_in(self, name: str, password: str, address: str, *, loopback: bool) -> str:
        """A new session's secret. Raises NotAuthenticated, and RateExceeded with no hint whether the password was right.

        `loopback`: the request came from this machine, to this machine; people of a demo get in only then.
        """
        one, network = _network(address, 32), _network(address, 24)
        self._guesses.check(one)
        possible = NAME.fullmatch(name) is not None
        wait = self._store.wait_ms(name, network) if possible else 0
        if wait:
            raise RateExceeded("too many wrong passwords", remedy=f"try again in {_seconds(wait)} s")
        account = self._store.get(name) if possible else None
        right = self._right(account, password)
        if account is None or not right or (account.demo and not loopback):
            self._guesses.add(one)
            if possible and not right:
                self._store.failed(name, network, here=HERE, anywhere=ANYWHERE)
            raise NotAuthenticated("the name or the password is wrong")
        session = secrets.token_urlsafe(32)
        if not self._store.begin(name, session, network, password=account.password, ended_before_ms=SESSION_MS):
            raise NotAuthenticated("the name or the password is wrong")  # since a moment ago
        return session

    def whose(self, session: str, *, touch: bool = True) -> Person | None:
        """Who holds a session; None when nobody does any more. `touch`: it is in use, and not idle from now on."""
        if not 0 < len(session) <= 100:
            return None
        account = self._store.whose(
            session, idle_ms=IDLE_MS, longest_ms=SESSION_MS, fresh_ms=FRESH_MS if touch else None
        )
        if account is None:
            return None
        return Person(name=account.name, role=account.role, token=form_token(session))

    def log_out(self, session: str) -> None:
        """End a session. May be repeated."""
        self._store.end(session)

    def _hash(self, name: str, password: str) -> str:
        if not SHORTEST <= len(password) <= LONGEST or name in password.lower():
            raise ConfigurationInvalid(
                f"a password has {SHORTEST} to {LONGEST} characters and does not hold the person's name",
                where="password",
            )
        with _turn():
            return self._hasher.hash(password)

    def _right(self, account: Account | None, password: str) -> bool:
        """The same work whether the account exists or not, so that time tells nothing."""
        from argon2.exceptions import InvalidHashError, VerificationError

        with _turn():
            try:
                self._hasher.verify(account.password if account else self._nobody, password[: LONGEST + 1])
            except (VerificationError, InvalidHashError):
                return False
        return account is not None

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher  # commands start without it

        return PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())


class _Guesses:
    """Wrong passwords by address, on this node."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises RateExceeded for one that guessed too often."""
        with self._lock:
            made = self._at.get(address, ())
            recent = [at for at in made if at > self._clock() - GUESSES_S]
            if len(recent) >= GUESSES:
                wait = recent[0] + GUESSES_S - self._clock()
                raise RateExceeded(
                    "too many wrong passwords from this address", remedy=f"try again in {_seconds(wait * 1000)} s"
                )

    def add(self, address: str) -> None:
        """One more."""
        with self._lock:
            self._at.setdefault(address, deque(maxlen=GUESSES)).append(self._clock())
            self._at.move_to_end(address)
            while len(self._at) > ADDRESSES:
                self._at.popitem(last=False)


def _network(address: str, bits: int) -> str:
    """What is counted as one: so many bits of IPv4, and of IPv6 the 64 that one household or office is given."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ip_network((found, bits if found.version == 4 else 64), strict=False))


@contextmanager
def _turn() -> Iterator[None]:
    """Raises TooBusy when many log in at once: they wait at their own end, not here (S27)."""
    if not HASHING.acquire(timeout=HASHING_S):
        raise TooBusy("many log in at once", remedy="try again in a while")
    try:
        yield
    finally:
        HASHING.release()


def form_token(session: str) -> str:
    """What forms of a session carry: derived from its secret, and telling nothing of it."""
    return hmac.new(session.encode(), b"datong form", hashlib.sha256).hexdigest()


def _role(role: str) -> Role:
    if role not in RANKS:
        raise ConfigurationInvalid(f"there is no role {role[:32]}", where="role", remedy=", ".join(RANKS))
    return role


def _seconds(milliseconds: float) -> int:
    return max(1, round(milliseconds / 1000))


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "role": account.role,
        "demo": account.demo,
        "created": iso(account.created_ms),
        "waits": {
            "networks": account.waits.networks,
            "networks_s": _seconds(account.waits.networks_ms) if account.waits.networks_ms else 0,
            "elsewhere_s": _seconds(account.waits.elsewhere_ms) if account.waits.elsewhere_ms else 0,
        },
    }

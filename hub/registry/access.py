"""Who may read and write the registry: every holder of a token reads, an agency writes subjects of its own prefix."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from hub.errors import NotAuthenticated, NotGranted
from hub.store.tokens import Tokens

MAX_HEADER = 1_024  # characters
KEPT = 1_000
FRESH_S = 2.0  # a token that was right may be taken for right so long: revoked ones end in time (G12)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who calls. An operator may write everything, also what holds for all subjects."""

    name: str  # an agency, or `operator`
    operator: bool

    def check_write(self, subject: str | None) -> None:
        """Raises NotGranted. None stands for all subjects."""
        if self.operator:
            return
        if subject is None:
            raise NotGranted(
                "only the registry's operator may change what holds for all subjects", rule="operator_only"
            )
        if not subject.startswith(f"{self.name}."):
            raise NotGranted(
                f"{self.name} may change subjects that begin with `{self.name}.`, as its topics do",
                rule="subject_prefix",
            )


class Gate:
    """Turns an Authorization header into a caller: `Bearer TOKEN`, or `Basic` with the token as password."""

    def __init__(self, tokens: Tokens, operator_token: str) -> None:
        self._tokens, self._operator = tokens, operator_token
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    def known(self, header: str) -> Principal | None:
        """Without asking the store: who sent this very header a moment ago."""
        with self._lock:
            at, principal = self._known.get(_mark(header), (0.0, None))
        return principal if principal is not None and monotonic() - at < FRESH_S else None

    def admit(self, header: str) -> Principal:
        """Raises NotAuthenticated, and NotGranted for who may only look. Secrets are compared in constant time (S13)."""
        token = _token(header)
        if hmac.compare_digest(token.encode(errors="replace"), self._operator.encode()):
            principal = Principal(name="operator", operator=True)
        else:
            found = self._tokens.verify(token)
            if found is None:
                raise _refused("the token is unknown, expired or revoked")
            if found.role == "person" and found.rank == "viewer":
                raise NotGranted("the person of this token may look at the console alone", rule="operator_only")
            principal = Principal(name=found.person or found.agency, operator=found.role != "agency")
        with self._lock:
            self._known[_mark(header)] = (monotonic(), principal)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return principal


def _token(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    if len(header) > MAX_HEADER:
        raise _refused("the Authorization header is too long")
    if scheme.lower() == "bearer" and rest.strip():
        return rest.strip()
    if scheme.lower() != "basic":
        raise _refused("the registry needs a token")
    try:
        _user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _refused("the Authorization header cannot be read") from None
    return password


def _refused(why: str) -> NotAuthenticated:
    return NotAuthenticated(
        why, remedy="send `Authorization: Bearer TOKEN`, or basic.auth.user.info=AGENCY:TOKEN as the clients call it"
    )


def _mark(header: str) -> bytes:
    return hashlib.sha256(header.encode(errors="surrogatepass")).digest()

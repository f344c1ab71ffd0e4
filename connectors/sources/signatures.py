"""Who sent a webhook: the Standard Webhooks specification, with HMAC-SHA256 (`v1`) and Ed25519 (`v1a`) keys (S13, S25).

Signed is `id.timestamp.body`. An id may hold no dot here, so that one text cannot be cut in two ways.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.errors import ConfigurationInvalid, NotAuthenticated

WINDOW_S = 300  # that the sender's clock may be off, either way
SYMMETRIC, PUBLIC = "whsec_", "whpk_"
KEY_BYTES = range(24, 65)
MOST_SIGNATURES = 20
ID = re.compile(r"[!-\-/-~]{1,200}")  # printable ASCII without blank and dot
MOMENT = re.compile(r"[0-9]{1,12}")
HOW = (
    "sign `webhook-id.webhook-timestamp.body` as the Standard Webhooks specification says, with a key of this connector"
)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What a valid signature vouches for."""

    id: str
    timestamp: str  # seconds since 1970, as sent


class Verifier:
    """The keys of one connector."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ConfigurationInvalid, never quoting a key."""
        self._symmetric: list[bytes] = []
        self._public: list[Ed25519PublicKey] = []
        for number, key in enumerate(keys):
            self._add(key.strip(), f"source.keys[{number}]")

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: float) -> Signed:
        """Raises NotAuthenticated unless one of the signatures is by one of the keys, and of now."""
        sent = Signed(id=headers.get("webhook-id", ""), timestamp=headers.get("webhook-timestamp", ""))
        if not ID.fullmatch(sent.id):
            raise NotAuthenticated(
                "webhook-id is missing, or is not 1 to 200 printable characters without a dot", remedy=HOW
            )
        if not MOMENT.fullmatch(sent.timestamp):
            raise NotAuthenticated("webhook-timestamp is missing, or is not whole seconds since 1970", remedy=HOW)
        if abs(now_s - int(sent.timestamp)) > WINDOW_S:
            raise NotAuthenticated(
                "webhook-timestamp is more than five minutes off",
                remedy="sign each attempt anew; set the sender's clock",
            )
        text = f"{sent.id}.{sent.timestamp}.".encode() + body
        if not self._signed(text, headers.get("webhook-signature", "")):
            raise NotAuthenticated("no signature is by a key of this connector", remedy=HOW)
        return sent

    def _signed(self, text: bytes, header: str) -> bool:
        made: list[bytes] | None = None
        for entry in header.split(" ")[:MOST_SIGNATURES]:
            version, _, encoded = entry.partition(",")
            try:
                given = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
            if version == "v1":
                made = [hmac.digest(k, text, hashlib.sha256) for k in self._symmetric] if made is None else made
                if any([hmac.compare_digest(one, given) for one in made]):  # noqa: C419 - all, whichever fits
                    return True
            elif version == "v1a" and any(_verifies(key, given, text) for key in self._public):
                return True
        return False

    def _add(self, key: str, where: str) -> None:
        try:
            if key.startswith(SYMMETRIC):
                raw = base64.b64decode(key.removeprefix(SYMMETRIC), validate=True)
                if len(raw) not in KEY_BYTES:
                    raise ValueError
                self._symmetric.append(raw)
            elif key.startswith(PUBLIC):
                raw = base64.b64decode(key.removeprefix(PUBLIC), validate=True)
                self._public.append(Ed25519PublicKey.from_public_bytes(raw))
            else:
                raise ValueError
        except ValueError:
            raise ConfigurationInvalid(
                "is no key",
                where=where,
                remedy="`whsec_` and 24 to 64 bytes in base64, or `whpk_` and the 32 bytes of an Ed25519 public key",
            ) from None


def _verifies(key: Ed25519PublicKey, given: bytes, text: bytes) -> bool:
    try:
        key.verify(given, text)
    except InvalidSignature:
        return False
    return True

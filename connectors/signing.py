"""Standard Webhooks 1.0: what is sent is signed by HMAC-SHA256, in webhook-id, -timestamp and -signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from hub.errors import ConfigurationInvalid

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)  # Standard Webhooks: 192 to 512 bits


def signed(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def key_of(secret: str, reference: str, where: str) -> bytes:
    """Raises ConfigurationInvalid, which never quotes it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in KEY_BYTES:
        raise ConfigurationInvalid(
            f"{reference} is no key of Standard Webhooks",
            where=where,
            remedy="`whsec_` and 24 to 64 random bytes in base64, such as from `openssl rand -base64 32`",
        )
    return key

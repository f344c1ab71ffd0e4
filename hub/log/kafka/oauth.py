"""OAUTHBEARER: client credentials exchanged for bearer tokens (RFC 6749 section 4.4), kept until shortly before they end."""

from __future__ import annotations

import threading
import time

import httpx
from kafka import errors as kafka
from kafka.net.sasl.oauth import AbstractTokenProvider

from hub.log.kafka.errors import TokenUnavailable

EARLY_S = 60.0  # renewed so long before the end
LIFETIME_S = 300.0  # where the server does not say
ANSWER_S = 5.0


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """A token provider for kafka-python. Thread-safe; the secret stands in no error."""

    def __init__(self, url: str, client: str, secret: str, *, ca_file: str | None = None) -> None:
        super().__init__()
        self._url, self._client, self._secret, self._ca_file = url, client, secret, ca_file
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """A token that is good for a while yet. Raises SaslAuthenticationFailedError, TokenUnavailable."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, lifetime = self._ask()
                self._until = time.monotonic() + max(lifetime - EARLY_S, lifetime / 2)
            return self._token

    def _ask(self) -> tuple[str, float]:
        """Raises SaslAuthenticationFailedError for a refusal, TokenUnavailable for what may pass."""
        try:
            answer = httpx.post(
                self._url,
                data={"grant_type": "client_credentials"},
                auth=(self._client, self._secret),
                timeout=ANSWER_S,
                verify=self._ca_file or True,
                trust_env=False,
            )
            if answer.is_client_error:  # RFC 6749 section 5.2: invalid_client and the like
                raise kafka.SaslAuthenticationFailedError(f"no token (status {answer.status_code})")
            found = answer.raise_for_status().json()
            return str(found["access_token"]), float(found.get("expires_in", LIFETIME_S))
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise TokenUnavailable(type(error).__name__) from None

"""Sink `webhook`: batches of JSON by POST, signed by HMAC-SHA256 (Standard Webhooks 1.0: webhook-id, -timestamp, -signature).

The receiver keeps no position for us: the hub's own record of what was answered with 2xx is where it goes on, so the last
batch may come twice. The id of a batch is made from its offsets, and is the same each time that batch is sent.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from connectors.context import SinkContext
from connectors.outbound import TargetRefused
from connectors.signing import key_of, signed
from connectors.sinks.specs import WebhookSpec
from hub.errors import ConfigurationInvalid, SinkGone, SinkRefused, SinkUnavailable
from hub.model import PushRules, SinkBatch

AGAIN = frozenset({408, 409, 425, 429})  # besides 5xx
TYPE = "datong.records"


class WebhookSink:
    """One address. One thread uses it."""

    def __init__(self, spec: WebhookSpec, context: SinkContext) -> None:
        self._spec, self._name = spec, context.subscription
        self._key = key_of(context.secret(spec.secret), spec.secret, "sink.secret")
        self._where = _shown(spec.url)
        try:
            ca_file = context.certificate(spec.ca_file)
            self._client = context.outbound.client(timeout_s=spec.timeout_s, ca_file=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationInvalid("the certificate file cannot be read", where="sink.ca_file") from error

    @property
    def rules(self) -> PushRules:
        """As the subscription's file says."""
        return PushRules(
            tries=self._spec.tries,
            wait_most_s=self._spec.wait_most_s,
            dead_letters=self._spec.on_failure == "dead_letter",
            max_records=self._spec.max_records,
        )

    def positions(self) -> Mapping[int, int] | None:
        """It cannot say."""
        return None

    def write(self, batch: SinkBatch) -> None:
        """One POST; anything but 2xx is a failure. A batch without news is not sent."""
        if not len(batch.offsets) and not batch.reset:
            return
        body = self._body(batch)
        headers = signed(self._key, _id(self._name, batch), int(time.time()), body)
        headers |= {"Content-Type": "application/json", "User-Agent": "datong"}
        try:
            with self._client.stream("POST", self._spec.url, content=body, headers=headers) as response:
                self._judge(response.status_code, response.headers.get("retry-after"))
        except TargetRefused as refused:
            raise SinkGone(refused.message, where=refused.where, remedy=refused.remedy) from None
        except httpx.HTTPError as error:
            raise SinkUnavailable(
                f"the receiver did not answer as it should ({type(error).__name__})",
                where=self._where,
                remedy="see that it is there, and quicker than `timeout_s`",
            ) from None

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _body(self, batch: SinkBatch) -> bytes:
        about = {
            "subscription": self._name,
            **batch.about,
            "reset": batch.reset,
            "positions": {str(p): at for p, at in sorted(batch.positions.items())},
        }
        head = json.dumps({"type": TYPE, "data": about}, ensure_ascii=False, separators=(",", ":"))
        return head.encode()[:-2] + b',"records":' + batch.form("json") + b"}}"

    def _judge(self, status: int, retry_after: str | None) -> None:
        if 200 <= status < 300:
            return
        if status == 410:
            raise SinkGone(
                "the receiver answers 410: it wants no more", where=self._where, remedy="ask the subscribing agency"
            )
        if status in AGAIN or status >= 500:
            passing = SinkUnavailable(f"the receiver answers {status}", where=self._where)
            passing.wait_s = _seconds(retry_after)
            raise passing
        if 300 <= status < 400:
            raise SinkRefused(
                f"the receiver answers {status}: redirects are not followed",
                where=self._where,
                remedy="name the address that it leads to as `url`",
            )
        raise SinkRefused(
            f"the receiver refuses the batch ({status})", where=self._where, remedy="ask the subscribing agency why"
        )


def _id(subscription: str, batch: SinkBatch) -> str:
    """Of the offsets in it."""
    places = [
        [p, int(batch.offsets[batch.partitions == p].min()), int(batch.offsets[batch.partitions == p].max())]
        for p in sorted(set(batch.partitions.tolist()))
    ]
    text = json.dumps([subscription, batch.reset, places, batch.about.get("schema_id")])
    return "msg_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _shown(url: str) -> str:
    """For messages: the query may hold a secret. Raises ConfigurationInvalid."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationInvalid("the address cannot be read", where="sink.url", remedy="https://HOST/PATH") from None
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _seconds(retry_after: str | None) -> float | None:
    """Of a number or a date (RFC 9110 section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    return max((when - datetime.now(UTC)).total_seconds(), 0.0) if when.tzinfo else None

"""kafka-python's admin client, made anew after trouble.

It remembers a group's coordinator for as long as it lives, and leaves a thread behind when it cannot reach the cluster at
first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from kafka import errors as kafka
from kafka.admin import KafkaAdminClient

from hub.errors import LogUnavailable
from hub.log.kafka.errors import translate
from hub.log.kafka.options import KafkaOptions

Result = TypeVar("Result")


class Admin:
    """Thread-safe."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._client: KafkaAdminClient | None = None
        self._closed = False

    def ask(self, step: Callable[[KafkaAdminClient], Result], where: str = "") -> Result:
        """One call. Raises the hub's errors."""
        client = self._connected()
        try:
            return step(client)
        except (kafka.KafkaError, OSError, RuntimeError) as error:
            self.forget(client)
            raise translate(error, where or self._options.where) from None

    def forget(self, client: KafkaAdminClient | None = None) -> None:
        """Make a new client for the next call; with `client`, only if it is still the one in use."""
        with self._lock:
            if client is not None and client is not self._client:
                return
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def close(self) -> None:
        """Idempotent."""
        self._closed = True
        self.forget()

    def _connected(self) -> KafkaAdminClient:
        with self._lock:
            if self._closed:
                raise LogUnavailable("the log is closed", where=self._options.where)
            if self._client is None:
                self._client = self._make()
            return self._client

    def _make(self) -> KafkaAdminClient:
        made: list[Any] = []

        def client(**configuration: Any) -> Any:
            made.append(KafkaAdminClient.DEFAULT_CONFIG["kafka_client"](**configuration))
            return made[0]

        timeout_ms = int(self._options.bootstrap_timeout_s * 1000)
        try:
            return KafkaAdminClient(**self._options.client(), bootstrap_timeout_ms=timeout_ms, kafka_client=client)
        except kafka.KafkaError as error:
            for one in made:
                with contextlib.suppress(Exception):
                    one.close()
            raise translate(error, self._options.where) from None

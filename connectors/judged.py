"""Connections of HTTP clients to judged addresses only (R17). Apart from the rule itself, which loads no HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    from connectors.outbound import Outbound


class Judged(httpcore.NetworkBackend):
    """Resolves, judges, connects. `encrypted`: for requests by https."""

    def __init__(self, outbound: Outbound, *, encrypted: bool) -> None:
        self._outbound, self._encrypted, self._plain = outbound, encrypted, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the name that answers. Raises TargetRefused when any of them is refused."""
        problem: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in self._addresses(host, port):
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore.ConnectError("the name has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return self._outbound.addresses(host, port, encrypted=self._encrypted)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host name is not known") from error

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Never."""
        raise httpcore.ConnectError("sources speak TCP only")

    def sleep(self, seconds: float) -> None:
        """Between retries of the pool, of which there are none."""

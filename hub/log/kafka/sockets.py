"""Sockets that are closed when they do not connect.

kafka-python 3.0 forgets the socket of every refused connection: while a broker is away, some a second stay open until the
garbage collector passes. Its way in for proxies is a class per URL scheme, so a scheme of our own mends it (ADR 6).
"""

from __future__ import annotations

from typing import Any

from kafka.net.inet import KafkaNetSocket

SCHEME = "datong-direct"
PROXY_URL = f"{SCHEME}://here"


class ClosedOnFailure(KafkaNetSocket):  # type: ignore[misc]
    """A direct connection, no proxy."""

    SCHEMES = (SCHEME,)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        """As kafka-python's own, but without the leak."""
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise

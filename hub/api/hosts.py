"""Names by which this machine calls itself."""

from __future__ import annotations

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def hostname(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

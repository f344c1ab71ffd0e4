"""Ports for servers of tests."""

from __future__ import annotations

import socket
from ipaddress import ip_address


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_address() -> str | None:
    """Of this machine: one that a connection may go to, and not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError:
            return None
        found = ip_address(probe.getsockname()[0])
    return None if found.is_loopback or found.is_link_local or found.is_unspecified else str(found)

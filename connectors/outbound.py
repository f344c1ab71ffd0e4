"""Connections to departmental systems: the rule where they may lead, and the one module that makes HTTP clients (S2, R17).

A name is resolved once a connection, every address it gives is judged, and the connection goes to a judged address, so a
name that answers differently the second time gains nothing. Redirects are followed by the caller, who judges each hop.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass

import httpx

from hub.errors import Denied

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NEVER = tuple(  # addresses that no allow-list opens: link-local, metadata services, multicast, nowhere, reserved
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128",
    )
)  # fmt: skip
TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))


class TargetRefused(Denied):
    """A connection leads where none may go: a private address that is not allowed, the hub itself, a metadata service."""


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """Where sources may connect. `allowed`: `host:port` of private and loopback targets, as the operator wrote them."""

    allowed: frozenset[str] = frozenset()
    own: frozenset[tuple[str, int]] = frozenset()  # the hub's own API, Kafka and databases
    own_ports: frozenset[int] = frozenset()  # of this machine

    def judge(self, host: str, port: int, address: Address) -> None:
        """Raises TargetRefused."""
        plain = _plain(address)
        where = f"{host}:{port}"
        if any(plain in network for network in NEVER if network.version == plain.version):
            raise TargetRefused("this address is never connected to", where=where)
        if (host.lower(), port) in self.own or (plain.is_loopback and port in self.own_ports):
            raise TargetRefused("this is the hub itself or one of its own services", where=where)
        if plain.is_global:
            return
        if f"{host.lower()}:{port}" not in self.allowed:
            raise TargetRefused(
                "this address is private, and the operator has not allowed it",
                where=where,
                remedy=f"an operator allows it in datong.yaml: `outbound: {{allow: ['{host}:{port}']}}`",
            )

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name, all judged. Raises TargetRefused when any of them is refused, OSError, UnicodeError."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self.judge(host, port, ipaddress.ip_address(address.partition("%")[0]))
        return addresses

    def connect(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """A connection to the first judged address that answers. Raises TargetRefused, OSError."""
        problem: OSError | None = None
        try:
            addresses = self.addresses(host, port)
        except UnicodeError as error:
            raise OSError("the host name cannot be one") from error
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout_s)
            except OSError as error:
                problem = error
        raise problem or OSError("the name has no address")

    def client(self, *, timeout_s: float, ca_file: str | None = None) -> httpx.Client:
        """A client that follows no redirect, takes no proxy from the environment and connects to judged addresses only."""
        import httpcore  # here, as what follows: a hub without sources on the web starts without them

        from connectors.judged import Judged

        context = ssl.create_default_context(cafile=ca_file)
        transport = httpx.HTTPTransport(verify=context, trust_env=False)
        transport._pool.close()
        transport._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=4, max_keepalive_connections=2, network_backend=Judged(self)
        )
        return httpx.Client(transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False)


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in TRANSLATED[0]:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
    return address

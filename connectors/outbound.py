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
    everywhere: bool = False  # the hub listens on every address of this machine, not on loopback or one of them alone
    only: frozenset[str] | None = None  # `host:port` that the secrets in use are bound to; None: they are bound to none
    sealed: frozenset[str] = frozenset()  # secrets in use, by name, that leave this machine over TLS or SSH alone

    def judge(self, host: str, port: int, address: Address, *, inside: bool = False) -> None:
        """Raises TargetRefused. `inside`: what connects speaks to databases, whose place is a private address (ADR 17)."""
        self._bound(host, port)
        plain = _plain(address)
        where = f"{host}:{port}"
        if any(plain in network for network in NEVER if network.version == plain.version):
            raise TargetRefused("this address is never connected to", where=where)
        if self._is_own(host, port, plain):
            raise TargetRefused("this is the hub itself or one of its own services", where=where)
        if plain.is_global or inside:
            return
        if f"{host.lower()}:{port}" not in self.allowed:
            raise TargetRefused(
                "this address is private, and the operator has not allowed it",
                where=where,
                remedy=f"an operator allows it in datong.yaml: `outbound: {{allow: ['{host}:{port}']}}`",
            )

    def addresses(self, host: str, port: int, *, encrypted: bool, inside: bool = False) -> list[str]:
        """The addresses of a name, all judged. Raises TargetRefused when any of them is refused, OSError, UnicodeError.

        `encrypted`: what follows is TLS or SSH, or ends before a secret is sent; where nobody can see that, it is not.
        A name that a secret is not bound to is not even looked up: the secret may stand in it."""
        self._bound(host, port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            plain = ipaddress.ip_address(address.partition("%")[0])
            self.judge(host, port, plain, inside=inside)
            if not encrypted:
                self._in_clear(plain)
        return addresses

    def connect(self, host: str, port: int, *, timeout_s: float, encrypted: bool) -> socket.socket:
        """A connection to the first judged address that answers. Raises TargetRefused, OSError."""
        problem: OSError | None = None
        try:
            addresses = self.addresses(host, port, encrypted=encrypted)
        except UnicodeError as error:
            raise OSError("the host name cannot be one") from error
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout_s)
            except OSError as error:
                problem = error
        raise problem or OSError("the name has no address")

    def _bound(self, host: str, port: int) -> None:
        """Raises TargetRefused where the secrets in use may not go; the name is not told, for they may stand in it."""
        if self.only is not None and f"{host.lower()}:{port}" not in self.only:
            raise TargetRefused(
                "this host is none that the secrets in use are bound to",
                where="bindings.yaml",
                remedy=f"there they are bound to {', '.join(sorted(self.only)) or 'no host'}",
            )

    def _in_clear(self, address: Address) -> None:
        """Raises TargetRefused where a bound secret would be read by anybody on the way. Nobody is on the way of loopback."""
        if self.sealed and not _plain(address).is_loopback:
            raise TargetRefused(
                "the secrets in use are bound, and there is no TLS to where this leads",
                where="bindings.yaml",
                remedy=f"speak TLS there, or write `plain: true` there at {', '.join(sorted(self.sealed))}",
            )

    def _is_own(self, host: str, port: int, address: Address) -> bool:
        """The hub or a service of its own, whatever name it is called by."""
        if (host.lower(), port) in self.own:
            return True
        if port in self.own_ports and (address.is_loopback or (self.everywhere and _is_here(address))):
            return True
        return any(address in _addresses_of(name) for name, at in self.own if at == port)

    def client(self, *, timeout_s: float, ca_file: str | None = None) -> httpx.Client:
        """A client that follows no redirect, takes no proxy from the environment and connects to judged addresses only."""
        import httpcore  # here, as what follows: a hub without sources on the web starts without them

        from connectors.judged import Judged

        context = ssl.create_default_context(cafile=ca_file)

        def transport(*, encrypted: bool) -> httpx.HTTPTransport:
            made = httpx.HTTPTransport(verify=context, trust_env=False)
            made._pool.close()
            made._pool = httpcore.ConnectionPool(
                ssl_context=context, max_connections=4, max_keepalive_connections=2,
                network_backend=Judged(self, encrypted=encrypted),
            )  # fmt: skip
            return made

        return httpx.Client(
            transport=transport(encrypted=False),
            mounts={"https://": transport(encrypted=True)},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
        )


def _is_here(address: Address) -> bool:
    """Is it one of this machine's? Those alone can be bound to."""
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _addresses_of(name: str) -> set[Address]:
    """As the name service has them now; none where it does not know the name."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {_plain(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in found}


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

"""Three brokers in network namespaces of their own: one network for clients, one for brokers among themselves, and every
link can be taken down alone, silently, as a cable is (F6). Needs root and iproute2."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.services import kafka as service
from deploy.services.kafka import Cluster, Place
from tests.support.requirements import unavailable

CLIENTS, INNER = "c", "i"  # the two networks
NODES = range(1, 4)


class Networks:
    """`down` and `up` a broker's link to one network."""

    def __init__(self) -> None:
        self._name = f"dt{os.getpid() % 10_000}"
        self._subnet = {CLIENTS: f"10.{200 + os.getpid() % 50}.1", INNER: f"10.{200 + os.getpid() % 50}.2"}

    def place(self, node: int) -> Place:
        """Of a broker."""
        addresses = [f"{self._subnet[net]}.{node}" for net in (CLIENTS, INNER)]
        return Place(addresses[0], addresses[1], ("ip", "netns", "exec", self._space(node)))

    def down(self, net: str, node: int) -> None:
        """Nothing passes, and nobody is told."""
        ip("link", "set", self._link(net, node), "down")

    def up(self, net: str, node: int) -> None:
        """Mended."""
        ip("link", "set", self._link(net, node), "up")

    def make(self) -> None:
        """Bridges, spaces and links."""
        for net in (CLIENTS, INNER):
            ip("link", "add", self._bridge(net), "type", "bridge")
            ip("link", "set", self._bridge(net), "up")
        ip("addr", "add", f"{self._subnet[CLIENTS]}.254/24", "dev", self._bridge(CLIENTS))
        for node in NODES:
            space = self._space(node)
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            for net in (CLIENTS, INNER):
                ip("link", "add", self._link(net, node), "type", "veth", "peer", "name", net, "netns", space)
                ip("-n", space, "addr", "add", f"{self._subnet[net]}.{node}/24", "dev", net)
                ip("-n", space, "link", "set", net, "up")
                ip("link", "set", self._link(net, node), "master", self._bridge(net))
                self.up(net, node)

    def remove(self) -> None:
        """All of it, however far `make` came."""
        for node in NODES:
            with contextlib.suppress(RuntimeError):
                ip("netns", "del", self._space(node))
        for net in (CLIENTS, INNER):
            with contextlib.suppress(RuntimeError):
                ip("link", "del", self._bridge(net))

    def _space(self, node: int) -> str:
        return f"{self._name}n{node}"

    def _bridge(self, net: str) -> str:
        return f"{self._name}{net}"

    def _link(self, net: str, node: int) -> str:
        return f"{self._name}{net}{node}"


def ip(*arguments: str) -> None:
    """Debian's iproute2. Raises RuntimeError."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def three_apart(folder: Path) -> Iterator[tuple[Cluster, Networks]]:
    """Three brokers, each in its own space. Skips, or fails where TEST_REQUIRE names netns, what cannot be made."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        unavailable("netns", "network namespaces need root and iproute2")
    networks = Networks()
    cluster = None
    try:
        try:
            networks.make()
        except RuntimeError as refused:
            unavailable("netns", f"this machine gives no network namespaces: {refused}")
        cluster = service.start(folder, nodes=3, places=[networks.place(n) for n in NODES])
        yield cluster, networks
    finally:
        if cluster:
            cluster.remove()
        networks.remove()

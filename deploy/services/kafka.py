"""Apache Kafka from its jars: one or three KRaft nodes on loopback, each a process of its own.

The jars come from Maven Central by coordinates (jars/pom.xml) and are kept in the user's cache. A node is controller and
broker at once. With `secure`, clients need SASL/SCRAM over TLS, and topics deny what no ACL allows.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.services import ServiceMissing
from deploy.services.tls import make_certificates

VERSION = "4.3.1"
HERE = Path(__file__).parent / "jars"
LOOPBACK = "127.0.0.1"
READY_S = 120.0
HEAP = "256m"
FAST_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError")
LOADED_JVM = ("-XX:+UseSerialGC", "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError")  # for benchmarks
COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "transaction.max.timeout.ms": "900000",
    "log.cleaner.dedupe.buffer.size": "4194304",  # the default takes 128 MB of the heap
    "log.segment.delete.delay.ms": "1000",
}


@dataclass(frozen=True)
class Place:
    """Where a node runs: addresses for clients and for other nodes, and what its command line begins with."""

    host: str = LOOPBACK
    inner: str = LOOPBACK
    prefix: tuple[str, ...] = ()


@dataclass
class Node:
    """One broker process."""

    id: int
    port: int
    controller_port: int
    directory: str
    mtls_port: int = 0  # of a secure node: a listener that wants a client certificate in place of a log-in
    pid: int = 0
    place: Place = Place()
    inner_port: int = 0  # of a node whose clients come another way than the other nodes

    @property
    def address(self) -> str:
        return f"{self.place.host}:{self.port}"

    def alive(self) -> bool:
        """Is its process there?"""
        return self.pid > 0 and _runs(self.pid)


@dataclass
class Cluster:
    """The nodes of one directory. Its state is a file there, so that any process can stop it."""

    directory: Path
    nodes: list[Node]
    secure: bool = False
    heap: str = HEAP
    fast: bool = True
    jvm: tuple[str, ...] = ()  # more options for its Java

    @property
    def bootstrap(self) -> str:
        """`host:port,…` for clients."""
        return ",".join(n.address for n in self.nodes)

    def password(self, user: str) -> str:
        """Of a SCRAM user of a secure cluster: admin, writer, reader or stranger."""
        return str(_load(self.directory)["passwords"][user])

    @property
    def ca_file(self) -> Path:
        """Certificate of the authority that signed the brokers' certificates."""
        return self.directory / "certs" / "ca.pem"

    def start_node(self, node: Node) -> None:
        """Start (again) one node; returns at once."""
        jvm = FAST_JVM if self.fast else LOADED_JVM
        with Path(node.directory, "server.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *node.place.prefix,
                    *_java(self.heap, [*jvm, *self.jvm]),
                    "kafka.Kafka",
                    str(Path(node.directory, "server.properties")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        node.pid = process.pid
        _PROCESSES[process.pid] = process
        self.save()

    def wait(self, timeout_s: float = READY_S) -> None:
        """Until every started node answers on its port. Raises RuntimeError with the end of its log."""
        deadline = time.monotonic() + timeout_s
        for node in self.nodes:
            while node.pid:
                with contextlib.suppress(OSError), socket.create_connection((node.place.host, node.port), 0.3):
                    break
                if not node.alive() or time.monotonic() > deadline:
                    tail = Path(node.directory, "server.log").read_text("utf-8", "replace")[-3000:]
                    raise RuntimeError(f"Kafka node {node.id} did not come up:\n{tail}")
                time.sleep(0.03)

    def kill(self, node: Node) -> None:
        """kill -9."""
        _signal(node.pid, signal.SIGKILL)
        _reap(node.pid, 10)

    def pause(self, node: Node) -> None:
        """SIGSTOP."""
        _signal(node.pid, signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        """SIGCONT."""
        _signal(node.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop all nodes; the data stays."""
        for node in self.nodes:
            _signal(node.pid, signal.SIGCONT)
            _signal(node.pid, signal.SIGTERM)
        for node in self.nodes:
            if not _reap(node.pid, 15):
                self.kill(node)
            node.pid = 0
        self.save()

    def remove(self) -> None:
        """Kill all nodes at once and take their data away."""
        for node in self.nodes:
            _signal(node.pid, signal.SIGKILL)
        for node in self.nodes:
            _reap(node.pid, 10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def save(self) -> None:
        """Write the state file, for this user only."""
        known = _load(self.directory)
        known |= {"nodes": [asdict(n) for n in self.nodes], "secure": self.secure, "heap": self.heap, "fast": self.fast}
        known["jvm"] = list(self.jvm)
        _write(self.directory / "cluster.json", json.dumps(known))


def start(
    directory: Path,
    *,
    nodes: int = 1,
    port: int | None = None,
    secure: bool = False,
    heap: str = HEAP,
    fast: bool = True,
    properties: Mapping[str, str] | None = None,
    jvm: Sequence[str] = (),
    places: Sequence[Place] = (),
) -> Cluster:
    """Format (the first time) and start a cluster in `directory`; returns when it accepts connections."""
    cluster = status(directory)
    if cluster is None:
        jars()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        ports = [port, *_free_ports(3 * nodes - 1)] if port else _free_ports(3 * nodes)
        made = [
            Node(
                i + 1,
                ports[i],
                ports[nodes + i],
                str(directory / f"node{i + 1}"),
                mtls_port=ports[2 * nodes + i] if secure else 0,
                place=places[i] if places else Place(),
                inner_port=ports[2 * nodes + i] if places else 0,
            )
            for i in range(nodes)
        ]
        cluster = Cluster(directory, made, secure, heap, fast, tuple(jvm))
        _format(cluster, properties or {})
    for node in cluster.nodes:
        if not node.alive():
            cluster.start_node(node)
    cluster.wait()
    return cluster


def status(directory: Path) -> Cluster | None:
    """The cluster of a directory, running or not; None when there is none."""
    known = _load(directory)
    if "nodes" not in known:
        return None
    nodes = [Node(**{**n, "place": _place(n.get("place", {}))}) for n in known["nodes"]]
    return Cluster(directory, nodes, known["secure"], known["heap"], known["fast"], tuple(known.get("jvm", ())))


def tool(main_class: str, *arguments: str, timeout_s: float = 60) -> str:
    """Run one of Kafka's own command-line tools and return what it printed."""
    done = subprocess.run(
        [*_java("256m", FAST_JVM), main_class, *arguments],
        capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{main_class} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def jars() -> Path:
    """The directory of the jars, fetched once."""
    if shutil.which("java") is None:
        raise ServiceMissing("Kafka needs Java 17 or newer: install Debian's package default-jre-headless")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "datong" / f"kafka-{VERSION}"
    if (cache / "complete").exists():
        return cache
    if shutil.which("mvn") is None:
        raise ServiceMissing("Kafka's jars are fetched by Maven: install Debian's package maven")
    cache.parent.mkdir(parents=True, exist_ok=True)
    staging = cache.with_name(f"{cache.name}.{os.getpid()}")
    fetched = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
         f"-DoutputDirectory={staging}", "-DincludeScope=runtime"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if fetched.returncode:
        shutil.rmtree(staging, ignore_errors=True)
        raise ServiceMissing(f"Maven could not fetch Kafka's jars:\n{fetched.stdout[-2000:]}{fetched.stderr[-500:]}")
    (staging / "complete").touch()
    try:
        staging.rename(cache)
    except OSError:  # another process was faster
        shutil.rmtree(staging, ignore_errors=True)
    return cache


def _java(heap: str, jvm: Sequence[str]) -> list[str]:
    return ["java", f"-Xmx{heap}", *jvm, f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", "-cp",
            f"{jars()}/*"]  # fmt: skip


def _format(cluster: Cluster, properties: Mapping[str, str]) -> None:
    """Write each node's properties and format its log directory."""
    replicas = str(len(cluster.nodes))
    everyone = {
        **COMMON,
        "controller.quorum.voters": ",".join(f"{n.id}@{n.place.inner}:{n.controller_port}" for n in cluster.nodes),
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": str(len(cluster.nodes) // 2 + 1 if len(cluster.nodes) > 1 else 1),
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
    }
    extra: list[str] = []
    if cluster.secure:
        everyone |= _security(cluster)
        for user, password in _load(cluster.directory)["passwords"].items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                extra += ["--add-scram", f"{mechanism}=[name={user},password={password}]"]
    listener = "SASL_SSL" if cluster.secure else "PLAINTEXT"
    identity = secrets.token_urlsafe(16)
    for node in cluster.nodes:
        folder = Path(node.directory)
        folder.mkdir(parents=True, exist_ok=True)
        own = {
            "node.id": str(node.id),
            **_listeners(node, listener),
            "log.dirs": str(folder / "data"),
        }
        text = "".join(f"{k}={v}\n" for k, v in {**everyone, **own, **properties}.items())
        _write(folder / "server.properties", text)
        tool("kafka.tools.StorageTool", "format", f"--cluster-id={identity}", "-c", str(folder / "server.properties"),
             "--ignore-formatted", *extra)  # fmt: skip


def _security(cluster: Cluster) -> dict[str, str]:
    """TLS from an authority of its own, SCRAM users with random passwords, and deny by default."""
    passwords = {user: secrets.token_urlsafe(18) for user in ("admin", "writer", "reader", "stranger")}
    _write(cluster.directory / "cluster.json", json.dumps({"passwords": passwords}))
    certs = make_certificates(cluster.directory / "certs")
    jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return {
        "inter.broker.listener.name": "SASL_SSL",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SSL,MTLS:SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f'{jaas} username="admin" password="{passwords["admin"]}";'
        ),
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{jaas};",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certs / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certs / "ca.pem"),
        "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": (  # tokens without signature: for tests only
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="admin";'
        ),
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:CN=broker",
        "allow.everyone.if.no.acl.found": "false",
    }


def _place(known: Mapping[str, Any]) -> Place:
    """Clusters that an older version started have none."""
    return Place(**{**known, "prefix": tuple(known.get("prefix", ()))})


def _listeners(node: Node, clients: str) -> dict[str, str]:
    """For clients, for controllers, and what else this node has."""
    place = node.place
    listening = {clients: f"{place.host}:{node.port}", "CONTROLLER": f"{place.inner}:{node.controller_port}"}
    if node.mtls_port:
        listening["MTLS"] = f"{place.host}:{node.mtls_port}"
    made = {}
    if node.inner_port:
        listening["INNER"] = f"{place.inner}:{node.inner_port}"
        made["inter.broker.listener.name"] = "INNER"
        made["listener.security.protocol.map"] = f"{clients}:{clients},CONTROLLER:PLAINTEXT,INNER:PLAINTEXT"
    return {**made, "listeners": ",".join(f"{name}://{where}" for name, where in listening.items())}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _load(directory: Path) -> dict[str, Any]:
    file = directory / "cluster.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}


def _write(file: Path, text: str) -> None:
    """Readable by this user only, whole or not at all: passwords may be in it."""
    draft = file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


_PROCESSES: dict[int, subprocess.Popen[bytes]] = {}  # those this process started, to be waited for


def _runs(pid: int) -> bool:
    process = _PROCESSES.get(pid)
    if process is not None:
        return process.poll() is None
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _signal(pid: int, which: int) -> None:
    if pid > 0 and _runs(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)


def _reap(pid: int, timeout_s: float) -> bool:
    """Wait until a process is gone; False when it is not."""
    return any(pid <= 0 or not _runs(pid) for _ in _ticks(timeout_s))


def _ticks(timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)

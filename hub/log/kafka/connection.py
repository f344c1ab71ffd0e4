"""One network thread to a cluster, shared by all who read from it; and a probe that says why a cluster refuses.

kafka-python hides a failed log-in or TLS handshake behind thirty seconds of "Unable to bootstrap": `probe` opens one
connection itself and reports the first error. It relies on `kafka.net`, which is private to kafka-python: see ADR 6.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import TopicPartition
from kafka import errors as kafka
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from hub.errors import ConfigurationInvalid, DatongError, LogUnavailable
from hub.log.kafka.errors import translate
from hub.log.kafka.options import KafkaOptions

RETRY_S = 0.1
Result = TypeVar("Result")
logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its texts may quote settings; ours say what happened


class Connection:
    """Requests to the nodes of a cluster. Thread-safe."""

    def __init__(self, options: KafkaOptions) -> None:
        """Raises ConfigurationInvalid or LogUnavailable, with the cause, in about `bootstrap_timeout_s`."""
        probe(options)
        self.where = options.where
        self._answer_s = options.request_timeout_s
        configuration = {**options.client(), "client_id": f"{options.client_id}-read"}
        configuration |= {"max_in_flight_requests_per_connection": 10_000, "receive_message_max_bytes": 100_000_000}
        self._net = NetworkSelector(**configuration)
        self._manager = KafkaConnectionManager(self._net, **configuration)
        self._manager.cluster.need_all_topic_metadata = True
        self._manager.cluster.config["allow_auto_create_topics"] = False
        self._net.start()
        try:
            self._manager.bootstrap(timeout_ms=int(options.bootstrap_timeout_s * 1000))
        except kafka.KafkaError as error:
            self.close()
            raise translate(error, self.where) from None

    def close(self) -> None:
        """End the thread. Idempotent."""
        with contextlib.suppress(Exception):
            self._net.run(self._close)
        self._net.close()

    async def _close(self) -> None:
        self._manager.close()

    def refresh(self) -> None:
        """Ask for the cluster's topics and leaders again. Raises LogUnavailable."""
        self.patiently(lambda: self._bounded(self._manager.cluster.refresh_metadata))

    def partitions(self, *, fresh: bool = False) -> Mapping[str, int]:
        """How many partitions each topic has."""
        if fresh:
            self.refresh()
        cluster = self._manager.cluster
        topics = cluster.topics(exclude_internal_topics=True)
        return {t: len(cluster.partitions_for_topic(t) or ()) for t in topics}

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition. Raises LeaderNotAvailableError, which is worth a retry."""
        node = self._manager.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node < 0:
            raise kafka.LeaderNotAvailableError
        return int(node)

    def send(self, request: Any, node: int) -> Any:
        """One request and its answer, in bounded time. Raises kafka-python's errors."""
        return self._bounded(self._sent, request, node)

    async def _sent(self, request: Any, node: int) -> Any:
        return await self._manager.send(request, node_id=node)

    def _bounded(self, step: Callable[..., Any], *arguments: Any) -> Any:
        async def within() -> Any:
            future = self._manager.call_soon(step, *arguments)
            return await self._manager.wait_for(future, self._answer_s * 1000)

        return self._net.run(within)

    def patiently(self, step: Callable[[], Result], *, timeout_s: float | None = None) -> Result:
        """Repeat a step over passing faults: a leader that moved, a connection that broke. Raises the hub's errors."""
        deadline = time.monotonic() + (self._answer_s if timeout_s is None else timeout_s)
        while True:
            try:
                return step()
            except kafka.RetriableError as error:
                if time.monotonic() + RETRY_S > deadline:
                    raise translate(error, self.where) from None
            except kafka.KafkaError as error:
                raise translate(error, self.where) from None
            time.sleep(RETRY_S)
            with contextlib.suppress(kafka.KafkaError):
                self._bounded(self._manager.cluster.refresh_metadata)


def probe(options: KafkaOptions) -> None:
    """Reach at least one bootstrap server: address, TLS, log-in. Raises with the cause of the last refusal."""
    deadline = time.monotonic() + options.bootstrap_timeout_s
    refusal: DatongError | None = None
    for address in options.bootstrap:
        try:
            _reach(address, max(deadline - time.monotonic(), 0.5))
            _log_in(options, address, max(deadline - time.monotonic(), 0.5))
        except DatongError as error:
            refusal = error
        else:
            return
    raise refusal or ConfigurationInvalid("no bootstrap server is named", remedy="kafka://host:port,host:port")


def _reach(address: str, timeout_s: float) -> None:
    """Does anybody listen there?"""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
    except socket.gaierror:
        raise LogUnavailable("the host name is not known", where=f"kafka://{address}", remedy="check log.url") from None
    except OSError as error:
        raise LogUnavailable(
            f"nobody answers there ({type(error).__name__})",
            where=f"kafka://{address}",
            remedy="see that the broker runs and listens on this address",
        ) from None


def _log_in(options: KafkaOptions, address: str, timeout_s: float) -> None:
    """TLS, SASL and one request, on a connection of its own."""
    where = f"kafka://{address}"
    if "SSL" in options.security_protocol:
        _shake_hands(options, address, timeout_s)
    configuration = {**options.client(), "bootstrap_servers": [address], "request_timeout_ms": int(timeout_s * 1000)}
    net = NetworkSelector(**configuration)
    manager = KafkaConnectionManager(net, **configuration)
    tried: list[Any] = []

    async def connect() -> None:
        (broker,) = manager.cluster.bootstrap_brokers()
        tried.append(manager.get_connection(broker.node_id, timeout_ms=int(timeout_s * 1000)))
        await manager.wait_for(tried[0].init_future, timeout_s * 1000)

    try:
        net.run(connect)
    except kafka.SaslAuthenticationFailedError as error:
        raise translate(error, where) from None
    except (kafka.KafkaTimeoutError, kafka.KafkaConnectionError) as error:
        if options.sasl_mechanism and tried and tried[0].broker_version_data is not None:
            # it named its versions and hung up at the log-in: brokers often close before the refusal is read
            raise translate(kafka.SaslAuthenticationFailedError(), where) from error
        raise ConfigurationInvalid(
            "something listens there, but does not speak this protocol",
            where=where,
            remedy=f"kafka.security_protocol is {options.security_protocol}: is that what this listener expects, "
            "and is it a broker's listener, not a controller's?",
        ) from None
    except kafka.KafkaError as error:
        raise translate(error, where) from None
    finally:
        manager.close()
        net.close()


def _shake_hands(options: KafkaOptions, address: str, timeout_s: float) -> None:
    """The TLS handshake alone, for its own error."""
    host, _, port = address.rpartition(":")
    where = f"kafka://{address}"
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file, options.key_password)
    except (OSError, ssl.SSLError):
        raise ConfigurationInvalid(
            "a certificate file cannot be read", where=where, remedy="check kafka.ca_file, cert_file and key_file"
        ) from None
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as shaken,
        ):
            shaken.settimeout(0.05)  # TLS 1.3: a refused client certificate is told after the handshake
            with contextlib.suppress(TimeoutError):
                shaken.recv(1)
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationInvalid(
            f"the broker's certificate is not trusted ({error.verify_message})",
            where=where,
            remedy="name the authority that signed it in kafka.ca_file, and the host as in the certificate",
        ) from None
    except ssl.SSLError as error:
        raise ConfigurationInvalid(
            f"the TLS handshake failed ({error.reason or 'no reason given'})",
            where=where,
            remedy="is it a TLS listener, and does it want a client certificate (kafka.cert_file, kafka.key_file)?",
        ) from None
    except OSError as error:
        raise LogUnavailable(
            f"the connection ended during the TLS handshake ({type(error).__name__})",
            where=where,
            remedy="is it a TLS listener? kafka.security_protocol may have to be PLAINTEXT or SASL_PLAINTEXT",
        ) from None

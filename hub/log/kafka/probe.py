"""Why does a cluster refuse? One connection of our own, and its first error.

kafka-python hides a failed log-in or TLS handshake behind thirty seconds of "Unable to bootstrap".
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Any

from kafka import errors as kafka

from hub.errors import ConfigurationInvalid, DatongError, LogUnavailable
from hub.log.kafka.errors import TokenUnavailable, is_kerberos, translate
from hub.log.kafka.options import KafkaOptions

AGAIN_S = 0.5


def probe(options: KafkaOptions, *, log_in: bool = True) -> None:
    """Reach at least one bootstrap server: address, TLS, log-in. Raises with the cause of the last refusal."""
    deadline = time.monotonic() + options.bootstrap_timeout_s
    refusal: DatongError | None = None
    for address in options.bootstrap:
        try:
            _reach(address, max(deadline - time.monotonic(), 0.5))
            if "SSL" in options.security_protocol:
                _shake_hands(options, address, max(deadline - time.monotonic(), 0.5))
            if log_in:
                _log_in_twice(options, address, deadline)
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


class _HungUp(Exception):
    """The broker closed the connection, or sent what is no frame, in place of an answer. `known`: after it had named its
    versions."""

    def __init__(self, known: bool) -> None:
        super().__init__()
        self.known = known


def _log_in_twice(options: KafkaOptions, address: str, deadline: float) -> None:
    """One that hangs up may just be dying; one that does it again means it. Silence is never a wrong setting."""
    try:
        _log_in(options, address, max(deadline - time.monotonic(), 0.5))
    except _HungUp:
        time.sleep(AGAIN_S)
    else:
        return
    _reach(address, max(deadline - time.monotonic(), 0.5))
    try:
        _log_in(options, address, max(deadline - time.monotonic(), 0.5))
    except _HungUp as again:
        where = f"kafka://{address}"
        if options.sasl_mechanism and again.known:  # brokers often hang up before the refusal is read
            raise translate(kafka.SaslAuthenticationFailedError(), where) from None
        raise ConfigurationInvalid(
            "something listens there, but does not speak this protocol",
            where=where,
            remedy=f"kafka.security_protocol is {options.security_protocol}: is that what this listener expects, "
            "and is it a broker's listener, not a controller's?",
        ) from None


def _log_in(options: KafkaOptions, address: str, timeout_s: float) -> None:
    """SASL and one request, on a connection of its own. Relies on `kafka.net`, which is private (ADR 6)."""
    from kafka.net.manager import KafkaConnectionManager
    from kafka.net.selector import NetworkSelector

    where = f"kafka://{address}"
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
    except TokenUnavailable as error:
        raise translate(error, where) from None
    except kafka.KafkaTimeoutError:
        raise LogUnavailable(
            f"something listens there, but did not answer in {timeout_s:.0f} s",
            where=where,
            remedy="see that the broker is well and not stopped; if this is no Kafka listener, mend log.url",
        ) from None
    except (kafka.KafkaConnectionError, kafka.InvalidReceiveError):  # the latter: a TLS alert, read as a frame's length
        raise _HungUp(bool(tried) and tried[0].broker_version_data is not None) from None
    except Exception as error:
        if isinstance(error, kafka.KafkaError) or is_kerberos(error):
            raise translate(error, where) from None
        raise
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

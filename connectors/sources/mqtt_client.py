"""One connection to an MQTT broker (paho-mqtt): judged addresses, TLS, a session that stays, waits that grow and differ."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.context import SourceContext
from connectors.sources.push_specs import MqttSpec
from hub.errors import AnswerRefused, ConfigurationInvalid, DatongError, SourceUnavailable

STABLE_S = 30.0  # a connection that stood so long was a good one
FIRST_S = 1.0
MOST_DOUBLINGS = 10
HOPELESS = {  # reason codes (MQTT 5 section 2.4) after which trying again would not help
    0x84: "does not speak this version of the protocol",
    0x85: "refuses the client id",
    0x86: "refuses user or password",
    0x87: "refuses this user",
    0x8A: "has banned this client",
}
REMEDY = "check user, password, client id and version, and the broker's access list; then resume"


class BrokerClient(Client):
    """Connects from a thread of its own until `end`, again and again. Callbacks run in that thread.

    paho's two steps of making a socket are its own methods. They are replaced here, so that a name is resolved once and every
    address it gives is judged (R17), and a certificate that is not trusted ends the task instead of being tried again."""

    def __init__(
        self,
        spec: MqttSpec,
        context: SourceContext,
        trouble: Callable[[DatongError], None],
        *,
        client_id: str,
        session: bool,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        """`trouble` hears what trying again would not mend. Without `session`, the broker keeps nothing. After `broken`, and
        until `on_connect`, nobody may send: paho looks through what is to be sent then."""
        self._spec, self._outbound, self._trouble, self._session = spec, context.outbound, trouble, session
        self._broken = broken
        self._tries, self._since = 0, 0.0
        five = spec.version == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else not session,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self.connect_timeout = spec.connect_timeout_s
        if spec.user:
            self.username_pw_set(spec.user, context.secret(spec.password) or None)
        self._trusted = _trusted(spec, context) if spec.tls else None
        if self._trusted is not None:
            self.tls_set_context(self._trusted)

    @property
    def where(self) -> str:
        """The broker, for messages."""
        return f"{self._spec.host}:{self._spec.port}"

    def begin(self) -> None:
        """Connect, in a thread of its own."""
        self.set_wait()
        properties, clean = None, False
        if self._spec.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho gives it no types
            properties.ReceiveMaximum = self._spec.window
            properties.SessionExpiryInterval = self._spec.session_s if self._session else 0
            clean = not self._session
        options: dict[str, Any] = {"clean_start": clean, "properties": properties} if properties else {}
        self.connect_async(self._spec.host, self._spec.port, self._spec.keepalive_s, **options)
        self.loop_start()

    def end(self) -> None:
        """Leave; the session stays at the broker."""
        self.disconnect()
        with suppress(AttributeError):  # paho forgets its thread when that ends, which it may do here and now
            self.loop_stop()

    def reconnect(self) -> MQTTErrorCode:
        """See paho: called before each attempt."""
        self._broken()
        return super().reconnect()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """See paho: the client's thread. One that dies is told, since nothing would come any more."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # whatever it is of paho's: the run ends with it and is tried again
            self._trouble(SourceUnavailable(f"the connection ended by {type(error).__name__}", where=self.where))
            return MQTTErrorCode.MQTT_ERR_UNKNOWN

    def refused(self, reason: ReasonCode) -> bool:
        """Did the broker refuse the connection? What would not be mended by trying again is told."""
        if not reason.is_failure:
            self._since = time.monotonic()
            return False
        if reason.value in HOPELESS:
            self._trouble(AnswerRefused(f"the broker {HOPELESS[reason.value]}", where=self.where, remedy=REMEDY))
        return True

    def set_wait(self) -> None:
        """Before the next attempt: longer after each that failed or did not last, and never the same for many clients."""
        lasted = self._since and time.monotonic() - self._since >= STABLE_S
        self._tries, self._since = (0 if lasted else min(self._tries, MOST_DOUBLINGS)) + 1, 0.0
        longest = min(FIRST_S * 2 ** (self._tries - 1), self._spec.reconnect_most_s)
        wait = longest * random.SystemRandom().uniform(0.5, 1.0)  # jitter against herds, not a secret
        self.reconnect_delay_set(wait, wait)

    def _create_socket_connection(self) -> socket.socket:
        try:
            return self._outbound.connect(
                self._spec.host, self._spec.port, timeout_s=self._spec.connect_timeout_s, encrypted=self._spec.tls
            )
        except DatongError as error:
            self._trouble(AnswerRefused(error.message, where=error.where, remedy=error.remedy))
            raise OSError("refused") from error

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        assert self._trusted is not None
        tcp_sock.settimeout(self._spec.connect_timeout_s)
        try:
            return self._trusted.wrap_socket(tcp_sock, server_hostname=self._spec.host)  # closed when it fails
        except ssl.SSLCertVerificationError as error:
            self._trouble(
                AnswerRefused(
                    f"the broker's certificate is not trusted ({error.verify_message})",
                    where=self.where,
                    remedy="the broker's operator renews it, or `ca_file` names its authority",
                )
            )
            raise


def _trusted(spec: MqttSpec, context: SourceContext) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=context.certificate(spec.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationInvalid(
            "the certificate file cannot be read", where="source.ca_file", remedy="a PEM file below the files root"
        ) from error

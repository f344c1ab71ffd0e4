"""A real MQTT broker, Debian's mosquitto, on loopback, and somebody who publishes to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from deploy.services.tls import make_certificates
from tests.support.ports import free_port
from tests.support.requirements import unavailable
from tests.support.waiting import answers

PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
USER, PASSWORD = "hub", "canary-mqtt-password-8842"
CONFIGURATION = """\
user root
persistence true
persistence_location {root}/
autosave_interval 3600
max_queued_messages 0
max_inflight_messages {inflight}
log_dest stderr
log_type error
log_type warning
"""
PLAIN = "listener {port} 127.0.0.1\nallow_anonymous true\n"
SECURE = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {root}/passwords
acl_file {root}/access
cafile {root}/tls/ca.pem
certfile {root}/tls/broker.crt
keyfile {root}/tls/broker.key
"""


def need() -> str:
    """The program; skips without it, or fails where TEST_REQUIRE names it."""
    found = shutil.which("mosquitto") or next((p for p in PLACES if Path(p).exists()), "")
    if not found:
        unavailable("mosquitto", "mosquitto is not installed (Debian package mosquitto)")
    return found


class Mosquitto:
    """Started by `start`; sessions and retained messages survive `stop`."""

    def __init__(self, root: Path, *, secure: bool = False, inflight: int = 20) -> None:
        """`inflight`: messages that wait for an acknowledgement at once, where the client does not say."""
        self._program = need()
        self.root, self.port, self.inflight, self._secure = root, free_port(), inflight, secure
        root.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        if secure:
            make_certificates(root / "tls", ("broker",))
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(root / "passwords"), USER, PASSWORD], check=True)
            (root / "access").write_text(f"user {USER}\ntopic readwrite open/#\n")
            for file in (root / "passwords", root / "access"):
                file.chmod(0o600)

    @property
    def address(self) -> str:
        """For the allow-list."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it answers."""
        text = CONFIGURATION + (SECURE if self._secure else PLAIN)
        config = self.root / "mosquitto.conf"
        config.write_text(text.format(root=self.root, port=self.port, inflight=self.inflight))
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(config)], stdout=log, stderr=log)
        assert answers(self._process, self.port), (self.root / "log").read_text()

    def stop(self) -> None:
        """It writes down what it keeps."""
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    @contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """A device."""
        client = Client(CallbackAPIVersion.VERSION2, client_id="")
        if self._secure:
            client.username_pw_set(USER, PASSWORD)
            client.tls_set(str(self.root / "tls/ca.pem"))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            yield Publisher(client)
        finally:
            client.disconnect()
            client.loop_stop()


class Publisher:
    """Publishes, and returns when the broker has it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def publish(self, topic: str, payloads: Iterable[str | bytes], *, qos: int = 1, retain: bool = False) -> None:
        """All of them, in order."""
        made = [self._client.publish(topic, payload, qos=qos, retain=retain) for payload in payloads]
        for one in made:
            one.wait_for_publish(30)
            assert one.is_published()

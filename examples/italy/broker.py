"""The MQTT broker of the demo's sensors: a mosquitto on a loopback port, and the gateway that leaves readings there.

`data/sensors/messages.tsv` has a topic and a payload on each line. They are published retained and with QoS 1, so that the
broker has them for whoever subscribes, whenever that is.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from hub.errors import SourceUnavailable

HOST = "127.0.0.1"
NAME = "it-lom-sensors"
CONNECTOR = Path(f"connectors.d/{NAME}.yaml")
SETTINGS = Path("datong.yaml")  # its outbound.allow names the address too
MESSAGES = Path("data/sensors/messages.tsv")
OWN = Path("var-mosquitto")  # the broker's files, beside the hub's
PORT = re.compile(r"^  port: (\d{1,5})$", re.MULTILINE)
PLACES = ("/usr/sbin", "/usr/local/sbin")  # of servers, which a user's PATH may lack
CONFIGURATION = """\
listener {port} {host}
allow_anonymous true
persistence false
log_dest none
"""
QOS = 1
WAIT_S = 10.0


def program() -> str | None:
    """Where mosquitto is installed."""
    return shutil.which("mosquitto") or next(filter(None, (shutil.which("mosquitto", path=p) for p in PLACES)), None)


@contextmanager
def running(project: Path) -> Iterator[int | None]:
    """A broker that has the readings, and its port; None where mosquitto is not installed or the project has no connector.

    When the port that the connector names is taken, a free one is used, and the project's files name that one from now on."""
    found, named = program(), PORT.search(_text(project / CONNECTOR))
    if found is None or named is None:
        yield None
        return
    port = _free(int(named[1]))
    if port != int(named[1]):
        _name(project, int(named[1]), port)
    own = project / OWN
    own.mkdir(exist_ok=True)
    configuration = own / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(host=HOST, port=port), encoding="utf-8")
    with (own / "mosquitto.out").open("wb") as out:
        process = subprocess.Popen([found, "-c", str(configuration)], stdout=out, stderr=out)  # noqa: S603
    try:
        _await(process, port, own / "mosquitto.out")
        _publish(project, port)
        yield port
    finally:
        process.terminate()
        process.wait(WAIT_S)


def _publish(project: Path, port: int) -> None:
    """All readings, until the broker has them."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="")
    client.connect(HOST, port)
    client.loop_start()
    try:
        lines = _text(project / MESSAGES).splitlines()
        messages = [line.split("\t", 1) for line in lines]
        sent = [client.publish(topic, payload, qos=QOS, retain=True) for topic, payload in messages]
        for one in sent:
            one.wait_for_publish(WAIT_S)
        if not all(one.is_published() for one in sent):
            raise _failed(f"mosquitto did not take the readings within {WAIT_S:.0f} s", port)
    finally:
        client.disconnect()
        client.loop_stop()


def _await(process: subprocess.Popen[bytes], port: int, out: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.02)
    raise _failed(f"mosquitto does not answer: {_text(out)[-500:]}", port)


def _failed(what: str, port: int) -> SourceUnavailable:
    return SourceUnavailable(what, where=f"mqtt://{HOST}:{port}", remedy="start mosquitto by hand to see why")


def _free(port: int) -> int:
    """This port, or another one when it is taken."""
    for wanted in (port, 0):
        with suppress(OSError, OverflowError), socket.create_server((HOST, wanted)) as server:
            return int(server.getsockname()[1])
    raise _failed("no port is free", port)


def _name(project: Path, old: int, new: int) -> None:
    for path, text in ((CONNECTOR, "  port: {}\n"), (SETTINGS, HOST + ':{}"')):
        whole = _text(project / path).replace(text.format(old), text.format(new))
        (project / path).write_text(whole, encoding="utf-8")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""

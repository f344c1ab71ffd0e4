"""A TCP proxy in front of a broker that can hold single kinds of request, stall, or cut everything (F6, F7)."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

END_TXN = 26
PATIENCE_S = 120.0  # no part of what is tested


@dataclass
class Held:
    """A request that waits in the proxy."""

    go: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on loopback and forwards to `target`. Requests are Kafka frames: 4 bytes of length, 2 of api key."""

    def __init__(self, target_port: int = 0) -> None:
        self._target = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._lock = threading.Lock()
        self._holding: set[int] = set()  # api keys
        self._held: list[Held] = []
        self._cut = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._taken: set[int] = set()  # api keys of which the next request is kept back
        self._kept: list[tuple[socket.socket, bytes]] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def aim(self, target_port: int) -> None:
        """Forward to this port from now on."""
        self._target = target_port

    def hold(self, api_key: int) -> None:
        """Requests of this kind wait here from now on, and with each all behind it on its connection."""
        with self._lock:
            self._holding.add(api_key)

    def let_pass(self, api_key: int) -> None:
        """New ones go through again; those that wait go on waiting."""
        with self._lock:
            self._holding.discard(api_key)

    def release(self) -> int:
        """Send on what waits, however late, and wait until the broker has answered it all. How many there were."""
        with self._lock:
            held, self._held = self._held, []
        for one in held:
            one.go.set()
        assert all(one.answered.wait(PATIENCE_S) for one in held), "the broker does not answer"
        return len(held)

    def take(self, api_key: int) -> None:
        """Keep the next request of this kind back, and break its connection: the client asks again on another."""
        with self._lock:
            self._taken.add(api_key)

    def taken(self, timeout_s: float = PATIENCE_S) -> bool:
        """Wait until a request is kept back."""
        deadline = time.monotonic() + timeout_s
        while not self._kept and time.monotonic() < deadline:
            time.sleep(0.005)
        return bool(self._kept)

    def deliver(self) -> int:
        """Send the request that was kept back, late, and return the broker's error code."""
        broker, frame = self._kept.pop(0)
        with broker:
            broker.settimeout(PATIENCE_S)
            broker.sendall(frame)
            version, wanted = struct.unpack_from(">hi", frame, 6)
            while True:
                (size,) = struct.unpack(">i", _exactly(broker, 4))
                answer = _exactly(broker, size)  # correlation id, tags from version 3 on, throttle time, error code
                if struct.unpack_from(">i", answer)[0] == wanted:
                    return int(struct.unpack_from(">h", answer, 9 if version >= 3 else 8)[0])

    def cut(self) -> None:
        """Drop all connections and swallow new ones without an answer, like a lost cable."""
        self._cut.set()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def calm(self) -> None:
        """Nothing is held, kept back or cut any more."""
        with self._lock:
            self._holding.clear()
            self._taken.clear()
        while self._kept:
            self._kept.pop()[0].close()
        self.mend()
        self.release()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut.clear()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._server.close()
        for one in self._held:
            one.go.set()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        while self._cut.is_set() and not self._closed:
            time.sleep(0.05)
        try:
            broker = socket.create_connection(("127.0.0.1", self._target), PATIENCE_S)
        except OSError:
            client.close()
            return
        with self._lock:
            self._sockets |= {client, broker}
        ended, late = threading.Event(), list[Held]()
        back = threading.Thread(target=self._answers, args=(broker, client, ended, late), daemon=True)
        back.start()
        kept = None
        with contextlib.suppress(OSError):
            kept = self._requests(client, broker, late)
        for one in (client,) if kept else (client, broker):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        ended.set()
        back.join(PATIENCE_S)
        if kept:  # the answer to it is for `deliver`, not for the client that is gone
            self._kept.append((broker, kept))
        with self._lock:
            self._sockets -= {client, broker}
        client.close()
        if not kept:
            broker.close()

    def _requests(self, client: socket.socket, broker: socket.socket, late: list[Held]) -> bytes | None:
        """Until the client ends, or a request is kept back: that one. Notes in `late` what had to wait."""
        while True:
            head = _exactly(client, 6)
            size, api_key = struct.unpack(">ih", head)
            body = _exactly(client, size - 2)
            with self._lock:
                if api_key in self._taken:
                    self._taken.discard(api_key)
                    return head + body
                held = Held() if api_key in self._holding else None
                if held:
                    self._held.append(held)
            if held:
                held.go.wait()
                late.append(held)  # nothing else is under way: what comes now is the answer to it
            broker.sendall(head + body)
            if held:
                held.answered.wait(PATIENCE_S)  # its client may be gone, which would end the connection before

    def _answers(self, broker: socket.socket, client: socket.socket, ended: threading.Event, late: list[Held]) -> None:
        with contextlib.suppress(OSError):
            while not ended.is_set():
                if select.select([broker], [], [], 0.05)[0]:
                    data = broker.recv(1 << 16)
                    if not data:
                        break
                    while late:
                        late.pop().answered.set()
                    client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def _exactly(source: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        data = source.recv(count - len(parts))
        if not data:
            raise OSError("closed")
        parts += data
    return bytes(parts)

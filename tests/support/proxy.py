"""A TCP proxy in front of a broker that can hold single kinds of request, stall, or cut everything (F6, F7)."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

END_TXN = 26


class Proxy:
    """Listens on loopback and forwards to `target`. Requests are Kafka frames: 4 bytes of length, 2 of api key."""

    def __init__(self, target_port: int = 0) -> None:
        self._target = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._lock = threading.Lock()
        self._held: dict[int, float] = {}  # api key -> seconds
        self._cut = threading.Event()
        self._sockets: set[socket.socket] = set()
        self.held = 0  # requests that were held
        self._taken: set[int] = set()  # api keys of which the next request is kept back
        self._kept: list[tuple[socket.socket, bytes]] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def aim(self, target_port: int) -> None:
        """Forward to this port from now on."""
        self._target = target_port

    def hold(self, api_key: int, seconds: float) -> None:
        """Delay requests of this kind; all behind them on their connection wait too. 0 ends it for new ones."""
        with self._lock:
            self._held[api_key] = seconds

    def take(self, api_key: int) -> None:
        """Keep the next request of this kind back, and break its connection: the client asks again on another."""
        with self._lock:
            self._taken.add(api_key)

    def taken(self, timeout_s: float = 30.0) -> bool:
        """Wait until a request is kept back."""
        deadline = time.monotonic() + timeout_s
        while not self._kept and time.monotonic() < deadline:
            time.sleep(0.005)
        return bool(self._kept)

    def deliver(self) -> int:
        """Send the request that was kept back, late, and return the broker's error code."""
        broker, frame = self._kept.pop(0)
        with broker:
            broker.settimeout(10)
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

    def mend(self) -> None:
        """Let connections through again."""
        self._cut.clear()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._server.close()
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
            broker = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        with self._lock:
            self._sockets |= {client, broker}
        ended = threading.Event()
        back = threading.Thread(target=self._answers, args=(broker, client, ended), daemon=True)
        back.start()
        kept = None
        with contextlib.suppress(OSError):
            kept = self._requests(client, broker)
        for one in (client,) if kept else (client, broker):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        ended.set()
        back.join(5)
        if kept:  # the answer to it is for `deliver`, not for the client that is gone
            self._kept.append((broker, kept))
        with self._lock:
            self._sockets -= {client, broker}
        client.close()
        if not kept:
            broker.close()

    def _requests(self, client: socket.socket, broker: socket.socket) -> bytes | None:
        """Until the client ends, or a request is kept back: that one."""
        while True:
            head = _exactly(client, 6)
            size, api_key = struct.unpack(">ih", head)
            body = _exactly(client, size - 2)
            with self._lock:
                seconds = self._held.get(api_key, 0.0)
                if api_key in self._taken:
                    self._taken.discard(api_key)
                    return head + body
            if seconds:
                self.held += 1
                time.sleep(seconds)
            broker.sendall(head + body)

    def _answers(self, broker: socket.socket, client: socket.socket, ended: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while not ended.is_set():
                if select.select([broker], [], [], 0.05)[0]:
                    data = broker.recv(1 << 16)
                    if not data:
                        break
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

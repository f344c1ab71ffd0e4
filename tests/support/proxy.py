"""A TCP proxy in front of a broker that can hold single kinds of request, stall, or cut everything (F6, F7)."""

from __future__ import annotations

import contextlib
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
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def aim(self, target_port: int) -> None:
        """Forward to this port from now on."""
        self._target = target_port

    def hold(self, api_key: int, seconds: float) -> None:
        """Delay requests of this kind; all behind them on their connection wait too. 0 ends it for new ones."""
        with self._lock:
            self._held[api_key] = seconds

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
        back = threading.Thread(target=self._answers, args=(broker, client), daemon=True)
        back.start()
        try:
            self._requests(client, broker)
        except OSError:
            pass
        finally:
            for one in (client, broker):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            back.join(5)
            with self._lock:
                self._sockets -= {client, broker}
            client.close()
            broker.close()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        while True:
            head = _exactly(client, 6)
            size, api_key = struct.unpack(">ih", head)
            body = _exactly(client, size - 2)
            with self._lock:
                seconds = self._held.get(api_key, 0.0)
            if seconds:
                self.held += 1
                time.sleep(seconds)
            broker.sendall(head + body)

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := broker.recv(1 << 16):
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

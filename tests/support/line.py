"""A TCP connection between two parties that can be reset or cut, whatever they speak (F6, F9)."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress


class Line:
    """Listens on loopback and carries to a port."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._ends: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def reset(self) -> None:
        """Both sides get RST."""
        for end in self._ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()
        self._ends.clear()

    def cut(self) -> None:
        """The same, and whoever connects is reset at once."""
        self._whole.clear()
        self.reset()

    def mend(self) -> None:
        """Carry again."""
        self._whole.set()

    def close(self) -> None:
        """End it."""
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                if not self._whole.is_set():
                    self.reset()
                    continue
                far = socket.create_connection(("127.0.0.1", self._server))
                self._ends.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

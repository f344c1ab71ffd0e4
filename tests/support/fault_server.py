"""An HTTP server on loopback whose answers are written byte by byte, so that they can be as wrong as the field's (F13)."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = bytes | Iterable[bytes | float]  # a number is a pause in seconds


@dataclass
class Request:
    """What was asked."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    number: int = 0  # of this path, 1 = first


class FaultServer:
    """`answer` decides; connections are closed after each answer."""

    def __init__(
        self, answer: Callable[[Request], Answer], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self._answer, self._tls, self.host = answer, tls, host
        self._server = socket.create_server((host, 0))
        self.port = int(self._server.getsockname()[1])
        self.requests: list[Request] = []
        self.connections = 0
        self._count: dict[str, int] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Without a path."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """As an allow-list has it."""
        return f"{self.host}:{self.port}"

    def close(self) -> None:
        """End it."""
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._server.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, ssl.SSLError), line:
            line.settimeout(30)
            talk = self._tls.wrap_socket(line, server_side=True) if self._tls else line
            with talk:
                request = _read(talk)
                with self._lock:
                    request.number = self._count[request.path] = self._count.get(request.path, 0) + 1
                    self.requests.append(request)
                made = self._answer(request)
                for part in [made] if isinstance(made, bytes) else made:
                    if isinstance(part, int | float):
                        time.sleep(part)
                    else:
                        talk.sendall(part)


def _read(line: Any) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        more = line.recv(65_536)
        if not more:
            raise ValueError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {n.strip().lower(): v.strip() for n, _, v in (h.partition(":") for h in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        body += line.recv(65_536)
    target = urlsplit(first.split(" ")[1])
    return Request(path=target.path, query=dict(parse_qsl(target.query)), headers=headers, body=body)


def answer(
    body: Any, status: int = 200, *, kind: str = "application/json", packed: bool = False, length: int | None = None,
    **headers: str,
) -> bytes:  # fmt: skip
    """A whole answer. `length` lies about the body's."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if packed:
        content, headers = gzip.compress(content), {**headers, "Content-Encoding": "gzip"}
    made = {"Content-Type": kind, "Content-Length": str(len(content) if length is None else length)}
    made |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{n}: {v}\r\n" for n, v in made.items())
    return f"HTTP/1.1 {status} Some Reason\r\n{lines}Connection: close\r\n\r\n".encode() + content


@dataclass
class Pages:
    """Rows of a table, by page, offset or cursor; the table may change between two requests."""

    rows: list[Any] = field(default_factory=list)
    size: int = 10

    def page(self, number: int) -> list[Any]:
        """1 = first."""
        return self.rows[(number - 1) * self.size : number * self.size]

    def at(self, offset: int) -> list[Any]:
        """From a row on."""
        return self.rows[offset : offset + self.size]

"""A mail server on loopback that keeps what it is sent (RFC 5321, as far as a client of ours speaks it)."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


@dataclass
class Received:
    """One mail, and how it came."""

    mail: EmailMessage
    recipients: list[str]
    user: str
    secret: bool  # over TLS


@dataclass
class MailServer:
    """`at_once`: TLS from the first byte; else STARTTLS is offered, unless `offers` is false."""

    context: ssl.SSLContext
    at_once: bool = False
    offers: bool = True
    login: str = "hub:pass word"
    refuses: set[str] = field(default_factory=set)  # commands that are answered with 550
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._server.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as closed:  # a client that does not trust us leaves
            closed.callback(connection.close)
            line = connection
            if self.at_once:
                line = closed.enter_context(self.context.wrap_socket(connection, server_side=True))
            self._session(line, closed)

    def _session(self, line: socket.socket, closed: contextlib.ExitStack) -> None:
        user, recipients = "", []
        file = closed.enter_context(line.makefile("rb"))
        line.sendall(b"220 here\r\n")
        while text := file.readline():
            verb = text.split()[0].upper().decode()
            if verb in self.refuses:
                line.sendall(b"550 no\r\n")
            elif verb == "EHLO":
                secret = isinstance(line, ssl.SSLSocket)
                more = b"250-AUTH PLAIN\r\n" if secret else b"250-STARTTLS\r\n" if self.offers else b""
                line.sendall(b"250-here\r\n" + more + b"250 8BITMIME\r\n")
            elif verb == "STARTTLS":
                line.sendall(b"220 go\r\n")
                line = closed.enter_context(self.context.wrap_socket(line, server_side=True))
                file = closed.enter_context(line.makefile("rb"))
            elif verb == "AUTH":
                _, user, password = base64.b64decode(text.split()[2]).decode().split("\0")
                line.sendall(b"235 ok\r\n" if f"{user}:{password}" == self.login else b"535 no\r\n")
            elif verb == "DATA":
                line.sendall(b"354 go\r\n")
                lines = iter(file.readline, b".\r\n")
                content = b"".join(one.removeprefix(b".") for one in lines)
                mail = cast(EmailMessage, message_from_bytes(content, policy=policy.default))
                self.received.append(Received(mail, recipients, user, isinstance(line, ssl.SSLSocket)))
                line.sendall(b"250 kept\r\n")
            else:
                if verb == "RCPT":
                    recipients.append(text.decode().partition("<")[2].partition(">")[0])
                line.sendall(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")

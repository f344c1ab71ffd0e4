"""How notices of alerts leave: a signed POST, or a mail over TLS. Both connect where sources may, and nowhere else (R17)."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import time
import uuid
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import httpx

from connectors.outbound import Outbound
from connectors.signing import key_of, signed
from hub.errors import ConfigurationInvalid, SinkRefused, SinkUnavailable
from hub.model import Message

TIMEOUT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Hook:
    """An address that is sent JSON."""

    outbound: Outbound
    url: str
    secret: str  # its value
    reference: str  # as the file names it
    ca_file: str | None = None

    def send(self, message: Message) -> None:
        """One POST of the body. Raises SinkUnavailable, SinkRefused, ConfigurationInvalid, TargetRefused."""
        key = key_of(self.secret, self.reference, "channel.secret")
        content = json.dumps(message.body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = signed(key, f"msg_{uuid.uuid4().hex}", int(time.time()), content)
        headers |= {"Content-Type": "application/json", "User-Agent": "datong"}
        try:
            client = self.outbound.client(timeout_s=TIMEOUT_S, ca_file=self.ca_file)
        except OSError as error:
            raise _unreadable() from error
        try:
            with client, client.stream("POST", self.url, content=content, headers=headers) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SinkUnavailable(
                f"the receiver of alerts did not answer as it should ({type(error).__name__})"
            ) from None
        if not 200 <= status < 300:
            raise SinkUnavailable(f"the receiver of alerts answers {status}")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail server."""

    outbound: Outbound
    host: str
    port: int
    starttls: bool  # else TLS from the first byte
    username: str
    password: str  # its value
    sender: str
    to: tuple[str, ...]
    ca_file: str | None = None

    def send(self, message: Message) -> None:
        """One mail of subject and text. Raises SinkUnavailable, SinkRefused, ConfigurationInvalid, TargetRefused."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise _unreadable() from error
        try:
            with _Server(self, context) as server:
                if self.starttls:
                    server.starttls(context=context)
                if self.username:
                    self._log_in(server)
                server.send_message(self._mail(message))
        except smtplib.SMTPAuthenticationError:
            raise SinkRefused(
                "the mail server refuses user or password", where=self._where, remedy="see `channel.password`"
            ) from None
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError):
            raise SinkRefused(
                "the mail server refuses this sender or its recipients", where=self._where, remedy="ask its operator"
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise SinkRefused(
                "the mail server offers no STARTTLS, or no log-in", where=self._where, remedy="`security: tls`"
            ) from None
        except ssl.SSLError:
            raise SinkUnavailable(
                "the certificate of the mail server does not hold", where=self._where, remedy="see `channel.ca_file`"
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            raise SinkUnavailable(
                f"the mail server did not answer as it should ({type(error).__name__})", where=self._where
            ) from None

    def _log_in(self, server: smtplib.SMTP) -> None:
        try:
            server.login(self.username, self.password)
        except UnicodeError:
            raise SinkRefused(
                "user and password of a mail server are ASCII", where=self._where, remedy="see `channel.password`"
            ) from None

    @property
    def _where(self) -> str:
        return f"{self.host}:{self.port}"

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())  # a line break would be another header
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=self.sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes, please
        mail.set_content(message.text)
        return mail


class _Server(smtplib.SMTP):
    """Connects to judged addresses only, by TLS at once where that is wanted."""

    def __init__(self, to: Mail, context: ssl.SSLContext) -> None:
        self._to, self._context = to, context
        super().__init__(to.host, to.port, local_hostname="localhost", timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """As smtplib.SMTP_SSL does it."""
        plain = self._to.outbound.connect(host, port, timeout_s=timeout, encrypted=True)
        if self._to.starttls:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def _unreadable() -> ConfigurationInvalid:
    return ConfigurationInvalid("the certificate file cannot be read", where="channel.ca_file")

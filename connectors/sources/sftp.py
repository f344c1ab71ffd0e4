"""A directory of an SFTP server as a place of files (paramiko). The host key is pinned; nothing there is ever changed."""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import io
import socket
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar, cast

import paramiko

from connectors.below import MARK
from connectors.context import SourceContext
from connectors.outbound import TargetRefused
from connectors.sources.opening import MAX_FILES, is_passed_over, parts_of
from connectors.sources.places import Opened
from connectors.sources.specs import SftpSpec
from hub.errors import ConfigurationInvalid, FileRefused, SourceUnavailable

READ_AHEAD = 512 * 1024  # bytes
KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
GONE = (paramiko.SSHException, EOFError, OSError, TimeoutError)
Result = TypeVar("Result")


class SftpPlace:
    """One directory of one server; one connection, made when first needed."""

    def __init__(self, spec: SftpSpec, context: SourceContext) -> None:
        self._spec, self._secret, self._outbound = spec, context.secret, context.outbound
        self._where = f"sftp://{spec.host}:{spec.port}"
        self._transport: paramiko.Transport | None = None
        self._client: paramiko.SFTPClient | None = None
        self._line: socket.socket | None = None

    def names(self, pattern: str) -> list[str]:
        """See `Place.names`."""
        parts = parts_of(pattern)
        found = sorted(self._asked(lambda client: list(self._walk(client, "", parts))))
        if len(found) > MAX_FILES:
            raise FileRefused(f"more than {MAX_FILES:,} files match", where=pattern)
        return found

    def open(self, name: str) -> Opened:
        """See `Place.open`. The file's own clock is the server's, so only two equal looks say that it rests."""

        def once(client: paramiko.SFTPClient) -> paramiko.SFTPFile:
            path = self._path(name)
            if not stat.S_ISREG(client.lstat(path).st_mode or 0):
                raise FileRefused("is not a regular file", where=name)
            return client.open(path, "rb", bufsize=READ_AHEAD)

        try:
            file = self._asked(once)
        except FileNotFoundError:
            raise FileRefused("is not there any more", where=name) from None
        except PermissionError:
            raise FileRefused("may not be read by this user", where=name) from None

        def signature() -> tuple[int, ...]:
            status = self._asked(lambda client: client.lstat(self._path(name)))
            return (status.st_size or 0, int(status.st_mtime or 0))

        reading = _Reading(file, self._where)
        return Opened(file=cast(BinaryIO, reading), signature=signature, age_s=lambda: None, close=file.close)

    def close(self) -> None:
        """From any thread."""
        transport, line, self._client, self._transport, self._line = self._transport, self._line, None, None, None
        if transport is not None:
            transport.close()
        if line is not None:
            line.close()  # a transport that broke does not close it

    def _path(self, name: str) -> str:
        return f"{self._spec.directory.rstrip('/') or ''}/{name}" if self._spec.directory != "." else name

    def _walk(self, client: paramiko.SFTPClient, prefix: str, parts: list[str]) -> Iterator[str]:
        head, *rest = parts
        entries = client.listdir_attr(self._path(prefix) if prefix else self._spec.directory)
        if any(entry.filename == MARK for entry in entries):
            return
        for entry in entries:
            mode = entry.st_mode or 0
            if is_passed_over(entry.filename) or "/" in entry.filename or stat.S_ISLNK(mode):
                continue
            relative = f"{prefix}/{entry.filename}" if prefix else entry.filename
            if head == "**":
                if stat.S_ISDIR(mode):
                    yield from self._walk(client, relative, parts)
                if rest and fnmatch.fnmatchcase(entry.filename, rest[0]):
                    yield from self._entry(client, relative, mode, rest[1:])
            elif fnmatch.fnmatchcase(entry.filename, head):
                yield from self._entry(client, relative, mode, rest)

    def _entry(self, client: paramiko.SFTPClient, relative: str, mode: int, rest: list[str]) -> Iterator[str]:
        if rest and stat.S_ISDIR(mode):
            yield from self._walk(client, relative, rest)
        elif not rest and stat.S_ISREG(mode):
            yield relative

    def _asked(self, question: Callable[[paramiko.SFTPClient], Result]) -> Result:
        """Ask the server. Raises SourceUnavailable when it is away, ConfigurationInvalid when it refuses us."""
        try:
            return question(self._connected())
        except (FileNotFoundError, PermissionError):
            raise
        except GONE as error:
            self.close()
            raise SourceUnavailable(
                f"the SFTP server does not answer ({type(error).__name__})",
                where=self._where,
                remedy="see that it runs, and that host and port are right",
            ) from None

    def _connected(self) -> paramiko.SFTPClient:
        if self._client is None:
            self._line = self._connection()
            transport = paramiko.Transport(self._line)
            self._transport = transport
            transport.banner_timeout = transport.auth_timeout = self._spec.connect_timeout_s
            self._log_in(transport)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            channel = client.get_channel()
            if channel is not None:
                channel.settimeout(60)
            self._client = client
        return self._client

    def _connection(self) -> socket.socket:
        """Where connections may lead only (R17)."""
        try:
            return self._outbound.connect(
                self._spec.host, self._spec.port, timeout_s=self._spec.connect_timeout_s, encrypted=True
            )
        except TargetRefused as refused:
            raise self._refused(refused.message, refused.remedy) from None

    def _log_in(self, transport: paramiko.Transport) -> None:
        pinned = self._pinned()
        transport.get_security_options().key_types = _algorithms(pinned.get_name())
        try:
            transport.start_client(timeout=self._spec.connect_timeout_s)
        except paramiko.IncompatiblePeer:
            raise self._refused("the server has no host key of the pinned kind", "compare `host_key`") from None
        if transport.get_remote_server_key() != pinned:
            raise self._refused(
                "the server shows another host key than the pinned one",
                "ask its operator by another way whether the key changed, then mend `host_key`",
            )
        try:
            if self._spec.private_key:
                transport.auth_publickey(self._spec.user, _private_key(self._secret(self._spec.private_key)))
            else:
                transport.auth_password(self._spec.user, self._secret(self._spec.password))
        except paramiko.AuthenticationException:
            raise self._refused("the server refused the log-in", "check user, password or private key") from None

    def _pinned(self) -> paramiko.PKey:
        kind, _, rest = self._spec.host_key.strip().partition(" ")
        try:
            return paramiko.PKey.from_type_string(kind, base64.b64decode(rest.split()[0], validate=True))
        except (ValueError, IndexError, paramiko.SSHException, paramiko.UnknownKeyType):
            raise self._refused("`host_key` is not a public key", "such as `ssh-ed25519 AAAA…`") from None

    def _refused(self, message: str, remedy: str) -> ConfigurationInvalid:
        self.close()
        return ConfigurationInvalid(message, where=self._where, remedy=remedy)


class _Reading:
    """A remote file whose line may break: then the source is away, and the file is read again later."""

    def __init__(self, file: paramiko.SFTPFile, where: str) -> None:
        self._file, self._where = file, where

    def read(self, size: int = -1) -> bytes:
        """Bytes from where it stands."""
        with self._line():
            return bytes(self._file.read(size) if size >= 0 else self._file.read())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        with self._line():
            self._file.seek(offset, whence)
            return int(self._file.tell())

    def tell(self) -> int:
        """The place."""
        return int(self._file.tell())

    def seekable(self) -> bool:
        """Yes."""
        return True

    @contextlib.contextmanager
    def _line(self) -> Iterator[None]:
        try:
            yield
        except GONE as error:
            raise SourceUnavailable(
                f"the line broke while a file was read ({type(error).__name__})", where=self._where
            ) from None


def _algorithms(kind: str) -> tuple[str, ...]:
    """Signatures that a host key of this kind can make."""
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _private_key(text: str) -> paramiko.PKey:
    for kind in KEYS:
        with contextlib.suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(text))
    raise paramiko.AuthenticationException("no private key that can be read")

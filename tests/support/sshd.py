"""A real OpenSSH server on loopback that offers one directory by SFTP, to the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.ports import free_port
from tests.support.requirements import unavailable
from tests.support.waiting import answers

PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd")
SUBSYSTEMS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")


class Sshd:
    """Started by `start`; keys are made anew."""

    def __init__(self, root: Path) -> None:
        self._sshd = next((p for p in PLACES if Path(p).exists()), "")
        self._sftp = next((p for p in SUBSYSTEMS if Path(p).exists()), "")
        if not (self._sshd and self._sftp and shutil.which("ssh-keygen")):
            unavailable("sshd", "OpenSSH's server is not installed (Debian package openssh-server)")
        self.root, self.user, self.port = root, getpass.getuser(), free_port()
        self.files = root / "files"
        self.files.mkdir(parents=True)
        for name in ("host", "client", "stranger"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name)], check=True
            )
        (root / "authorized").write_text((root / "client.pub").read_text())
        (root / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {root / 'host'}\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {root / 'authorized'}\nPasswordAuthentication no\nPermitRootLogin yes\nUsePAM no\n"
            f"Subsystem sftp {self._sftp} -d {self.files}\nForceCommand internal-sftp -d {self.files}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._sshd, "-D", "-e", "-f", str(self.root / "config")], stdout=log, stderr=log
            )
        assert answers(self._process, self.port), (self.root / "log").read_text()

    def stop(self) -> None:
        """With all its connections."""
        if self._process:
            subprocess.run(["pkill", "-KILL", "-P", str(self._process.pid)], check=False)
            self._process.kill()
            self._process.wait()
            self._process = None

    def key(self, name: str) -> str:
        """A public key as a setting has it."""
        return (self.root / f"{name}.pub").read_text().strip()

    def secret(self, name: str) -> str:
        """A private key."""
        return (self.root / name).read_text()

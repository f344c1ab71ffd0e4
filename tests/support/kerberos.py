"""A Kerberos realm of a test's own, by Debian's krb5-kdc; and the gssapi package, built once against Debian's headers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.requirements import unavailable

REALM = "DATONG.TEST"
GSSAPI = "gssapi==1.12.0"
KRB5_CONF = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
"""
KDC_CONF = """[kdcdefaults]
kdc_tcp_listen = 127.0.0.1:{port}
kdc_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
}}
"""


@dataclass(frozen=True)
class Realm:
    """A running key distribution centre with the principals `kafka/127.0.0.1` and `hub`, each with its keytab."""

    folder: Path
    packages: Path  # where gssapi is

    @property
    def configuration(self) -> Path:
        return self.folder / "krb5.conf"

    def keytab(self, name: str) -> Path:
        return self.folder / f"{name}.keytab"

    def environment(self, client: str = "hub") -> Mapping[str, str]:
        """For a process that logs in as `client`, by its keytab alone."""
        return {
            "KRB5_CONFIG": str(self.configuration),
            "KRB5_CLIENT_KTNAME": str(self.keytab(client)),
            "KRB5CCNAME": f"FILE:{self.folder / client}.cache",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(self.packages)]),
        }


@contextlib.contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """Skips, or fails where TEST_REQUIRE names kerberos, what this machine lacks."""
    for program in ("krb5kdc", "kdb5_util", "kadmin.local", "krb5-config"):
        if shutil.which(program) is None:
            unavailable("kerberos", f"{program} is not installed (krb5-kdc, krb5-admin-server, libkrb5-dev)")
    packages = _gssapi()
    folder.mkdir(mode=0o700)
    port = free_port()
    words = {"realm": REALM, "port": port, "folder": folder}
    (folder / "krb5.conf").write_text(KRB5_CONF.format(**words))
    (folder / "kdc.conf").write_text(KDC_CONF.format(**words))
    surroundings = {
        **os.environ, "KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
    }  # fmt: skip
    _run(surroundings, "kdb5_util", "create", "-s", "-r", REALM, "-P", "only-for-tests")
    for name, principal in (("kafka", "kafka/127.0.0.1"), ("hub", "hub")):
        _run(surroundings, "kadmin.local", "-r", REALM, "addprinc", "-randkey", principal)
        _run(surroundings, "kadmin.local", "-r", REALM, "ktadd", "-k", str(folder / f"{name}.keytab"), principal)
    centre = subprocess.Popen(["krb5kdc", "-n", "-r", REALM], env=surroundings, stdout=subprocess.DEVNULL)
    try:
        _wait(port, centre)
        yield Realm(folder, packages)
    finally:
        centre.terminate()
        centre.wait(60)


def _gssapi() -> Path:
    """The folder of the package, in this user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "datong"
    folder = cache / f"{GSSAPI.replace('==', '-')}-py{sys.version_info[0]}{sys.version_info[1]}"
    if not (folder / "complete").exists():
        staging = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--target",
            str(staging),
        ]
        made = subprocess.run([*command, GSSAPI], capture_output=True, text=True, check=False)
        if made.returncode:
            unavailable("kerberos", f"{GSSAPI} could not be built (libkrb5-dev and a compiler are needed)")
        (staging / "complete").touch()
        with contextlib.suppress(OSError):  # another process was faster
            staging.rename(folder)
    return folder


def _run(environment: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-500:]}{done.stderr[-500:]}")


def _wait(port: int, centre: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and centre.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.3):
            return
        time.sleep(0.05)
    raise RuntimeError("the key distribution centre did not come up")

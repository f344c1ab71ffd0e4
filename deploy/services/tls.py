"""A certificate authority of one's own, for services on loopback only."""

from __future__ import annotations

import subprocess
from pathlib import Path

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
LEAF = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=digitalSignature\n"


def make_certificates(folder: Path, names: tuple[str, ...] = ("broker", "writer")) -> Path:
    """`ca.pem`, and NAME.pem (key, then chain) with NAME.key and NAME.crt for each name, by the system's openssl."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "leaf.cnf").write_text(LEAF)
    _openssl(
        folder, "req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "365", "-subj", "/CN=test authority",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    for name in names:
        _openssl(folder, "req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "365", "-extfile", "leaf.cnf", "-out", f"{name}.crt",
        )  # fmt: skip
        pem = folder / f"{name}.pem"
        pem.touch(mode=0o600)
        pem.write_bytes((folder / f"{name}.key").read_bytes() + (folder / f"{name}.crt").read_bytes())
    return folder


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr[-1000:]}")

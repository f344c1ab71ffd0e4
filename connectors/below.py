"""What stands below the files root and is nobody's data: what credentials are named, and directories of a hub (S6, S16).

One rule for all that reads or writes files as data, here, on an SFTP server and in zip files: a step of the path that is
hidden (`.env`, `.ssh`), is `secrets.d`, or has an ending of credentials is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

SECRETS = "secrets.d"
MARK = "hub.lock"  # stands in each data directory, of this process or of another (hub/directory.py)
ENDINGS = (".token", ".key", ".pem", ".p8", ".p12", ".pfx", ".jks", ".keytab")
WHY = "hidden names, secrets.d and names like *.token or *.key are credentials, which nothing reads or writes as data"


def is_credential(step: str) -> bool:
    """Is a file or directory of this name one of credentials?"""
    name = step.lower()
    return name.startswith(".") or name == SECRETS or name.endswith(ENDINGS)


def has_credential(steps: Iterable[str]) -> bool:
    """Does a path, or a glob, lead to one?"""
    return any(is_credential(step) for step in steps)


def leads_to_credential(path: str) -> bool:
    """The same of a path in which `.` and `..` are no names."""
    return has_credential(step for step in path.split("/") if step not in (".", ".."))


def is_own(path: Path, root: Path, refused: Collection[Path]) -> bool:
    """Is a resolved path, at or below the resolved root, in a directory of a hub or one that is `refused`?"""
    within = [path, *path.parents]
    if any(r.resolve() in within for r in refused):
        return True
    return any((folder / MARK).exists() for folder in within if folder == root or root in folder.parents)

"""Secrets are named in files and kept elsewhere: `${secret:NAME}` is the variable NAME or the file secrets.d/NAME."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from hub.errors import ConfigurationInvalid

REFERENCE = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]{0,63})\}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MAX_BYTES = 64 * 1024


def _anybody(_name: str) -> None:
    return None


class Secrets:
    """Resolves references of one project. Values never stand in errors.

    `require` raises for a secret that whoever asks may not have; the hub's own settings may have any."""

    def __init__(
        self, project: Path, env: Mapping[str, str] | None = None, require: Callable[[str], None] = _anybody
    ) -> None:
        self._project, self._env, self._require = project, os.environ if env is None else env, require

    def fill(self, text: str) -> str:
        """The text with every reference replaced. Raises ConfigurationInvalid naming the reference."""
        return REFERENCE.sub(lambda match: self.resolve(match.group(1)), text)

    def resolve(self, name: str) -> str:
        """One secret. A variable of the hub itself (`DATONG_…`) is none."""
        if not NAME.fullmatch(name) or name.startswith("DATONG_"):
            raise ConfigurationInvalid("this is not a secret's name", remedy="letters, digits and _; not DATONG_…")
        self._require(name)
        if name in self._env:
            return self._env[name]
        path = self._project / "secrets.d" / name
        if not path.is_file() or path.is_symlink():
            raise ConfigurationInvalid(
                f"the secret {name} is not there",
                remedy=f"set the variable {name} or write secrets.d/{name} (mode 0600)",
            )
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationInvalid(f"secrets.d/{name} can be read by others", remedy=f"chmod 600 secrets.d/{name}")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationInvalid(f"secrets.d/{name} has more than {MAX_BYTES:,} bytes")
        return path.read_text(encoding="utf-8").strip()

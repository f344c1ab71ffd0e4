"""Lines of a check. Apart from the other values, which need Arrow: the command line loads these and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a check: what was tried, whether it went well, and what to do if not."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a source's `check`."""

    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        return all(f.ok for f in self.findings)

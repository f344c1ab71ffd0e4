"""What the hub gives a source when it opens one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from connectors.outbound import Outbound
from hub.model import Mode


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """Where a source may look, and what is wanted of it."""

    task: str
    root: Path  # the one directory files may come from
    mode: Mode
    refused: tuple[Path, ...] = ()  # directories below it that are never read, such as the hub's own
    columns: frozenset[str] | None = None  # columns the mapping reads; None = all
    outbound: Outbound = field(default_factory=Outbound)  # where connections may go (R17)
    secret: Callable[[str], str] = field(default=lambda name: name)  # resolves `${secret:NAME}` in a text


@dataclass(frozen=True, kw_only=True)
class SinkContext:
    """What the hub gives a sink when it opens one."""

    subscription: str  # its name
    root: Path  # the one directory files may go to
    secret: Callable[[str], str] = field(default=lambda name: name)  # resolves `${secret:NAME}` in a text

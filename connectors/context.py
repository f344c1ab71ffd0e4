"""What the hub gives a source when it opens one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.outbound import Outbound
from hub.errors import ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Mode
from hub.ports import Away, Intake, Remembered


def _nothing(names: Sequence[bytes]) -> Sequence[bool]:
    return [False] * len(names)


def _nobody(_why: DatongError | None) -> None:
    """Nobody looks on."""


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
    remembered: Remembered = _nothing  # what the source had remembered (`Batch.remember`)
    away: Away = _nobody  # told while the system does not answer and is asked again
    intake: Intake | None = None  # where it takes what is pushed to it by HTTP; None: it is only looked at

    def running(self) -> Intake:
        """The intake of a run. Raises SourceUnavailable where a source that is pushed to is only looked at."""
        if self.intake is None:
            raise SourceUnavailable(
                "what is pushed is not there to be looked at",
                where=self.task,
                remedy="try examples of records with `datong test`; what comes is published while the hub serves",
            )
        return self.intake


@dataclass(frozen=True, kw_only=True)
class SinkContext:
    """What the hub gives a sink when it opens one."""

    subscription: str  # its name
    root: Path  # the one directory files may go to
    refused: tuple[Path, ...] = ()  # directories below it where nothing is ever written, such as the hub's own
    outbound: Outbound = field(default_factory=Outbound)  # where connections may go (R17)
    secret: Callable[[str], str] = field(default=lambda name: name)  # resolves `${secret:NAME}` in a text

    def place(self, name: str) -> Path:
        """A path below the root. Raises ConfigurationInvalid for one outside it, or where nothing may be written (S6)."""
        root = self.root.resolve()
        path = (root / name).resolve()
        within = {path, *path.parents}
        if root not in within:
            raise ConfigurationInvalid("this is not below the files root", where=name, remedy="name a place below it")
        if within & {r.resolve() for r in self.refused}:
            raise ConfigurationInvalid("this is the hub's own directory", where=name, remedy="name another one")
        return path

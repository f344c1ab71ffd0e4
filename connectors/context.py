"""What the hub gives a source when it opens one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.below import WHY, has_credential, is_own
from connectors.outbound import Outbound
from hub.errors import ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Mode
from hub.ports import Away, Intake, Remembered


def _nothing(names: Sequence[bytes]) -> Sequence[bool]:
    return [False] * len(names)


def _nobody(_why: DatongError | None) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, kw_only=True)
class _Files:
    """The one directory that files may come from and go to."""

    root: Path
    refused: tuple[Path, ...] = ()  # directories and files below it that are never touched, such as the hub's own

    def place(self, name: str) -> Path:
        """A path of data below the root. Raises ConfigurationInvalid for one outside it, in a hub's own directory, or of
        credentials (S6, S16)."""
        path = self._below(name)
        if has_credential(path.relative_to(self.root.resolve()).parts):
            raise ConfigurationInvalid("this is the name of credentials", where=name, remedy=WHY)
        return path

    def certificate(self, name: str | None) -> str | None:
        """The path of a PEM file below the root, which is used and never shown; None for no name. Raises
        ConfigurationInvalid for one outside it or in a hub's own directory."""
        return str(self._below(name)) if name else None

    def _below(self, name: str) -> Path:
        root = self.root.resolve()
        path = (root / name).resolve()
        if root not in {path, *path.parents}:
            raise ConfigurationInvalid("this is not below the files root", where=name, remedy="name a place below it")
        if is_own(path, root, self.refused):
            raise ConfigurationInvalid("this is the hub's own directory", where=name, remedy="name another one")
        return path


@dataclass(frozen=True, kw_only=True)
class SourceContext(_Files):
    """Where a source may look, and what is wanted of it."""

    task: str
    mode: Mode
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
class SinkContext(_Files):
    """What the hub gives a sink when it opens one."""

    subscription: str  # its name
    outbound: Outbound = field(default_factory=Outbound)  # where connections may go (R17)
    secret: Callable[[str], str] = field(default=lambda name: name)  # resolves `${secret:NAME}` in a text

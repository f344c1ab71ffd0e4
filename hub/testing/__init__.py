"""The acceptance kit for kinds of source that are written elsewhere. Not imported by the hub."""

from __future__ import annotations

from hub.testing.source_contract import SourceContract

__all__ = ["SourceContract"]

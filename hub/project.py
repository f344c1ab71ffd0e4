"""The files of a project, read into a catalogue: what a hub begins with, and all that some commands need."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from connectors import sink_specs, source_specs
from hub.builder import open_source
from hub.catalogue.load import Catalogue
from hub.errors import DatongError

if TYPE_CHECKING:
    import pyarrow as pa

    from hub.catalogue.specs import ConnectorSpec
    from hub.settings import Loaded


def read_catalogue(
    loaded: Loaded, *, look: bool | str = False, instead: Mapping[str, bytes] | None = None
) -> Catalogue:
    """The declared connectors, topics, grants and agencies of a project.

    With `look`, sources are asked for their columns, so that expressions are checked against them: all, or that of the
    connector which `look` names. `instead` has texts of connectors by file, which count as what stands there."""
    settings = loaded.settings

    def columns(spec: ConnectorSpec) -> pa.Schema | None:
        if look not in (True, spec.connector):
            return None
        try:
            with closing(open_source(spec, settings)) as source:
                return source.discover()[0].columns
        except DatongError:
            return None  # not there now: `connector check` says why

    return Catalogue.load(
        settings.root,
        source_specs(),
        sinks=sink_specs(),
        schema_dirs=schema_dirs(settings.root),
        discover=columns if look else None,
        today=datetime.now(UTC).date(),
        instead=instead,
    )


def schema_dirs(project: Path) -> list[Path]:
    """Where schemas and code lists are looked for: the project's own first, then those shipped."""
    import schemas

    return [project / "schemas", Path(schemas.__file__).parent]

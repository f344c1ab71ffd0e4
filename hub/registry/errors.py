"""The registry's refusals, with the codes and the wording that its clients know (registry-api §1).

Each is a kind of the hub's error tree, so the rest of the hub and the command line treat it like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hub.avro.compat import Incompatibility
from hub.errors import ConfigurationInvalid, Conflict, NotFound, SchemaIncompatible, SchemaInvalid


class SubjectNotFound(NotFound):
    """No version of this subject can be seen."""

    error_code: ClassVar[int] = 40401

    def __init__(self, subject: str) -> None:
        super().__init__(f"Subject '{subject}' not found.")


class VersionNotFound(NotFound):
    """The subject has others."""

    error_code: ClassVar[int] = 40402

    def __init__(self, version: int | str) -> None:
        super().__init__(f"Version {version} not found.")


class SchemaNotFound(NotFound):
    """No version has this id, or no version of the subject is this schema."""

    error_code: ClassVar[int] = 40403

    def __init__(self, schema_id: int | str | None = None) -> None:
        super().__init__("Schema not found" if schema_id is None else f"Schema {schema_id} not found")


class SubjectSoftDeleted(NotFound):
    """It was deleted already, softly."""

    error_code: ClassVar[int] = 40404

    def __init__(self, subject: str) -> None:
        super().__init__(f"Subject '{subject}' was soft deleted.Set permanent=true to delete permanently")


class SubjectNotSoftDeleted(NotFound):
    """A permanent deletion needs a soft one first."""

    error_code: ClassVar[int] = 40405

    def __init__(self, subject: str) -> None:
        super().__init__(f"Subject '{subject}' was not deleted first before being permanently deleted")


class VersionSoftDeleted(NotFound):
    """It was deleted already, softly."""

    error_code: ClassVar[int] = 40406

    def __init__(self, subject: str, version: int) -> None:
        super().__init__(
            f"Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
        )


class VersionNotSoftDeleted(NotFound):
    """A permanent deletion needs a soft one first."""

    error_code: ClassVar[int] = 40407

    def __init__(self, subject: str, version: int) -> None:
        super().__init__(
            f"Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
        )


class LevelNotSet(NotFound):
    """The subject follows the global level."""

    error_code: ClassVar[int] = 40408

    def __init__(self, subject: str) -> None:
        super().__init__(f"Subject '{subject}' does not have subject-level compatibility configured")


class ModeNotSet(NotFound):
    """The subject follows the global mode."""

    error_code: ClassVar[int] = 40409

    def __init__(self, subject: str) -> None:
        super().__init__(f"Subject '{subject}' does not have subject-level mode configured")


class EmptySchema(SchemaInvalid):
    """No schema was sent."""

    error_code: ClassVar[int] = 42201

    def __init__(self) -> None:
        super().__init__("Empty schema")


class VersionInvalid(ConfigurationInvalid):
    """Not a version's number."""

    error_code: ClassVar[int] = 42202

    def __init__(self, version: object) -> None:
        super().__init__(
            f"The specified version '{str(version)[:80]}' is not a valid version id. Allowed values are between "
            '[1, 2^31-1] and the string "latest"'
        )


class LevelInvalid(ConfigurationInvalid):
    """Not a compatibility level."""

    error_code: ClassVar[int] = 42203

    def __init__(self, level: object) -> None:
        super().__init__(
            "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, "
            "forward_transitive, and full_transitive"
        )
        self.level = str(level)[:80]


class ModeInvalid(ConfigurationInvalid):
    """Not a mode."""

    error_code: ClassVar[int] = 42204

    def __init__(self, mode: object) -> None:
        super().__init__("Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT")
        self.mode = str(mode)[:80]


class NotPermitted(Conflict):
    """The mode of the subject or of the registry does not allow this (registry-api §6)."""

    error_code: ClassVar[int] = 42205


class ReferenceExists(Conflict):
    """Another schema refers to this version."""

    error_code: ClassVar[int] = 42206

    def __init__(self, subject: str, version: int) -> None:
        super().__init__(f"One or more references exist to the schema {{subject={subject},version={version}}}.")


class SubjectInvalid(SchemaInvalid):
    """No subject may have this name."""

    error_code: ClassVar[int] = 42208

    def __init__(self, subject: str) -> None:
        shown = subject[:80].encode("ascii", "backslashreplace").decode()
        super().__init__(f"The specified subject '{shown}' is not a valid.")


@dataclass(frozen=True, kw_only=True)
class Break:
    """One reason why a schema does not go together with one version."""

    version: int
    reason: Incompatibility

    def __str__(self) -> str:
        return str(self.reason)


class IncompatibleWithSubject(SchemaIncompatible):
    """The schema breaks versions of the subject, at its level. Nothing was stored."""

    error_code: ClassVar[int] = 409

    def __init__(self, subject: str, level: str, breaks: Sequence[Break]) -> None:
        super().__init__(
            f"the schema is not {level} compatible with this subject",
            where=f"subject {subject}",
            incompatibilities=tuple(str(b) for b in breaks),
        )
        self.subject, self.level, self.breaks = subject, level, tuple(breaks)

"""Every error a caller can act on.

    DatongError
    ├── Retry                   a passing fault: the runner waits and tries again
    │   ├── SourceUnavailable
    │   ├── LogUnavailable
    │   ├── RegistryUnavailable
    │   ├── SinkUnavailable
    │   ├── StorageFull
    │   ├── NoWorker
    │   ├── RateExceeded
    │   └── OutcomeUnknown
    ├── Reject                  one record, file or answer is bad: quarantined, the rest goes on
    │   ├── MalformedAvro
    │   ├── MalformedBlock
    │   ├── FileRefused
    │   ├── AnswerRefused
    │   ├── PushRefused
    │   ├── SinkRefused
    │   │   └── SinkGone
    │   └── NotAcceptable
    ├── Denied                  the caller may not
    │   ├── NotAuthenticated
    │   └── NotGranted
    └── Fatal                   going on would be wrong: the task or command ends
        ├── ConfigurationInvalid
        ├── ExpressionInvalid
        ├── SchemaInvalid
        ├── SchemaIncompatible
        ├── NotFound
        ├── Conflict
        │   ├── GroupBusy
        │   └── RevisionChanged
        ├── ColumnsChanged
        ├── TooManyDeletions
        ├── BreakerTripped
        ├── ReconciliationFailed
        ├── Fenced
        ├── DirectoryInUse
        ├── DirectoryTooNew
        ├── LogBroken
        ├── CorruptBlock
        ├── LimitExceeded
        └── OffsetOutOfRange

The first level is the policy; names are facts; instances carry data as attributes. A message never quotes a cell of
somebody's data, a secret, or a library's text that might (R11). It names what, where and why; `remedy` says what to do
next (R35).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class DatongError(Exception):
    """The root. `where` is a file and line, a field path or a topic position; `remedy` the next step for a person."""

    exit_code: ClassVar[int] = 1
    """Process exit code of a command that ends with this error."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    @property
    def code(self) -> str:
        """The stable name used in API answers and docs: the class name."""
        return type(self).__name__

    @property
    def statement(self) -> str:
        """Where and what, without the remedy."""
        return f"{self.where}: {self.message}" if self.where else self.message

    @property
    def told(self) -> str:
        """All of it, as it is put on record: the code first."""
        return f"{self.code}: {self}"

    def __str__(self) -> str:
        return f"{self.statement} ({self.remedy})" if self.remedy else self.statement


class Retry(DatongError):
    """A passing fault. Nothing was lost; the same step may succeed later."""

    exit_code = 5
    patient: ClassVar[bool] = False
    """The task waits for as long as it takes, instead of failing after some tries."""


class SourceUnavailable(Retry):
    """The departmental system did not answer, or refused the connection."""


class LogUnavailable(Retry):
    """The log did not take the append in time. Nothing was written."""


class RegistryUnavailable(Retry):
    """The schema registry did not answer, or not as a registry does. Schemas that were seen before go on, others wait."""

    patient = True


class SinkUnavailable(Retry):
    """A subscriber's own system did not answer. Nothing was written there, or nobody can say. `wait_s`: it asked to be left
    alone for so long."""

    wait_s: float | None = None


class StorageFull(Retry):
    """The disk or its quota is full. Nothing was written; free space and the task goes on."""


class NoWorker(Retry):
    """No process that runs connectors gives a sign of life, so nobody would do what was asked for."""


class TooBusy(Retry):
    """As many use this node as may; others are let in when somebody leaves."""


class RateExceeded(Retry):
    """More is pushed than the connector takes, by its rate or because the log is behind. Nothing of it was taken."""


class OutcomeUnknown(Retry):
    """A commit did not answer: this writer is dead. Open a new one and go on from its checkpoint (R1)."""


class Reject(DatongError):
    """One record, file or answer is bad. It is quarantined or refused and the rest goes on."""


class MalformedAvro(Reject):
    """Bytes that are not a value of the schema. `row` is the index in the batch, `path` the field."""

    def __init__(self, message: str, *, row: int, path: str = "") -> None:
        super().__init__(message, where=f"record {row}" + (f", {path}" if path else ""))
        self.row = row
        self.path = path


class MalformedBlock(Reject):
    """Bytes that are not a Kafka v2 record section."""


class FileRefused(Reject):
    """A whole file cannot be read: encoding undecidable, not a regular file, outside the root, over a limit."""


class NotAcceptable(Reject):
    """A subscriber asks for forms of answer that the hub does not have. `available` are those it has."""

    def __init__(self, message: str, *, remedy: str = "", available: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.available = available


class SinkRefused(Reject):
    """A subscriber's own system cannot take the records: a table without a column, a value that does not fit. The
    subscription pauses, or the batch is set aside."""


class SinkGone(SinkRefused):
    """A subscriber's own system says that it wants no more. The subscription pauses."""


class AnswerRefused(Reject):
    """A service's answer cannot be used, and asking again would not help: log-in refused, not JSON, certificate not
    trusted, redirects in a circle, a target where no connection may go. The task pauses."""

    exit_code = 5


class PushRefused(Reject):
    """What was pushed is not what the connector takes: no JSON, no records, a record that is no object. Nothing of it was
    taken, and sending it again would not help."""


class Denied(DatongError):
    """The caller may not do this."""

    exit_code = 4


class NotAuthenticated(Denied):
    """No token, an unknown one, or an expired one."""


class NotGranted(Denied):
    """No grant covers this delivery. `rule` names the first rule that refused."""

    def __init__(self, message: str, *, rule: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule


class Fatal(DatongError):
    """Going on would be wrong."""


class ConfigurationInvalid(Fatal):
    """A configuration file or setting is wrong. `mistakes` has every one of them, each with file and line."""

    exit_code = 3

    def __init__(self, message: str, *, where: str = "", remedy: str = "", mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.mistakes = mistakes


class ExpressionInvalid(Fatal):
    """A mapping expression cannot be parsed or does not fit its columns and target. `position` is a character index."""

    exit_code = 3

    def __init__(self, message: str, *, where: str = "", remedy: str = "", position: int = 0) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.position = position


class SchemaInvalid(Fatal):
    """Not an Avro 1.12 schema, or one that a topic cannot hold."""

    exit_code = 3


class SchemaIncompatible(Fatal):
    """The new schema breaks readers of the old one. `incompatibilities` says how, one sentence each."""

    exit_code = 3

    def __init__(self, message: str, *, where: str = "", incompatibilities: tuple[str, ...] = ()) -> None:
        super().__init__(message, where=where)
        self.incompatibilities = incompatibilities


class NotFound(Fatal):
    """A connector, topic, schema, grant, run or case of that name does not exist (or is not yours to see)."""


class Conflict(Fatal):
    """The thing is not in a state that allows this."""


class GroupBusy(Conflict):
    """Another reader holds this consumer group's cursor."""


class RevisionChanged(Conflict):
    """Somebody else changed the file since it was read. Nothing was written; read it again."""


class ColumnsChanged(Fatal):
    """A source lacks columns that the mapping needs and did not declare optional (R13): the task pauses. `missing` are
    those, `there` what it has, where the mapping is what to mend."""

    def __init__(
        self, message: str, *, where: str = "", remedy: str = "", missing: Sequence[str] = (), there: Sequence[str] = ()
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.missing, self.there = missing, there


class TooManyDeletions(Fatal):
    """A snapshot would delete more than a tenth of the topic's keys (R18): the task pauses."""


class BreakerTripped(Fatal):
    """Too many rows went to quarantine, in a row or in share (G8): the task pauses, nothing is dropped."""


class ReconciliationFailed(Fatal):
    """A run's totals do not add up (G2): the run fails."""


class Fenced(Fatal):
    """A newer epoch of this task has written (R4). This process must stop. `newest` is that epoch."""

    exit_code = 7

    def __init__(self, message: str, *, where: str = "", remedy: str = "", newest: int = 0) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.newest = newest


class DirectoryInUse(Fatal):
    """Another hub runs on this data directory."""


class DirectoryTooNew(Fatal):
    """A newer version of Datong wrote this data directory (G20)."""


class LogBroken(Fatal):
    """The disk failed under the log, or its file is damaged. Nothing is accepted any more; a failed sync is never
    tried again as if it had been clean."""


class CorruptBlock(Fatal):
    """A stored block's checksum does not match. It is not served; its neighbours are."""

    def __init__(self, *, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            "the stored block fails its CRC32C check and is not served",
            where=f"{topic}/{partition} at offset {offset}",
            remedy="restore the data directory from a backup, or skip the block by committing a later offset",
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class LimitExceeded(Fatal):
    """An input is larger, deeper or longer than its limit."""


class OffsetOutOfRange(Fatal):
    """The offset was trimmed by retention or does not exist yet. `earliest` is the first one there is."""

    def __init__(self, message: str, *, earliest: int) -> None:
        super().__init__(message, remedy=f"read on from offset {earliest}")
        self.earliest = earliest

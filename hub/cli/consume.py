"""Commands of a subscribing agency: read what a grant allows."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output, counted, safe
from hub.cli.session import load_project
from hub.errors import ConfigurationInvalid, Conflict, NotAuthenticated

if TYPE_CHECKING:
    from hub.client import Answer, Options
    from hub.client.files import Merger

Form = Literal["ndjson", "json", "csv", "arrow", "avro", "framed"]
TOKEN_ENVIRONMENT = "DATONG_TOKEN"  # noqa: S105 - a variable's name


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(subscribe)


def subscribe(
    topic: Annotated[str, typer.Argument(help="The topic to read.")],
    group: Annotated[str, typer.Option(help="Consumer group: one cursor, one reader at a time.")] = "default",
    form: Annotated[
        Form,
        typer.Option("--format", help="ndjson, json, csv, arrow (stream), avro (container file) or framed (Avro)."),
    ] = "ndjson",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New file to write. Default: standard output.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after so many records.", min=1)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new records until interrupted.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Move the cursor to the earliest record first.")
    ] = False,
    hub: Annotated[str | None, typer.Option(help="URL of the hub. Default: the hub that serves this project.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the agency's token. Default: the environment variable DATONG_TOKEN.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the records that a grant allows, and commit what was written. Example: datong subscribe
    it-mim.education.school.v1"""
    from hub.client import subscribe as open_subscription
    from hub.client.files import FILES

    file = FILES[form]
    on_terminal = output is None and sys.stdout.isatty()
    if file.binary and on_terminal:
        raise typer.BadParameter(f"{form} is not for a terminal: name a file with --output, or pipe it elsewhere")
    sink = _Sink(output, file.merger(), safe_text=on_terminal)
    out = Output(as_json=as_json)
    options: Options = {"follow": follow, "from_beginning": from_beginning, "auto_commit": False}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    token = _token(token_file)
    with open_subscription(_url(hub, project), topic, token, group, **options) as subscription:
        try:
            for answer in subscription.answers(file.media_type, limit):
                _tell(out, answer)
                sink.take(answer)
                subscription.commit()
        finally:
            sink.close()
        lag = subscription.lag
    out.note(f"{counted(sink.count, 'record')}; {counted(lag, 'more offset')} to the end of the topic")


class _Sink:
    """Standard output or a new file. What `take` was given has left this process when it returns, and is on the disk if it
    went to a file: then it may be committed."""

    def __init__(self, path: Path | None, merger: Merger, *, safe_text: bool) -> None:
        if path is not None and path.exists():
            raise _exists(path)
        self._path, self._merger, self._safe_text = path, merger, safe_text
        self._stream: BinaryIO | None = None
        self._whole = True  # nothing was cut off in the middle
        self.count = 0

    def take(self, answer: Answer) -> None:
        """Write one answer's records. Raises Conflict when they have another schema than those before."""
        self._write(self._merger.add(answer.content))
        self.count += answer.count

    def close(self) -> None:
        """End the file, if it was begun."""
        if self._stream is not None and self._whole:
            self._write(self._merger.end())
        if self._stream is not None and self._path is not None:
            self._stream.close()

    def _write(self, data: bytes) -> None:
        if self._stream is None:
            self._stream = sys.stdout.buffer if self._path is None else _new(self._path)
        if self._safe_text:
            data = "".join(f"{safe(line)}\n" for line in data.decode().split("\n")[:-1]).encode()
        self._whole = False
        self._stream.write(data)
        self._stream.flush()
        if self._path is not None:
            os.fsync(self._stream.fileno())
        self._whole = True


def _new(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise ConfigurationInvalid(f"{path} cannot be written ({error.strerror})") from error


def _exists(path: Path) -> Conflict:
    return Conflict(
        f"{path} exists; what it has may be committed and would not come again",
        remedy="name a file that does not exist",
    )


def _tell(out: Output, answer: Answer) -> None:
    if answer.reset:
        out.note("the grant changed: reading again from the earliest record")
    for gap in answer.gaps:
        out.note(f"gap in partition {gap.partition}: offsets {gap.from_offset} to {gap.earliest - 1} are gone")


def _token(file: Path | None) -> str:
    given = file.read_bytes().decode("ascii", "replace") if file else os.environ.get(TOKEN_ENVIRONMENT, "")
    token = given.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NotAuthenticated("this is no token: one is a single word", remedy="see what the file or variable holds")
    if not token:
        raise NotAuthenticated(
            "a subscriber needs its agency's token",
            remedy=f"set {TOKEN_ENVIRONMENT}, or name a file with --token-file; the hub's operator makes one with "
            "`datong token issue AGENCY`",
        )
    return token


def _url(given: str | None, project: Path | None) -> str:
    if given:
        return given
    from hub.directory import Directory
    from hub.errors import SourceUnavailable

    running = Directory(load_project(project).settings.data_path).running()
    if running is None or running.role == "worker":
        raise SourceUnavailable(
            "no hub serves this project from this data directory",
            remedy="start one with `datong serve`, or name one with --hub",
        )
    return running.url

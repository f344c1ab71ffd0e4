"""The command line. Heavy modules are imported by the command that needs them, so that `--help` is instant."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from hub import __version__, memory
from hub.cli.exits import INTERRUPTED, USAGE
from hub.errors import DatongError

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        help="Project directory: the one with datong.yaml. Default: here or above.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"datong {__version__}")
        raise typer.Exit


def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Datong: public agencies share data through connectors, shared schemas, topics and grants."""


def build() -> typer.Typer:
    """The application with all its commands."""
    from hub.cli import (
        alerts,
        author,
        consume,
        doctor,
        maps,
        operate,
        people,
        quarantine,
        runs,
        schemas,
        serving,
        subscribers,
        subscriptions,
        topics,
    )

    app = typer.Typer(
        name="datong",
        help="Datong: public agencies share data through connectors, shared schemas, topics and grants.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(common)
    for part in (  # in the order of `--help`
        author,
        serving,
        runs,
        operate,
        topics,
        maps,
        schemas,
        quarantine,
        consume,
        subscriptions,
        subscribers,
        alerts,
        people,
        doctor,
    ):
        part.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code: 0 ok, 1 failed, 2 usage, 3 configuration, 4 not authorised, 5 unreachable,
    7 fenced, 130 interrupted. The first SIGINT or SIGTERM lets the command end in order, a second one ends it at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    memory.begin()
    memory.keep_freed_blocks()
    code = run(arguments if arguments is not None else sys.argv[1:])
    memory.end()
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    from hub.cli.output import Output

    out = Output(as_json="--json" in arguments)
    try:
        result = build()(arguments, standalone_mode=False, prog_name="datong")
    except DatongError as error:
        out.failure(error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away: `datong … | head`
        return 0
    except OSError as error:  # of a file that a person named; any other is a bug
        if not isinstance(error.filename, (str, Path)):
            raise
        out.failure(DatongError(f"{error.strerror}", where=str(error.filename), remedy="see its path and its rights"))
        return 1
    except Exception as error:  # a usage error of the parser, which types it privately; anything else is a bug
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", USAGE))
    if result == INTERRUPTED:  # also what the parser makes of it
        out.note("interrupted: what was written stays, the same command goes on from there")
    return int(result) if isinstance(result, int) else 0


if __name__ == "__main__":
    main()

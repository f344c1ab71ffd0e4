"""The command line. Heavy modules are imported by the command that needs them, so that `--help` is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hub.errors import DatongError

USAGE, INTERRUPTED = 2, 130

app = typer.Typer(
    name="datong",
    help="Datong: public agencies share data through connectors, shared schemas, topics and grants.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

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


def build() -> typer.Typer:
    """The application with all its commands."""
    from hub.cli import author, consume, operate, serving

    author.register(app)
    serving.register(app)
    operate.register(app)
    consume.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code: 0 ok, 1 failed, 2 usage, 3 configuration, 4 not authorised, 5 unreachable,
    7 fenced, 130 interrupted."""
    sys.exit(run(arguments if arguments is not None else sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    from hub.cli.output import Output

    try:
        result = build()(arguments, standalone_mode=False, prog_name="datong")
    except DatongError as error:
        Output(as_json="--json" in arguments).failure(error)
        return error.exit_code
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away: `datong … | head`
        return 0
    except Exception as error:  # a usage error of the parser, which types it privately; anything else is a bug
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", USAGE))
    return int(result) if isinstance(result, int) else 0


if __name__ == "__main__":
    main()

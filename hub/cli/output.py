"""What a person or a program sees: tables and progress on a terminal, JSON with `--json`, errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from hub.errors import ConfigurationInvalid, DatongError, SchemaIncompatible

if TYPE_CHECKING:
    from rich.progress import Progress

WIDE = 160  # columns where no terminal says how many
CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), 8203, 8206, 8207))
CONTROL |= dict.fromkeys((*range(8234, 8239), *range(8294, 8298)))


def safe(text: object) -> str:
    """Text from data, without control characters, escapes or direction marks that could forge a line (S15)."""
    return str(text).translate(CONTROL).replace("\r", " ")


class Output:
    """Where a command's results go. One per command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._piped = not sys.stdout.isatty()
        self.console = Console(highlight=False, width=WIDE if self._piped else None, emoji=False, markup=False)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False, markup=False)

    def data(self, value: Any) -> None:
        """The whole result as one JSON document."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2) + "\n")

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line for a person, folded only on a terminal; nothing with --json."""
        if not self.as_json:
            self.console.print(safe(text), style=style, soft_wrap=self._piped)

    def note(self, text: str) -> None:
        """A line beside the result: on stderr, so that pipes stay clean."""
        self.errors.print(safe(text), style="dim")

    def table(self, rows: Sequence[Sequence[object]], columns: Sequence[str], title: str = "") -> None:
        """Rows under column names. Columns whose name ends in `<`, or in `>` and then stand right, are never folded: names
        to copy, and numbers. Nothing with --json."""
        if self.as_json:
            return
        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name in columns:
            justify: Literal["left", "right"] = "right" if name.endswith(">") else "left"
            table.add_column(name.rstrip("<>"), justify=justify, overflow="fold", no_wrap=name.endswith(("<", ">")))
        for row in rows:
            table.add_row(*[_cell(v) for v in row])
        self.console.print(table)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Live progress on a terminal; silent elsewhere."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self.errors,
            transient=True,
            disable=not sys.stderr.isatty() or self.as_json or bool(os.environ.get("CI")),
        )
        with bar:
            yield bar

    def failure(self, error: DatongError) -> None:
        """What, where, why and what to do next (R35)."""
        if self.as_json:
            facts = {"error": error.code, "detail": error.message, "where": error.where, "remedy": error.remedy}
            body = {**facts, "mistakes": list(_details(error))}
            sys.stderr.write(json.dumps(body, ensure_ascii=False) + "\n")
            return
        where = f"{error.where}: " if error.where else ""
        self.errors.print(safe(f"error: {where}{error.message}"), style="red")
        for sentence in _details(error):
            self.errors.print(safe(f"  {sentence}"))
        if error.remedy:
            self.errors.print(safe(f"next: {error.remedy}"))


def _details(error: DatongError) -> Sequence[str]:
    if isinstance(error, ConfigurationInvalid):
        return error.mistakes
    return error.incompatibilities if isinstance(error, SchemaIncompatible) else ()


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _cell(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else safe(value)

"""`examples.d/NAME.yaml`: rows kept beside a connector, and what must become of each."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from hub.catalogue.declared import read_folder
from hub.catalogue.mistakes import Mistake
from hub.catalogue.specs import Name, Spec

FOLDER = "examples.d"


class ExampleSpec(Spec):
    """One source row and its outcome: a record, a rejection, or neither."""

    name: str = Field("", description="What it shows.", max_length=200)
    row: dict[str, str | int | float | bool | date | None] = Field(
        description="Cells by column, as the source delivers them: texts in quotes, and of databases also numbers and dates. "
        "Columns that are not named are NULL."
    )
    record: dict[str, Any] | None = Field(
        None, description="Fields of the record that must come out, nested as in the schema; others are not looked at."
    )
    rejected: str | None = Field(None, description="Reason code with which the row must be rejected.", max_length=100)
    path: str | None = Field(None, description="With `rejected`: the field to blame.", max_length=300)
    filtered: bool = Field(False, description="The row must be filtered out by `where`.")

    @model_validator(mode="after")
    def _one_outcome(self) -> ExampleSpec:
        if (self.record is not None) + (self.rejected is not None) + self.filtered != 1:
            raise ValueError("has no outcome, or several | give one of `record`, `rejected` and `filtered: true`")
        return self


class ExamplesSpec(Spec):
    """The examples of one connector."""

    connector: Name = Field(description="Which connector.")
    examples: tuple[ExampleSpec, ...] = Field(description="Rows and outcomes.", min_length=1, max_length=1000)


def read_examples(project: Path) -> tuple[dict[str, ExamplesSpec], list[Mistake]]:
    """All examples of a project by connector, and every mistake in their files."""
    found = read_folder(project, FOLDER, ExamplesSpec, "connector")
    return {one.spec.connector: one.spec for one in found.declared}, list(found.mistakes)

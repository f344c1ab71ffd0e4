"""Which cells of a row a rejection speaks of."""

from __future__ import annotations

import pytest

from hub.mapping.program import MappingSpec
from hub.pipeline.blame import columns_behind, fields_behind

MAPPING = MappingSpec(
    fields={
        "id": "upper(Code)",
        "address.street": "Via || ' ' || Numero",
        "address.town": "Comune",
        "seats": "to_int(Posti)",
    },
    checks={"some_seats": "seats > 0 AND id IS NOT NULL", "broken": "seats >>> ("},
)
COLUMNS = ("Posti", "Code", "Via", "Numero", "Comune", "Other")


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("id", ["Code"]),
        ("address.street", ["Via", "Numero"]),
        ("address", ["Via", "Numero", "Comune"]),
        ("address.town.part", ["Comune"]),
        ("seats[0]", ["Posti"]),
        ("some_seats", ["Posti", "Code"]),
        ("Other", ["Other"]),
        ("broken", []),
        ("nothing", []),
        ("", []),
    ],
)
def test_a_path_leads_to_the_cells_behind_it(path: str, columns: list[str]) -> None:
    assert columns_behind(MAPPING, path, COLUMNS) == columns


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("seats", {"seats": "to_int(Posti)"}),
        ("some_seats", {"id": MAPPING.fields["id"], "seats": "to_int(Posti)"}),
        ("address", {name: text for name, text in MAPPING.fields.items() if name.startswith("address.")}),
        ("Other", {}),
        ("broken", {}),
        ("", {}),
    ],
)
def test_a_path_leads_to_the_fields_that_are_to_be_mended(path: str, fields: dict[str, str]) -> None:
    assert fields_behind(MAPPING, path) == fields

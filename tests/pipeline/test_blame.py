"""Which cells of a row a rejection speaks of."""

from __future__ import annotations

import pytest

from hub.mapping.program import MappingSpec
from hub.pipeline.blame import columns_behind

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

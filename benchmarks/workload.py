"""`python -m benchmarks.workload FILE ROWS [SEED]`: a departmental CSV extract of 17 text columns, 146 bytes a line, about
0.5 % bad rows (wrong identifiers, impossible dates). The same bytes for the same seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.schema import HEADER

WEIGHTS = np.array([2, 3, 4, 5, 6, 7, 8, 9, 2, 3])
LAST = np.array(
    ["Andersson", "  O'Brien", "van der Berg ", "Müller", "Papadopoulos", "Li", "Kowalczyk", "Nguyen", "Smith"]
)
FIRST = np.array(
    ["Anna", "Bo Erik", "Carla Maria", "D'Arcy", "Émile", "Fatima", "Giorgos", "", "Ivan Petrov", "José Luis"]
)
STREET = np.array(
    ["High Street", "Rue de la Gare", "Hauptstraße", "Via Roma", "Storgatan", "Calle Mayor", "Station Road"]
)
CITY = np.array(["Springfield", "Aix", "Göteborg", "Porto", "Newcastle upon Tyne", "Gdynia"])
TAGS = np.array(["", "housing", "housing|child", "disability", "child|single-parent|review", "pension|housing"])
AT_ONCE = 100_000
SEED = 7


def write_rows(path: Path, rows: int, seed: int = SEED) -> None:
    """The same bytes for the same seed."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\n")
        for start in range(0, rows, AT_ONCE):
            out.write(_chunk(rng, start + 1, min(AT_ONCE, rows - start)))


def _chunk(rng: np.random.Generator, start: int, n: int) -> str:
    digits = rng.integers(0, 10, (n, 10))
    check = (digits * WEIGHTS).sum(1) % 11 % 10
    number = (digits * 10 ** np.arange(9, -1, -1)).sum(1)
    short = rng.random(n) < 0.003
    days = rng.integers(-18000, 15000, n).astype("datetime64[D]").astype(str)
    form = rng.integers(0, 3, n)
    broken = rng.random(n) < 0.002
    stamps = (1_700_000_000 + rng.integers(0, 40_000_000, n)).astype("datetime64[s]").astype(str)
    zulu = rng.random(n) < 0.3
    columns = [rng.integers(0, k, n) for k in (9, 10, 6, 40, 400, 8, 7, 6, 4, 6)]
    last, first, sex, status, muni, size, street, city, country, tags = columns
    amount = np.round(rng.gamma(2, 400, n) % 5000, 2)
    house, postcode = rng.integers(1, 300, n), rng.integers(10000, 99999, n)
    phone, silent = rng.integers(700_000_000, 799_999_999, n), rng.random(n) < 0.2
    lines = []
    for i in range(n):
        year, month, day = days[i].split("-")
        date = (days[i], f"{day}/{month}/{year}", f"{day}.{month}.{year}")[form[i]]
        person = f"{number[i]:010d}{check[i]}"
        lines.append(
            f"{start + i},{person[:10] if short[i] else person},{LAST[last[i]]},{FIRST[first[i]]},"
            f"{'31/02/1999' if broken[i] else date},{'MF12X9'[sex[i]]},S{status[i]:02d},{1000 + muni[i]},{amount[i]},"
            f"{size[i] or ''},{stamps[i] + 'Z' if zulu[i] else stamps[i].replace('T', ' ')},"
            f"{STREET[street[i]]} {house[i]},{postcode[i]},{CITY[city[i]]},{('SE', 'DE', 'FR', '')[country[i]]},"
            f"{TAGS[tags[i]]},{'' if silent[i] else f'+46{phone[i]}'}\n"
        )
    return "".join(lines)


if __name__ == "__main__":
    write_rows(Path(sys.argv[1]), int(sys.argv[2]), *map(int, sys.argv[3:4]))
    print(json.dumps({"rows": int(sys.argv[2])}))

"""Several answers of a real hub as one file of each kind, read by libraries that are not ours."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import fastavro
import pyarrow as pa
import pytest

from hub.client import Subscription
from hub.client.files import FILES
from hub.errors import Conflict, DatongError
from tests.client.world import Server

Open = Callable[..., Subscription]
ROWS = [{"_offset": n, "_partition": 0, "_op": "upsert", "school_id": f"S{n}"} for n in range(10)]
READERS: dict[str, Callable[[bytes], list[dict[str, object]]]] = {
    "ndjson": lambda body: [json.loads(line) for line in body.splitlines()],
    "json": json.loads,
    "csv": lambda body: [
        {**row, "_offset": int(row["_offset"]), "_partition": int(row["_partition"])}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    ],
    "arrow": lambda body: pa.ipc.open_stream(body).read_all().to_pylist(),
    "avro": lambda body: list(fastavro.reader(io.BytesIO(body))),  # type: ignore[arg-type]
}


def written(subscription: Subscription, name: str, **more: int) -> tuple[bytes, int]:
    """The file, and how many answers it is made of."""
    merger, parts = FILES[name].merger(), []
    for answer in subscription.answers(FILES[name].media_type, **more):
        parts.append(merger.add(answer.content))
    return b"".join([*parts, merger.end()]), len(parts)


@pytest.mark.parametrize("name", list(READERS))
@pytest.mark.parametrize("most", [3, 100])
def test_answers_make_one_file(open_subscription: Open, name: str, most: int) -> None:
    with open_subscription(max_records=most) as schools:
        body, answers = written(schools, name)
    assert READERS[name](body) == ROWS
    assert answers == (4 if most == 3 else 1)


@pytest.mark.parametrize("name", list(READERS))
def test_no_records_are_a_file_too(open_subscription: Open, name: str) -> None:
    with open_subscription() as schools:
        list(schools)
    with open_subscription() as schools:
        body, _answers = written(schools, name)
    assert READERS[name](body) == []
    if name != "ndjson":
        assert body


def test_framed_records_stand_one_behind_the_other(open_subscription: Open) -> None:
    with open_subscription(group="a") as schools:
        whole, _one = written(schools, "framed")
    with open_subscription(group="b", max_records=3) as schools:
        assert written(schools, "framed") == (whole, 4)


@pytest.mark.parametrize("name", ["csv", "arrow", "avro"])
def test_R23_one_file_has_one_schema(server: Server, open_subscription: Open, name: str) -> None:
    merger = FILES[name].merger()
    with open_subscription(auto_commit=False) as schools:
        first = next(schools.answers(FILES[name].media_type, 5))
    wider = server.hub.plan(1, "school_id", "region", key=("school_id",))
    server.plan = lambda: wider
    with open_subscription(auto_commit=False) as schools:
        second = next(schools.answers(FILES[name].media_type))
    begun = merger.add(first.content)
    with pytest.raises(Conflict, match="two schemas"):
        merger.add(second.content)
    assert READERS[name](begun + merger.end()) == ROWS[:5]


@pytest.mark.parametrize("cut", [0, 3, 4, 20, 300, -1, -17])
def test_a_container_file_that_is_cut_off_is_an_error(open_subscription: Open, cut: int) -> None:
    with open_subscription(auto_commit=False) as schools:
        whole = next(schools.answers(FILES["avro"].media_type)).content
    merger = FILES["avro"].merger()
    merger.add(whole)
    with pytest.raises(DatongError, match="not a whole"):
        merger.add(whole[:cut])

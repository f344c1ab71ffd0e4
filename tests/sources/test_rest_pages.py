"""Pages of a `rest` source: given as they come, and those that a connector does not read told (R13, R18)."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hub.model import Mode, RunTotals
from tests.sources.rest_service import BY, Serve, numbers, read, source
from tests.support.fault_server import answer
from tests.support.projects import Bench


def test_a_page_is_given_before_the_next_one_is_asked_for(serve: Serve) -> None:
    server = serve(BY["page"][1])
    made = source(server, paging=BY["page"][0])
    batches = made.batches(None, Event())
    assert [len(next(batches).rows) for _ in range(2)] == [10, 10]
    assert len(server.requests) == 2
    made.close()


ROWS = [{"n": 1}, {"n": 2}]
MORE: dict[str, tuple[Any, bool]] = {  # an answer of two rows, and whether it is certain that there are more
    "the header Link": (answer(ROWS, Link='</rows?p=2>; rel="next"'), True),
    "next": (answer({"rows": ROWS, "next": "/rows?p=2"}), True),
    "meta.next_url": (answer({"rows": ROWS, "meta": {"next_url": "https://x.example/canary-1"}}), True),
    "_links.next.href": (answer({"rows": ROWS, "_links": {"next": {"href": "/rows?p=2"}}}), True),
    "@odata.nextLink": (answer({"rows": ROWS, "@odata.nextLink": "?$skip=2"}), True),
    "has_more": (answer({"rows": ROWS, "has_more": True}), True),
    "nextPage": (answer({"rows": ROWS, "paging": {"nextPage": 2}}), True),
    "exceededTransferLimit": (answer({"rows": ROWS, "exceededTransferLimit": True}), True),
    "total": (answer({"rows": ROWS, "total": 3}), False),
    "result.count": (answer({"rows": ROWS, "result": {"count": 57}}), False),
    "risposta.totale": (answer({"rows": ROWS, "risposta": {"totale": 1283, "offset": 0}}), False),
    "page.totalPages": (answer({"rows": ROWS, "page": {"totalPages": 2}}), False),
}
NO_MORE: dict[str, Any] = {
    "another Link": answer(ROWS, Link='</rows>; rel="self"'),
    "no next": answer({"rows": ROWS, "next": None, "next_url": "", "has_more": False, "meta": {"next_page": 0}}),
    "total": answer({"rows": ROWS, "total": 2, "count": "9", "total_pages": 1}),
    "in a row": answer({"rows": [{"n": 1, "next": "x", "total": 9}, {"n": 2, "has_more": True}]}),
    "no rows": answer({"rows": [], "total": 9}),
    "deeper than Python reads": answer(b'{"rows": [{"n": 1}], "z": ' + b"[" * 9000 + b"]" * 9000 + b', "next": "x"}'),
}


def items_of(body: bytes) -> str | None:
    return "rows" if b'"rows"' in body else None


@pytest.mark.parametrize("case", MORE)
@pytest.mark.parametrize("mode", ["append", "snapshot"])
def test_R13_more_pages_than_a_connector_reads_are_told_once(serve: Serve, case: str, mode: Mode) -> None:
    body, certain = MORE[case]
    server = serve(lambda r: body)
    found = read(server, mode=mode, items=items_of(body))
    assert numbers(found) == [1, 2]
    (note,) = [n for b in found for n in b.notes]
    assert ("says that there are more pages" in note) == certain
    assert "paging:" in note
    assert "canary" not in note
    assert found[-1].complete == (mode == "snapshot" and not certain)  # R18: else rows of page 2 were deleted
    report = source(server, items=items_of(body)).check()
    assert report.ok
    assert report.findings[0].remedy == note


@pytest.mark.parametrize("case", NO_MORE)
def test_R13_what_is_no_word_of_more_pages_is_not_taken_for_one(serve: Serve, case: str) -> None:
    body = NO_MORE[case]
    found = read(serve(lambda r: body), mode="snapshot", items=items_of(body))
    assert [n for b in found for n in b.notes] == []
    assert found[-1].complete


def test_R13_a_connector_that_declares_its_paging_is_told_nothing(serve: Serve) -> None:
    reply = BY["link"][1]
    found = read(serve(reply), mode="snapshot", paging={"by": "link"})
    assert [n for b in found for n in b.notes] == []
    assert found[-1].complete


def test_R13_R18_a_run_shows_the_note_and_deletes_nothing(serve: Serve, tmp_path: Path) -> None:
    """Page 1 holds other rows each time; what stands on page 2 now is not gone."""
    table = [{"ID": f"b{i}", "REGION": "N", "SEATS": str(i + 1)} for i in range(20)]
    server = serve(lambda r: answer({"rows": table[:18], "has_more": True}))
    bench = Bench(tmp_path)
    first = bench.run(source=source(server, "snapshot", items="rows"))
    assert first.totals == RunTotals(read=18, published=18)
    table.insert(0, table.pop())
    second = bench.run(source=source(server, "snapshot", items="rows"))
    assert second.totals == RunTotals(read=18, published=1, unchanged=17)
    assert [n for n in second.notes if "more pages (`has_more`)" in n] == list(second.notes)
